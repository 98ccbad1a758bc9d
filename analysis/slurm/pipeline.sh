#!/usr/bin/env bash
# The whole way for one model and task as a chain of jobs: profile -> map ->
# verify, each after the one before ended well. Profiled are the loads that the
# traces bring, unless --max-tokens or --naive is given to gem-profile.
#
#   slurm/pipeline.sh --model NAME --routing FILE --output DIR [OPTIONS]
#       [--dry-run] [-- OPTIONS OF GEM-PROFILE]
#
# --batch-size N (decode) or --chunk-tokens N (prefill): tokens of a step;
# --steps N (128) to search on and as many of other requests to score on. The
# devices are those of slurm/site.env. What stands behind -- goes to
# gem-profile, e.g. --device host --dtype f32, or --device command --command
# "python3 -m gem_kernels.vllm". Verification gets the nodes that were profiled.
# Submitting again keeps a finished profile, and its nodes, and makes the rest
# anew. --dry-run prints the commands.
set -euo pipefail
GEM_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export GEM_ROOT
model='' routing='' output='' batch_size=0 chunk_tokens=0 steps=128 dry_run=false
while [ $# -gt 0 ]; do
  case $1 in
    --model | --routing | --output | --batch-size | --chunk-tokens | --steps)
      [ $# -ge 2 ] || { echo "pipeline.sh: $1 needs a value; see pipeline.sh --help" >&2; exit 2; }
      name=${1#--}
      printf -v "${name//-/_}" %s "$2"
      shift
      ;;
    --dry-run) dry_run=true ;;
    --help) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --) shift; break ;;
    *) echo "pipeline.sh: unknown option $1; see pipeline.sh --help" >&2; exit 2 ;;
  esac
  shift
done
if [ -z "$model" ] || [ -z "$routing" ] || [ -z "$output" ]; then
  echo "pipeline.sh: --model, --routing and --output are needed; see pipeline.sh --help" >&2
  exit 2
fi
# shellcheck source=slurm/common.sh
. "$GEM_ROOT/slurm/common.sh"
# shellcheck source=slurm/submit.sh
. "$GEM_ROOT/slurm/submit.sh"
output=$(realpath -m "$output")
$dry_run || mkdir -p "$output"

# Traces take a moment and one process: made here.
for part in train test; do
  command=("${GEM_CONTAINER[@]}" gem-trace batch --quiet --routing "$routing" --batch-size "$batch_size"
    --chunk-tokens "$chunk_tokens" --steps "$steps" --part "$part" --output "$output/$part.h5")
  if $dry_run; then echo "${command[*]}"; else "${command[@]}"; fi
done
log=(--output="$output/%x-%j.log")
export GEM_PIPELINE=$output
[ ! -e "$output/profile.h5" ] || GEM_DEVICES+=(--nodelist="$(cat "$output/nodes")")
case " $* " in
  *' --max-tokens '* | *' --naive '*) loads=() ;;
  *) loads=(--for-trace "$output/train.h5,$output/test.h5") ;;
esac
# A program that stands for the devices (--device command) replays, too.
engine=()
for ((i = 1; i < $#; i++)); do
  case ${!i} in --command | --command-timeout) engine+=("${!i}" "${@:i+1:1}") ;; esac
done
# Held until it can tell the job that verifies on which nodes.
submit --hold --time="$GEM_TIME_PROFILE" "${GEM_DEVICES[@]}" "${log[@]}" "$GEM_ROOT/slurm/profile.sbatch" \
  --model "$model" "${loads[@]}" --output "$output/profile.h5" "$@"
profile=$JOB
$dry_run || trap 'scancel "$profile"' EXIT # held, it would wait for ever
submit --time="$GEM_TIME_MAP" "${GEM_MAP_OPTIONS[@]}" "${log[@]}" --dependency="afterok:$JOB" \
  "$GEM_ROOT/slurm/map.sbatch" --profile "$output/profile.h5" --trace "$output/train.h5" \
  --test-trace "$output/test.h5" --output "$output/gem.h5"
submit --time="$GEM_TIME_VERIFY" "${GEM_DEVICES[@]}" "${log[@]}" --dependency="afterok:$JOB" \
  "$GEM_ROOT/slurm/verify.sbatch" --profile "$output/profile.h5" --trace "$output/test.h5" --mapping "$output/gem.h5" \
  --output "$output/report.h5" "${engine[@]}"
if $dry_run; then
  echo "scontrol release $profile"
else
  echo "$JOB" > "$output/verify.job"
  scontrol release "$profile"
  trap - EXIT
  echo "The verdict will be at the end of $output/gem-verify-$JOB.log"
  echo "Draw it then: $GEM_ROOT/analysis/gem-analysis report $output"
fi
