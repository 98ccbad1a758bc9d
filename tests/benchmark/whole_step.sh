#!/usr/bin/env bash
# Whole decoder steps (TPOT) of unequal GPUs, measured on one: four ranks share the GPU in turns and differ by proportional
# time. For each model, batch and spread one replay under all methods' mappings; ends with their table.
#
#   tests/benchmark/whole_step.sh [--output results/whole_step] [--seconds N] [--cases REGEX] [--spreads 1.28,1.08,1.00]
#       [--full] [--steps 16] [--rounds 2] [--context 2048] [--exchange-fixed-time US] [--exchange-row-time NS] [--dry-run]
#
# What is finished isn't done again. --seconds N: begin nothing after N seconds; exit code 75 says that more is to do, and
# the same command goes on. Without --full only gpt-oss-20b and DeepSeek-V2-Lite, decode; with it also the paper's other
# models (synthetic routing) and prefill. Programs: on the PATH or in build/release/bin, emulated_profile too. The exchange
# can't be measured in turns: it is counted by the two times given, by default those seen between two H200s.
# Another device than a GPU, for a trial: GEM_TRIAL="--device simulated --devices 1".
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export PATH="$PATH:$root/build/release/bin"
output=results/whole_step seconds=0 cases=. spreads=1.28,1.08,1.00 full=0 steps=16 rounds=2 context=2048 dry_run=0
fixed_us=60 row_ns=15
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,16s/^# \{0,1\}//p' "$0" | fold -s -w 80; exit 0 ;;
    --dry-run) dry_run=1; shift; continue ;;
    --full) full=1; shift; continue ;;
    --output | --seconds | --cases | --spreads | --steps | --rounds | --context | --exchange-fixed-time | --exchange-row-time)
      [ $# -ge 2 ] || { echo "whole_step.sh: $1 needs a value; see whole_step.sh --help" >&2; exit 2; } ;;
    *) echo "whole_step.sh: unknown option $1; see whole_step.sh --help" >&2; exit 2 ;;
  esac
  case $1 in
    --output) output=$2 ;;
    --seconds) seconds=$2 ;;
    --cases) cases=$2 ;;
    --spreads) spreads=$2 ;;
    --steps) steps=$2 ;;
    --rounds) rounds=$2 ;;
    --context) context=$2 ;;
    --exchange-fixed-time) fixed_us=$2 ;;
    --exchange-row-time) row_ns=$2 ;;
  esac
  shift 2
done

ranks=4
read -r -a mpirun <<< "${MPIRUN:-mpirun --allow-run-as-root --oversubscribe --bind-to none}"
read -r -a trial <<< "${GEM_TRIAL:---device cuda}"
launch=("${mpirun[@]}" -n "$ranks") share=(--share-gpu turns)
case " ${trial[*]} " in *" simulated "*) launch=() share=() ;; esac
methods=(eplb speed-aware paper gem gem-layer)
# shellcheck source=tests/benchmark/steps.sh
. "$root/tests/benchmark/steps.sh"

# name, model, task, phase, tokens a step, experts a device, tile, layers: by importance, so that the first are there if
# time runs out. Of gpt-oss as many layers with a window as without.
workloads() {
  local batch
  for batch in 256,32 64,16 128,16 32,16; do
    echo "oss-${batch%,*} gpt-oss-20b mmlu decode ${batch%,*} 8 ${batch#*,} 0,7,16,23"
    echo "lite-${batch%,*} deepseek-v2-lite intent decode ${batch%,*} 16 ${batch#*,} 1,13,26"
  done
  [ "$full" = 1 ] || return 0
  for batch in 256,64 64,16 128,32 32,16; do
    echo "mixtral-${batch%,*} Mixtral-8x7B synthetic decode ${batch%,*} 2 ${batch#*,} 0,31"
    echo "scout-${batch%,*} Llama-4-Scout-17B-16E synthetic decode ${batch%,*} 4 16 0,47"
    echo "hunyuan-${batch%,*} Hunyuan-A13B synthetic decode ${batch%,*} 16 32 0,31"
    echo "qwen3-${batch%,*} Qwen3-30B-A3B synthetic decode ${batch%,*} 32 16 0,24,47"
    echo "mixtral22-${batch%,*} Mixtral-8x22B synthetic decode ${batch%,*} 2 ${batch#*,} 0,55"
  done
  for batch in 2048,128 8192,256; do
    echo "oss-p${batch%,*} gpt-oss-20b mmlu prefill ${batch%,*} 8 ${batch#*,} 0,7,16,23"
    echo "lite-p${batch%,*} deepseek-v2-lite intent prefill ${batch%,*} 16 128 1,13,26"
  done
}

mapping() { # mapping METHOD SPREAD
  local method=$1 counted=()
  [ "$1" != gem-layer ] || { method=gem counted=(--exchange-row-time "$row_ns"); }
  search "$output/profiles/$name.$2.h5" "$output/mappings/$name.$2/$1" "$method" "${#methods[@]}" "${counted[@]}"
}

workload() {
  local method spread files jobs job base=$output/profiles/$name decode=()
  traces || return
  # One device is measured; those of a spread are made from it.
  make "$base.h5" "$base.txt" gem-profile --quiet --model "$model" --experts-per-device "$experts" "${trial[@]}" \
    --tile-tokens "$tile" --for-trace "$train,$test" --confidence-width 0.015 --min-samples 7 --max-samples 20 \
    --max-point-time 0.3 --output "$base.h5" || return
  [ "$phase" != decode ] || decode=(--batch "$tokens" --context "$context" --output-tokens "$((steps / 2))")
  for spread in ${spreads//,/ }; do
    make "$base.$spread.h5" "$base.$spread.txt" emulated_profile "$base.h5" "$base.$spread.h5" \
      "$(slowdowns "$spread")" || return
    files=() jobs=()
    [ "$dry_run" = 1 ] || mkdir -p "$output/mappings/$name.$spread"
    for method in "${methods[@]}"; do # all at once
      mapping "$method" "$spread" & jobs+=($!)
      files+=(--mapping "$output/mappings/$name.$spread/$method.h5")
    done
    for job in "${jobs[@]}"; do wait "$job" || return; done
    make "$output/reports/$name.$spread.h5" "$output/reports/$name.$spread.txt" \
      "${launch[@]}" gem-verify --quiet --profile "$base.$spread.h5" --trace "$test" "${files[@]}" --judge gem \
      "${share[@]}" --whole-step --compute-only --checked-steps 0 "${decode[@]}" --layers "$layers" --steps "$steps" \
      --rounds "$rounds" --exchange-fixed-time "$fixed_us" --exchange-row-time "$row_ns" \
      --output "$output/reports/$name.$spread.h5" || return
  done
}

table() {
  local log at
  echo
  echo "Time per output token relative to linear placement, with 95 % intervals; ms of linear; shares of linear's step"
  echo
  echo "| workload | spread | linear, ms | eplb | speed-aware | paper | gem | gem, exchange counted | force-balanced |\
 experts, exchange, attention, waiting, % | error, % |"
  echo "|---|---|---|---|---|---|---|---|---|---|---|"
  for log in "$output"/reports/*.txt; do
    [ -e "$log" ] || continue
    at=$(basename "${log%.txt}")
    # Tables that begin with "mapping  TPOT" (the first is that of steps) and "mapping  experts".
    awk -v workload="${at%%.*}" -v spread="${at#*.}" '
      /^mapping/ { table = $2 == "TPOT" && !tpot++ ? "times" : $2 == "experts" ? "shares" : ""; next }
      NF < 7 || $2 + 0 <= 0 { next }
      { name = $1 }
      table == "times" { ms[name] = $2; cell[name] = $5 == "-" ? sprintf("%.3f (%.3f-%.3f)", $3, $4, $6) : $3 }
      table == "shares" && name == "linear" { shares = $2 ", " $3 ", " $4 ", " $5 }
      table == "shares" && name == "gem" { error = $8 }
      END { printf "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", workload, spread, ms["linear"],
            cell["eplb"], cell["speed-aware"], cell["paper"], cell["gem"], cell["gem-layer"], cell["force-balanced"],
            shares, error }' "$log"
  done
  echo
  echo "Composed: exchange $fixed_us us a layer and $row_ns ns for each row of the device that gets most. Speeds emulated."
}

[ "$dry_run" = 1 ] || mkdir -p "$output"/{traces,profiles,mappings,reports}
failures=0
while read -r name model task phase tokens experts tile layers; do
  workload && continue
  if [ $? = 75 ]; then
    table
    echo "More is to do: the same command goes on"
    exit 75
  fi
  echo "whole_step.sh: $name failed" >&2
  failures=$((failures + 1))
done < <(workloads | grep -E "^($cases)" || true)
[ "$dry_run" = 1 ] || table
[ $failures = 0 ]
