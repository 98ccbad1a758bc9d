#!/usr/bin/env bash
# The whole proof on the GPUs of one host: profiles each model, maps each
# workload on one half of its requests, replays the other half under every
# mapping (jobs/one_host.toml, a run of gem-batch a setting), and packs the
# small results; gem-analysis replays makes one table of them. Programs are
# those on the PATH or in build/release/bin; if there are none, it builds them
# first. What is finished in the folder of results is not done again.
#
#   slurm/one-host.sh --ranks 4
#       one rank a GPU, the GPUs as they are
#   slurm/one-host.sh --shares 100,94,88,78
#       ranks share one GPU in turns, each with that share of it
#   slurm/one-host.sh --share-gpu 4 --spreads 1.00,1.08,1.28
#       the same, shares for these spreads found by a search
#   slurm/one-host.sh --ranks 4 --spreads 1.08,1.28
#       GPUs made uneven by extra time (emulated: they spin)
#   slurm/one-host.sh --ranks 2 --device host ...
#       a trial on CPU cores, experts shrunk
#
# Options: --shares LIST and --slowdown LIST (as often as wanted: one setting
# each), --output DIR (results/one-host), --workloads REGEX (all), --steps N
# (24), --rounds N (3), --layers N (3, spread over the model), --checked-steps N
# (1, steps whose outputs are compared with one rank's), --full (exchange too,
# not only the experts' compute), --exchange-row-time NS (one more mapping,
# gem-layer, that counts the exchange; an earlier folder's --full says how
# much), --stop-after profiles|mappings (mappings need no GPU: search for them
# elsewhere, in a copy of the folder), --seconds N (begin nothing new after N
# seconds; exit code 75 says that more is to do: the same command goes on),
# --dry-run.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=jobs/dependencies.sh
. "$root/jobs/dependencies.sh"

ranks=0 sharing=0 spreads='' device=cuda output=results/one-host pattern=. seconds=0 dry_run=0 last_stage=replays
keys=(verify_steps=24 rounds=3 layer_count=3 checked_steps=1 compute_only=true)
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
    --steps) keys[0]=verify_steps=$2; shift ;;
    --rounds) keys[1]=rounds=$2; shift ;;
    --layers) keys[2]=layer_count=$2; shift ;;
    --checked-steps) keys[3]=checked_steps=$2; shift ;;
    --full) keys[4]=compute_only=false ;;
    --exchange-row-time) keys+=("method=[{name='gem-layer',exchange_row_time=$2}]"); shift ;;
    --seconds) seconds=$2; shift ;;
    --stop-after)
      [[ $2 = profiles || $2 = mappings ]] || refuse "--stop-after can be profiles or mappings, not $2"
      last_stage=$2; shift ;;
    --dry-run) dry_run=1 ;;
    --help) sed -n '2,29s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) refuse "unknown option $1" ;;
  esac
  shift
done
if [ "$ranks" -eq 0 ] && [ "$sharing" -eq 0 ] && { [ -n "$spreads" ] || [[ "${settings[*]}" != *shares-* ]]; }; then
  refuse "say --ranks N, --share-gpu N or --shares LIST"
fi
keys+=("device='$device'")
shape=()
[ "$device" != host ] || { shape=(--dtype f32 --expert-shape 64x64); keys+=("dtype='f32'" "expert_shape='64x64'"); }

run() {
  if [ "$dry_run" = 1 ]; then printf '%q ' "$@"; echo; else "$@" < /dev/null; fi
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
  local probed=100,92,84,76,68 file=$output/speed-of-shares.txt log=$output/speed-of-shares.log
  [ ! -e "$file" ] || return 0
  [ "$dry_run" = 0 ] || log=/dev/stdout
  run "$root/slurm/share_gpu.sh" "$probed" gem-profile --quiet \
    --model gpt-oss-20b --experts-per-device 8 --device "$device" "${shape[@]}" --share-gpu turns --tile-tokens 128 \
    --max-tokens 8192 --points-per-doubling 1 --min-samples 5 --max-samples 10 --output "$output/speed-of-shares.h5" > "$log"
  [ "$dry_run" = 0 ] || return 0
  # The table's column of speeds.
  awk '$1 ~ /^[0-9]+$/ && NF > 6 { print $3 }' "$log" | paste -d ' ' <(tr , '\n' <<< "$probed") - > "$file.partial"
  mv "$file.partial" "$file"
}

pack() {
  [ "$dry_run" = 0 ] || return 0
  tar -C "$output" -czf "$output.tar.gz" .
  echo "$1 after $((SECONDS - begin)) s: $output.tar.gz"
}

# Profiles and replays on the devices, the search on all cores.
run_setting() { # run_setting FOLDER LAUNCHER...: 75 where time is up
  local place=$1 stage code result=0 key batch
  shift
  batch=(gem-batch "$root/jobs/one_host.toml" --resume --output "$output/$place" "${pairs[@]}")
  for key in "${keys[@]}" "${own_keys[@]}"; do batch+=(--set "$key"); done
  for stage in profiles mappings replays; do
    local launch=("$@") only=(--only "$stage") left=$((begin + seconds - SECONDS))
    [ $stage != mappings ] || launch=("${MPIRUN[@]}" -n "$(nproc)")
    [ $stage != replays ] || only=()
    [ "$seconds" -eq 0 ] || only+=(--begin-within $((left > 0 ? left : 0)))
    code=0
    run "${launch[@]}" "${batch[@]}" "${only[@]}" || code=$?
    [ $code -ne 75 ] || return 75
    [ $code -eq 0 ] || { result=4; echo "one-host.sh: $place: $stage failed with exit code $code; see above" >&2; }
    [ $stage != "$last_stage" ] || break
  done
  return $result
}

if [ "$dry_run" = 1 ]; then programs_or_build "$root" echo; else programs_or_build "$root" >&2; fi
begin=$SECONDS
failed=0
pairs=() # none: all
if [ "$pattern" != . ]; then
  list=$(gem-batch "$root/jobs/one_host.toml" --list) || exit 4
  while read -r _ name; do pairs+=(--pair "$name"); done < <(grep -E "^[0-9]+ [^/]*/($pattern)" <<< "$list" || true)
fi
[ "$dry_run" = 1 ] || mkdir -p "$output"
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
  echo "== $place: shares $shares, slowdown $slowdown (at $((SECONDS - begin)) s)"
  [ "$pattern" = . ] || [ ${#pairs[@]} -gt 0 ] || continue
  launch=("${MPIRUN[@]}" -n "$ranks") own_keys=()
  [ "$shares" = - ] || { launch=("$root/slurm/share_gpu.sh" "$shares"); own_keys=("share_gpu='turns'"); }
  [ "$slowdown" = - ] || own_keys=("slowdown=[$slowdown]")
  code=0
  run_setting "$place" "${launch[@]}" || code=$?
  [ $code -ne 75 ] || { pack "More is to do"; exit 75; }
  failed=$((failed + (code > 0)))
  [ "$dry_run" = 1 ] || sed -s -n '/^VERDICT/,$p' "$output/$place"/pairs/*/*/verify.txt 2> /dev/null || true
done
pack "Done"
[ $failed -eq 0 ] || { echo "one-host.sh: $failed settings have workloads that failed; see above" >&2; exit 4; }
