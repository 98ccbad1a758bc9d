#!/usr/bin/env bash
# What peers.py needs of a GPU: profiles to score placements with, and replays of
# the placements that it keeps. Four and eight ranks share the GPU in turns; of
# the eight every second one takes 1.277 times as long (emulated).
#
#   tests/benchmark/peers_gpu.sh profiles FOLDER [--dry-run]
#   tests/benchmark/peers.sh BIN_DIRECTORY ENGINES --profiles FOLDER/profiles \
#       --keep FOLDER/placements
#   tests/benchmark/peers_gpu.sh replays FOLDER [--cases REGEX] [--seconds N]
#       [--dry-run]
#
# What is finished isn't done again. --seconds N: begin nothing after N seconds;
# exit code 75 says that more is to do, and the same command goes on. --cases: of
# placements' folders, ROUTING.TOKENS.DEVICES.SPLIT. Ends with a table. Programs:
# on the PATH or in build/release/bin, emulated_profile too. Another device than a
# GPU, for a trial: GEM_TRIAL="--device host --dtype f32 --expert-shape 64x64".
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export PATH="$PATH:$root/build/release/bin"
what=${1:-} output=${2:-} seconds=0 cases=. dry_run=0
case $what in
  --help) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 0 ;;
  profiles | replays) ;;
  *) echo "peers_gpu.sh: say profiles or replays; see peers_gpu.sh --help" >&2; exit 2 ;;
esac
[ -n "$output" ] || { echo "peers_gpu.sh: give a folder; see peers_gpu.sh --help" >&2; exit 2; }
shift 2
while [ $# -gt 0 ]; do
  case $1 in
    --dry-run) dry_run=1; shift; continue ;;
    --cases | --seconds) [ $# -ge 2 ] || { echo "peers_gpu.sh: $1 needs a value; see peers_gpu.sh --help" >&2; exit 2; } ;;
    *) echo "peers_gpu.sh: unknown option $1; see peers_gpu.sh --help" >&2; exit 2 ;;
  esac
  case $1 in
    --cases) cases=$2 ;;
    --seconds) seconds=$2 ;;
  esac
  shift 2
done

read -r -a mpirun <<< "${MPIRUN:-mpirun --allow-run-as-root --oversubscribe --bind-to none}"
read -r -a trial <<< "${GEM_TRIAL:---device cuda}"
# shellcheck source=tests/benchmark/steps.sh
. "$root/tests/benchmark/steps.sh"

# model, its experts, tasks, how it is batched: as in peers.py.
shapes() {
  echo "gpt-oss-20b 32 mmlu,gpqa --batch-size 64"
  echo "gpt-oss-20b 32 mmlu,gpqa --batch-size 256"
  echo "deepseek-v2-lite 64 intent,summary --chunk-tokens 512"
  echo "deepseek-v2-lite 64 intent,summary --chunk-tokens 2048"
}

profiles() {
  local model experts tasks option tokens task devices trace base loads
  while read -r model experts tasks option tokens; do
    loads=""
    for task in ${tasks//,/ }; do
      trace=$output/traces/$model.$task.$tokens
      make "$trace.h5" "$trace.txt" gem-trace batch --quiet --routing "$root/jobs/data/routing/$model.$task.h5" \
        "$option" "$tokens" --steps 512 --seed 5 --output "$trace.h5" || return
      loads+=${loads:+,}$trace.h5
    done
    for devices in 4 8; do
      base=$output/profiles/one.$model.$tokens.$devices made=$output/profiles/$model.$tokens.$devices
      make "$base.h5" "$base.txt" gem-profile --quiet --model "$model" --experts-per-device $((experts / devices)) \
        "${trial[@]}" --pace busy --for-trace "$loads" --confidence-width 0.015 --min-samples 7 --max-samples 20 \
        --max-point-time 0.3 --output "$base.h5" || return
      make "$made.h5" "$made.txt" emulated_profile "$base.h5" "$made.h5" "$(slowness "$devices")" || return
    done
  done < <(shapes)
}

slowness() { # slowness DEVICES
  [ "$1" = 4 ] && echo 1,1,1,1 || echo 1,1.277,1,1.277,1,1.277,1,1.277
}

replays() {
  local folder name rest shape devices files file
  for folder in "$output"/placements/*/; do
    [ -d "$folder" ] || { echo "peers_gpu.sh: $output/placements holds none; peers.sh --keep makes them" >&2; return 3; }
    name=$(basename "$folder")
    grep -Eq "^($cases)" <<< "$name" || continue
    rest=${name%.*} devices=${rest##*.}  # ROUTING.TOKENS.DEVICES
    shape=${rest%.*} files=()
    for file in "$folder"*.h5; do files+=(--mapping "$file"); done
    make "$output/reports/$name.h5" "$output/reports/$name.txt" "${mpirun[@]}" -n "$devices" gem-verify --quiet \
      --profile "$output/profiles/${shape%%.*}.${shape##*.}.$devices.h5" --trace "${folder}test.trace" "${files[@]}" \
      "${device[@]}" --share-gpu turns --transport mpi --compute-only --judge-by straggler --steps 16 --layer-count 6 --rounds 2 \
      --output "$output/reports/$name.h5" || return
  done
}

table() { # of straggler time relative to linear placement, and 95 % intervals
  local log
  for log in "$output"/reports/*.txt; do
    [ -e "$log" ] || continue
    awk -v at="$(basename "${log%.txt}")" '
      /^mapping  / { ++tables }
      tables == 1 && $5 == "-" && $3 + 0 > 0 { printf "%s\t%s\t%s\t%s\t%s\n", at, $1, $3, $4, $6 }' "$log"
  done
}

device=()  # that ranks replay on; shape and number format are the profile's
for ((i = 0; i < ${#trial[@]}; i += 2)); do
  [ "${trial[i]}" != --device ] || device=("${trial[i]}" "${trial[i + 1]}")
done
[ "$dry_run" = 1 ] || mkdir -p "$output"/{traces,profiles,reports}
code=0
"$what" || code=$?
[ "$what" = profiles ] || [ "$dry_run" = 1 ] || table
exit $code
