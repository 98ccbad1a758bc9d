#!/usr/bin/env bash
# How unequal the GPUs of one host are by themselves, and whether they are so
# again: profiles the shapes of four models on all GPUs at once, and all four
# once more, so that other work lies between; with the exchange between each two
# GPUs. Then prints for each model the devices' speeds in both, clock and power
# beside, the spread and the rank correlation. Programs are those on the PATH or
# in build/release/bin; if there are none, it builds them first. What is
# finished in the folder of results isn't measured again.
#
#   slurm/natural-spread.sh --ranks 8                     one rank a GPU
#   slurm/natural-spread.sh --shares 100,100,100,100
#       a trial: ranks share one GPU in turns
#   slurm/natural-spread.sh --ranks 2 --device host
#       a trial on CPU cores, experts shrunk
#
# Options: --output DIR (results/natural-spread), --models LIST, --max-tokens N
# (8192, rows of a device), --no-exchange, --pace serving|busy (what GPUs do
# between samples; serving, but busy on CPU cores and where ranks share a GPU),
# --seconds N (begin no second profile after N seconds; exit code 75 says that
# more is to do: the same command goes on), --dry-run.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=jobs/dependencies.sh
. "$root/jobs/dependencies.sh"

ranks=0 shares='' device=cuda output=results/natural-spread max_tokens=8192 dry_run=0 seconds=0 pace='' exchange=(--exchange)
models=gpt-oss-20b,deepseek-v2-lite,mixtral-8x7b,qwen3-30b-a3b
refuse() {
  echo "natural-spread.sh: $1; --help shows all options" >&2
  exit 2
}
while [ $# -gt 0 ]; do
  case $1 in
    --dry-run) dry_run=1; shift; continue ;;
    --no-exchange) exchange=(); shift; continue ;;
    --help) sed -n '2,20s/^# \{0,1\}//p' "$0"; exit 0 ;;
  esac
  [ $# -gt 1 ] || refuse "$1 is unknown or lacks its value"
  case $1 in
    --ranks | --max-tokens | --seconds) [[ $2 =~ ^[1-9][0-9]{0,8}$ ]] || refuse "$1 $2 is not a whole number of 1 or more" ;;
  esac
  case $1 in
    --ranks) ranks=$2 ;;
    --shares) shares=$2 ;;
    --device) device=$2 ;;
    --output) output=$2 ;;
    --models) models=$2 ;;
    --pace) pace=$2; [[ $pace =~ ^(serving|busy)$ ]] || refuse "--pace $2 is neither serving nor busy" ;;
    --max-tokens) max_tokens=$2 ;;
    --seconds) seconds=$2 ;;
    *) refuse "unknown option $1" ;;
  esac
  shift 2
done
[ "$ranks" -gt 0 ] || [ -n "$shares" ] || refuse "say --ranks N or --shares LIST"
[ "$ranks" -eq 0 ] || [ -z "$shares" ] || refuse "--shares says how many ranks there are, so --ranks doesn't go with it"
launch=("${MPIRUN[@]}" -n "$ranks") options=(--tile-tokens 128)
[ -z "$shares" ] || { launch=("$root/slurm/share_gpu.sh" "$shares"); options+=(--share-gpu turns); }
[ "$device" != host ] || options=(--dtype f32 --expert-shape 64x64)

if [ -z "$pace" ]; then
  pace=serving
  { [ -z "$shares" ] && [ "$device" = cuda ]; } || pace=busy
fi

profile() { # profile MODEL FILE
  local command=("${launch[@]}" gem-profile --quiet --model "$1" --device "$device" "${options[@]}" "${exchange[@]}"
    --max-tokens "$max_tokens" --pace "$pace" --output "$2")
  if [ "$dry_run" = 1 ]; then echo "${command[*]}"; return; fi
  [ ! -e "$2" ] || return 0
  [ ! -e "$2.partial" ] || command+=(--resume)
  if [ "$seconds" -gt 0 ] && [ "$SECONDS" -ge "$seconds" ] && [ "$begun" = 1 ]; then code=75; return; fi
  begun=1 # a job that is slow to start comes forward, too
  "${command[@]}" < /dev/null > "${2%.h5}.txt" || {
    echo "natural-spread.sh: $2 failed with exit code $?" >&2 # the others are measured all the same
    code=4
    return
  }
  echo "== $2 (at $SECONDS s)"
  sed -n '/^spread:/,$p' "${2%.h5}.txt" # the spread and the exchange
}

if [ "$dry_run" = 1 ]; then programs_or_build "$root" echo; else programs_or_build "$root" >&2; fi
[ "$dry_run" = 1 ] || mkdir -p "$output"
code=0 begun=0
for time in first again; do
  for model in ${models//,/ }; do profile "$model" "$output/$model.$time.h5"; done
done
[ "$dry_run" = 1 ] || : > "$output/spread.md"
for model in ${models//,/ }; do
  pair=("$output/$model.first.h5" "$output/$model.again.h5")
  if [ "$dry_run" = 1 ]; then echo "gem-analysis spread ${pair[*]}"; continue; fi
  { [ -e "${pair[0]}" ] && [ -e "${pair[1]}" ]; } || continue
  { echo; gem-analysis spread "${pair[@]}"; } | tee -a "$output/spread.md" || code=4
done
[ "$dry_run" = 1 ] || tar -C "$output" -czf "$output.tar.gz" .
exit $code
