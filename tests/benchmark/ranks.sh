#!/usr/bin/env bash
# Strong scaling of the search over MPI ranks: the same question on 1, 2, 4, ...
# ranks, with time, efficiency and whether the mapping is the same to the byte;
# prints a table for search.md. The last row is what the machine allows: as many
# searches of one rank side by side, which share nothing but its caches and its
# clock. Programs must be on the PATH (or in build/release/bin).
#
#   tests/benchmark/ranks.sh [MOST-RANKS, default: processor cores]
#       [STARTS-A-LAYER, default: 16]
set -euo pipefail
for word in "$@"; do
  case $word in
    --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *[!0-9]* | 0) echo "ranks.sh: $word is no whole number above 0; see ranks.sh --help" >&2; exit 2 ;;
  esac
done
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

search() { # search RANKS NAME
  "${MPIRUN[@]}" -n "$1" gem-map --quiet --profile "$folder/profile.h5" --trace "$folder/trace.h5" \
    --starts "$starts" --output "$folder/$2.h5" > "$folder/$2.txt"
}

seconds_of() { # seconds_of NAME
  awk '/^Search: / { for (i = 1; i < NF; i++) if ($i == "in") print $(i + 2) == "ms" ? $(i + 1) / 1000 : $(i + 1) }' \
    "$folder/$1.txt"
}

row() { # row LABEL RANKS SECONDS NAME
  awk -v label="$1" -v ranks="$2" -v time="$3" -v one="$one_s" -v mapping="$(checksum "$folder/$4.h5")" \
    'BEGIN { printf "| %s | %.2f | %.2f | %s |\n", label, time, one / time / ranks, mapping }'
}

echo "| ranks | search, s | efficiency | mapping |"
echo "|---:|---:|---:|---|"
for ((ranks = 1; ranks <= most; ranks *= 2)); do
  search "$ranks" "$ranks"
  [ "$ranks" -gt 1 ] || one_s=$(seconds_of 1)
  row "$ranks" "$ranks" "$(seconds_of "$ranks")" "$ranks"
done
for ((copy = 1; copy <= most; copy++)); do search 1 "copy$copy" & done
wait
for ((copy = 1; copy <= most; copy++)); do seconds_of "copy$copy"; done |
  awk '{ sum += $1 } END { print sum / NR }' > "$folder/mean.txt"
row "$most times 1" 1 "$(cat "$folder/mean.txt")" copy1
