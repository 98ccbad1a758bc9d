#!/usr/bin/env bash
# Strong scaling of the search over MPI ranks: the same question on 1, 2, 4, ... ranks, with time, efficiency and whether
# the mapping is the same to the byte; prints a table for search.md. Programs must be on the PATH (or in
# build/release/bin).
#
#   tests/benchmark/ranks.sh [MOST-RANKS, default: processor cores] [STARTS-A-LAYER, default: 16]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export PATH="$PATH:$root/build/release/bin"
# shellcheck source=jobs/dependencies.sh
. "$root/jobs/dependencies.sh"
most=${1:-$(nproc)} starts=${2:-16}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

gem-profile --quiet --device simulated --devices 8 --slowdown 1.0,1.05,1.1,1.28 --model DeepSeek-V2-Lite \
  --max-tokens 12288 --output "$folder/profile.h5" > /dev/null
gem-trace batch --quiet --phase prefill --chunk-tokens 2048 --steps 128 \
  --routing "$root/jobs/data/routing/deepseek-v2-lite.intent.h5" --output "$folder/trace.h5" > /dev/null

# Devices of the experts, which are all that may not depend on the ranks (times of the course do).
checksum() {
  /usr/bin/python3 -c 'import sys, h5py, hashlib
print(hashlib.sha256(h5py.File(sys.argv[1])["expert_to_device"][()].tobytes()).hexdigest()[:12])' "$1"
}

echo "| ranks | search, s | efficiency | mapping |"
echo "|---:|---:|---:|---|"
for ((ranks = 1; ranks <= most; ranks *= 2)); do
  "${MPIRUN[@]}" -n "$ranks" gem-map --quiet --profile "$folder/profile.h5" --trace "$folder/trace.h5" \
    --starts "$starts" --output "$folder/$ranks.h5" > "$folder/$ranks.txt"
  read -r amount unit < <(sed -n 's/^Search: .* in \([0-9.]*\) \([a-z]*\) on .*/\1 \2/p' "$folder/$ranks.txt")
  time_s=$(awk -v amount="$amount" -v unit="$unit" 'BEGIN { print unit == "ms" ? amount / 1000 : amount }')
  [ "$ranks" -gt 1 ] || one_s=$time_s
  awk -v ranks="$ranks" -v time="$time_s" -v one="$one_s" -v mapping="$(checksum "$folder/$ranks.h5")" \
    'BEGIN { printf "| %d | %.2f | %.2f | %s |\n", ranks, time, one / time / ranks, mapping }'
done
