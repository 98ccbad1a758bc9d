#!/usr/bin/env bash
# The whole proof on the GPUs of one host: profiles each model, maps each workload on one half of its requests, replays
# the other half under every mapping, and packs the small results; gem-analysis replays makes one table of them.
# Programs are those on the PATH or in build/release/bin; if there are none, it builds them first. What is finished in the
# folder of results isn't done again.
#
#   slurm/one-host.sh --ranks 4                                one rank a GPU, the GPUs as they are
#   slurm/one-host.sh --shares 100,94,88,78                    ranks share one GPU in turns, each with that share of it
#   slurm/one-host.sh --share-gpu 4 --spreads 1.00,1.08,1.28   the same, shares for these spreads found by a search
#   slurm/one-host.sh --ranks 4 --spreads 1.08,1.28            GPUs made uneven by extra time (emulated: they spin)
#   slurm/one-host.sh --ranks 2 --device host ...              a trial on CPU cores, experts shrunk
#
# Options: --shares LIST and --slowdown LIST (as often as wanted: one setting each), --output DIR (results/one-host),
# --workloads REGEX (all), --steps N (24), --rounds N (3), --layers N (3, spread over the model), --checked-steps N (1,
# steps whose outputs are compared with one rank's), --full (exchange too, not only the experts' compute),
# --exchange-row-time NS (one more mapping, gem-layer, that counts the exchange; an earlier folder's --full says how much),
# --stop-after profiles|mappings (mappings need no GPU: search for them elsewhere, in a copy of the folder), --seconds N
# (begin nothing new after N seconds; exit code 75 says that more is to do: the same command goes on), --dry-run.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=jobs/dependencies.sh
. "$root/jobs/dependencies.sh"

ranks=0 sharing=0 spreads='' device=cuda output=results/one-host pattern=. steps=24 rounds=3 layers=3 checked_steps=1 full=0
seconds=0 dry_run=0 last_stage=reports exchange=''
settings=() # FOLDER SHARES SLOWDOWN, '-' where there is none
refuse() {
  echo "one-host.sh: $1; --help shows all options" >&2
  exit 2
}
while [ $# -gt 0 ]; do
  case $1 in
    --full | --dry-run | --help) ;;
    *) [ $# -gt 1 ] || refuse "$1 is unknown or lacks its value" ;;
  esac
  case $1 in
    --exchange-row-time)
      [[ $2 =~ ^[0-9]+(\.[0-9]+)?$ ]] || refuse "$1 $2 is not a number of nanoseconds" ;;
    --ranks | --share-gpu | --checked-steps | --seconds)
      [[ $2 =~ ^[0-9]{1,9}$ ]] || refuse "$1 $2 is not a whole number" ;;
    --steps | --rounds | --layers)
      [[ $2 =~ ^[1-9][0-9]{0,8}$ ]] || refuse "$1 $2 is not a whole number of 1 or more" ;;
  esac
  case $1 in
    --ranks) ranks=$2; shift ;;
    --share-gpu) sharing=$2; shift ;;
    --spreads) spreads=$2; shift ;;
    --shares) settings+=("shares-${2//,/-} $2 -"); shift ;;
    --slowdown) settings+=("slowdown-${2//,/-} - $2"); shift ;;
    --device) device=$2; shift ;;
    --output) output=$2; shift ;;
    --workloads) pattern=$2; shift ;;
    --steps) steps=$2; shift ;;
    --rounds) rounds=$2; shift ;;
    --layers) layers=$2; shift ;;
    --checked-steps) checked_steps=$2; shift ;;
    --exchange-row-time) exchange=$2; shift ;;
    --full) full=1 ;;
    --seconds) seconds=$2; shift ;;
    --stop-after)
      [[ $2 = profiles || $2 = mappings ]] || refuse "--stop-after can be profiles or mappings, not $2"
      last_stage=$2; shift ;;
    --dry-run) dry_run=1 ;;
    --help) sed -n '2,20s/^# \{0,1\}//p' "$0" | fold -s -w 80; exit 0 ;;
    *) refuse "unknown option $1" ;;
  esac
  shift
done
if [ "$ranks" -eq 0 ] && [ "$sharing" -eq 0 ] && { [ -n "$spreads" ] || [[ "${settings[*]}" != *shares-* ]]; }; then
  refuse "say --ranks N, --share-gpu N or --shares LIST"
fi
shape=()
[ "$device" = host ] && shape=(--dtype f32 --expert-shape 64x64)
compute=(--compute-only)
[ "$full" = 1 ] && compute=()

run_into() { # run_into FILE COMMAND...
  local file=$1
  shift
  if [ "$dry_run" = 1 ]; then echo "$*"; else "$@" < /dev/null > "$file"; fi
}

# Devices evenly spread from 1 to $1 times the fastest's time.
slowdowns_for() {
  awk -v spread="$1" -v n="$ranks" 'BEGIN { for (i = 0; i < n; i++)
    printf "%s%.4g", i ? "," : "", 1 + (spread - 1) * (n > 1 ? i / (n - 1) : 0) }'
}

# Likewise by shares: where the line through what was measured meets the wanted time, beyond its ends too.
shares_for() {
  [ -e "$output/speed-of-shares.txt" ] || { echo "SHARES"; return; } # a dry run
  awk -v spread="$1" -v n="$sharing" '
    { share[NR] = $1; time[NR] = 1 / $2; if (time[NR] <= time[NR - 1]) time[NR] = time[NR - 1] + 1e-6 } # noise
    END { for (i = 0; i < n; i++) {
      want = 1 + (spread - 1) * (n > 1 ? i / (n - 1) : 0)
      for (k = 2; k < NR && time[k] < want;) k++
      at = share[k - 1] + (share[k] - share[k - 1]) * (want - time[k - 1]) / (time[k] - time[k - 1])
      at = at > 100 ? 100 : at < 10 ? 10 : at
      printf "%s%d", i ? "," : "", at + 0.5 } }' "$output/speed-of-shares.txt"
}

# Relative speed at heavy loads of a few shares of the GPU, from a small profile with one rank each.
measure_shares() {
  local probed=100,92,84,76,68 file=$output/speed-of-shares.txt
  [ -e "$file" ] && return
  run_into "$output/speed-of-shares.log" "$root/slurm/share_gpu.sh" "$probed" gem-profile --quiet \
    --model gpt-oss-20b --experts-per-device 8 --device "$device" "${shape[@]}" --share-gpu turns --tile-tokens 128 \
    --max-tokens 8192 --points-per-doubling 1 --min-samples 5 --max-samples 10 --output "$output/speed-of-shares.h5"
  [ "$dry_run" = 1 ] && return
  # The table's column of speeds.
  awk '$1 ~ /^[0-9]+$/ && NF > 6 { print $3 }' "$output/speed-of-shares.log" |
    paste -d ' ' <(tr , '\n' <<< "$probed") - > "$file.partial"
  mv "$file.partial" "$file"
}

# name model task phase tokens-a-step steps tile: tiles by the kernels' rule for the mean tokens an expert.
workloads() {
  local task
  for task in mmlu gpqa; do
    echo "$task-256 gpt-oss-20b $task decode 256 128 32"
    echo "$task-4096 gpt-oss-20b $task prefill 4096 128 128"
    echo "$task-16384 gpt-oss-20b $task prefill 16384 64 256"
  done
  for task in intent summary; do
    echo "$task-512 deepseek-v2-lite $task prefill 512 128 64"
    echo "$task-2048 deepseek-v2-lite $task prefill 2048 128 128"
    echo "$task-8192 deepseek-v2-lite $task prefill 8192 64 128"
  done
  echo "bursty-4096 mixtral-8x7b synthetic prefill 4096 128 128"
}

# The first, the last and evenly between, of the trace's decoder layers.
layers_of() {
  local first=0 last
  case $1 in
    gpt-oss-20b) last=23 ;;
    deepseek-v2-lite) first=1 last=26 ;;
    *) last=31 ;;
  esac
  awk -v first=$first -v last=$last -v n="$layers" 'BEGIN {
    if (n > last - first + 1) n = last - first + 1
    for (i = 0; i < n; i++) printf "%s%d", i ? "," : "", first + (n > 1 ? int(i * (last - first) / (n - 1)) : 0) }'
}

# Two halves of the requests; of synthetic load, which has none, the earlier and the later steps.
make_traces() { # make_traces NAME MODEL TASK PHASE TOKENS STEPS: sets halves, what gem-map is told, and files
  local name=$1 model=$2 task=$3 phase=$4 tokens=$5 steps=$6 part
  local trace=$output/traces/$name
  if [ "$task" = synthetic ]; then
    files=$trace.test.h5
    halves=(--trace "$files" --train-steps "$steps")
    [ -e "$files" ] || run_into /dev/null gem-trace synthesize --quiet --model "$model" --tokens "$tokens" \
      --steps $((2 * steps)) --temporal-share 0.25 --output "$files"
    return
  fi
  files=$trace.train.h5,$trace.test.h5
  halves=(--trace "$trace.train.h5" --test-trace "$trace.test.h5")
  local batching=(--batch-size "$tokens")
  [ "$phase" = prefill ] && batching=(--phase prefill --chunk-tokens "$tokens")
  for part in train test; do
    [ -e "$trace.$part.h5" ] || run_into /dev/null gem-trace batch --quiet --part $part "${batching[@]}" \
      --steps "$steps" --routing "$root/jobs/data/routing/$model.$task.h5" --output "$trace.$part.h5"
  done
}

# One profile serves all the workloads of a model and tile.
make_profile() {
  local resume=() served='' other_name other_model other_task other_phase other_tokens other_steps other_tile
  [ -e "$profile" ] && return
  [ -e "$profile.partial" ] && resume=(--resume)
  while read -r other_name other_model other_task other_phase other_tokens other_steps other_tile; do
    [ "$other_model.$other_tile" = "$model.$tile" ] || continue
    make_traces "$other_name" "$other_model" "$other_task" "$other_phase" "$other_tokens" "$other_steps"
    served+=${served:+,}$files
  done < <(workloads)
  run_into "${profile%.h5}.txt" "${launch[@]}" gem-profile --quiet --model "$model" --device "$device" "${shape[@]}" \
    "${slow[@]}" "${share[@]}" --tile-tokens "$tile" --for-trace "$served" \
    --confidence-width 0.015 --min-samples 7 --max-samples 30 "${resume[@]}" --output "$profile"
  [ "$dry_run" = 1 ] || tail -n 1 "${profile%.h5}.txt" # the devices' spread
}

make_mapping() { # make_mapping METHOD
  local method=$1 effort=fast start=() counted=()
  [ -e "$folder/$1.h5" ] && return
  [ "$1" = gem-layer ] && method=gem counted=(--exchange-row-time "$exchange")
  [ "$method" = gem ] && effort=default start=("${MPIRUN[@]}" -n "$(nproc)")
  run_into "$folder/$1.txt" "${start[@]}" gem-map --quiet --profile "$profile" "${halves[@]}" --method "$method" \
    "${counted[@]}" --effort "$effort" --output "$folder/$1.h5"
}

verify() {
  local mappings=() judged=() method code=0 errors=$folder/errors.txt
  [ -z "$exchange" ] || judged=(--judge gem) # as without the further mapping
  [ "$dry_run" = 1 ] && errors=/dev/null
  for method in "${methods[@]}"; do mappings+=(--mapping "$folder/$method.h5"); done
  run_into "$folder/report.txt" "${launch[@]}" gem-verify --quiet --profile "$profile" --trace "$trace" \
    "${mappings[@]}" "${judged[@]}" "${share[@]}" "${compute[@]}" --layers "$(layers_of "$model")" --steps "$steps" \
    --rounds "$rounds" --checked-steps "$checked_steps" --output "$folder/report.h5" 2> "$errors" || code=$?
  [ "$dry_run" = 1 ] && return
  # A negative verdict is a result; a launch that failed ends with the same code, but has none.
  if [ "$code" -gt 1 ] || [ ! -e "$folder/report.h5" ]; then cat "$errors" >&2; return 4; fi
  cat "$folder/report.txt"
}

workload() {
  [ "$dry_run" = 1 ] || mkdir -p "$folder"
  make_profile
  [ "$last_stage" = profiles ] && return
  make_traces "$name" "$model" "$task" "$phase" "$tokens" "$trace_steps"
  for method in "${methods[@]}"; do make_mapping "$method"; done
  [ "$last_stage" = mappings ] && return
  verify
}

pack() {
  [ "$dry_run" = 1 ] && return
  tar -C "$output" -czf "$output.tar.gz" .
  echo "$1 after $((SECONDS - begin)) s: $output.tar.gz"
}

if [ "$dry_run" = 1 ]; then programs_or_build "$root" echo; else programs_or_build "$root" >&2; fi
methods=(round-robin eplb speed-aware paper gem)
[ -z "$exchange" ] || methods+=(gem-layer)
begin=$SECONDS
failures=0
[ "$dry_run" = 1 ] || mkdir -p "$output/traces"
[ -z "$spreads" ] || [ "$sharing" -eq 0 ] || measure_shares
for spread in ${spreads//,/ }; do
  if [ "$sharing" -gt 0 ]; then
    settings+=("spread-$spread $(shares_for "$spread") -")
  else
    settings+=("spread-$spread - $(slowdowns_for "$spread")")
  fi
done
[ ${#settings[@]} -gt 0 ] || settings=("as-they-are - -")

for setting in "${settings[@]}"; do
  read -r place shares slowdown <<< "$setting"
  launch=("${MPIRUN[@]}" -n "$ranks") share=() slow=()
  [ "$shares" = - ] || { launch=("$root/slurm/share_gpu.sh" "$shares"); share=(--share-gpu turns); }
  [ "$slowdown" = - ] || slow=(--slowdown "$slowdown")
  echo "== $place: shares $shares, slowdown $slowdown"
  while read -r name model task phase tokens trace_steps tile; do
    folder=$output/$place/$name
    profile=$output/$place/$model.tile$tile.profile.h5
    trace=$output/traces/$name.test.h5
    [ -e "$folder/report.h5" ] && continue
    if [ "$seconds" -gt 0 ] && [ $((SECONDS - begin)) -ge "$seconds" ]; then
      pack "More is to do"
      exit 75
    fi
    echo "== $place/$name (at $((SECONDS - begin)) s)"
    set +e # one workload that fails doesn't take the others with it
    (set -e; workload)
    code=$?
    set -e
    [ $code -eq 0 ] || { echo "one-host.sh: $place/$name failed with exit code $code" >&2; failures=$((failures + 1)); }
  done < <(workloads | grep -E "^($pattern)" || true)
done
pack "Done"
[ $failures -eq 0 ] || { echo "one-host.sh: $failures workloads failed; see above" >&2; exit 4; }
