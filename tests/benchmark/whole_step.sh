#!/usr/bin/env bash
# Whole decoder steps (TPOT) of unequal GPUs. For each model, load and spread
# one replay under all methods' mappings; ends with their table, which
# tests/benchmark/whole_step.py puts into whole_step.md.
#
#   tests/benchmark/whole_step.sh [--output results/whole_step] [--seconds N]
#       [--cases REGEX] [--spreads 1.28,1.08,1.00]
#       [--full] [--ranks 2] [--pace busy] [--steps 16] [--rounds 3]
#       [--context 2048]
#       [--exchange-fixed-time US] [--exchange-row-time NS] [--dry-run]
#
# Without --ranks four ranks take one GPU in turns; the exchange can't be
# measured then and is counted by the two times given, by default those seen
# between two H200s. --ranks N: that many GPUs at once, exchange measured by
# NCCL, its law in the profile and counted by gem-map as far as it is true.
# Speeds are emulated by proportional time either way. Without --full only
# gpt-oss-20b and DeepSeek-V2-Lite, decode; with it also the paper's five models
# (synthetic routing) and prefill. What is finished isn't done again, and what
# tells most comes first. --seconds N: begin nothing after N seconds; exit code
# 75 says that more is to do, and the same command goes on. Searches run beside
# the measurements, on other cores. Programs: on the PATH or in
# build/release/bin, emulated_profile too. Another device than a GPU, for a
# trial: GEM_TRIAL="--device simulated --devices 1".
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export PATH="$PATH:$root/build/release/bin"
output=results/whole_step seconds=0 cases=. spreads=1.28,1.08,1.00 full=0 steps=16 rounds=3 context=2048 dry_run=0
fixed_us=60 row_ns=15 ranks=0 pace=()
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,23s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --dry-run) dry_run=1; shift; continue ;;
    --full) full=1; shift; continue ;;
    --output | --seconds | --cases | --spreads | --ranks | --pace | --steps | --rounds | --context | \
      --exchange-fixed-time | --exchange-row-time)
      [ $# -ge 2 ] || { echo "whole_step.sh: $1 needs a value; see whole_step.sh --help" >&2; exit 2; } ;;
    *) echo "whole_step.sh: unknown option $1; see whole_step.sh --help" >&2; exit 2 ;;
  esac
  case $1 in
    --output) output=$2 ;;
    --seconds) seconds=$2 ;;
    --cases) cases=$2 ;;
    --spreads) spreads=$2 ;;
    --ranks) ranks=$2 ;;
    --pace) pace=(--pace "$2") ;;
    --steps) steps=$2 ;;
    --rounds) rounds=$2 ;;
    --context) context=$2 ;;
    --exchange-fixed-time) fixed_us=$2 ;;
    --exchange-row-time) row_ns=$2 ;;
  esac
  shift 2
done

read -r -a mpirun <<< "${MPIRUN:-mpirun --allow-run-as-root --oversubscribe --bind-to none}"
read -r -a trial <<< "${GEM_TRIAL:---device cuda}"
devices=$ranks
[ "$ranks" != 0 ] || devices=4
launch=("${mpirun[@]}" -n "$devices")
if [ "$ranks" = 0 ]; then
  share=(--share-gpu turns --compute-only --checked-steps 0 --exchange-fixed-time "$fixed_us" --exchange-row-time "$row_ns")
  measure=(gem-profile) counted=(--exchange-row-time "$row_ns")
else
  share=(--checked-steps 1) measure=("${launch[@]}" gem-profile --exchange) counted=()
fi
measure+=(--shared-time measure)
case " ${trial[*]} " in *" simulated "*) launch=() share=(--exchange-fixed-time "$fixed_us" --exchange-row-time "$row_ns") ;; esac
# shellcheck source=tests/benchmark/steps.sh
. "$root/tests/benchmark/steps.sh"

# Layers of a model that are replayed: of gpt-oss as many with a window as without; synthetic traces have no others.
layers_of() {
  case $1 in
    gpt-oss-20b) echo 0,7,16,23 ;;
    deepseek-v2-lite) echo 1,13,26 ;;
    *) echo 0,1 ;;
  esac
}

# name, model, task, phase, tokens a step, experts a device, layers of one load of one model.
load() { # load NAME MODEL TASK EXPERTS PHASE TOKENS
  local suffix=$6
  [ "$5" = decode ] || suffix=p$6
  echo "$1-$suffix $2 $3 $5 $6 $(($4 / devices)) $(layers_of "$2")"
}

models() {
  if [ "$full" = 1 ]; then
    echo "mixtral Mixtral-8x7B synthetic 8"
    echo "scout Llama-4-Scout-17B-16E synthetic 16"
    echo "hunyuan Hunyuan-A13B synthetic 64"
    echo "qwen3 Qwen3-30B-A3B synthetic 128"
    echo "mixtral22 Mixtral-8x22B synthetic 8"
  fi
  echo "oss gpt-oss-20b mmlu 32"
  echo "lite deepseek-v2-lite intent 64"
}

loads() { # loads PHASE TOKENS: of all models
  local name model task experts
  while read -r name model task experts; do
    load "$name" "$model" "$task" "$experts" "$@"
  done < <(models)
}

# All loads, those that tell most first.
workloads() {
  loads decode 128
  [ "$full" != 1 ] || loads prefill 2048
  loads decode 256
  loads decode 64
  [ "$full" != 1 ] || loads prefill 8192
  loads decode 32
}

# spread and load: the first loads at all spreads, then the others.
rows() {
  local first=7 spread
  [ "$full" != 1 ] || first=14
  for spread in ${spreads//,/ }; do workloads | head -n "$first" | sed "s/^/$spread /"; done
  for spread in ${spreads//,/ }; do workloads | tail -n "+$((first + 1))" | sed "s/^/$spread /"; done
}

# gem-step is what gem-map does by itself where the model has shared experts, else gem-layer is.
choose_methods() { # sets $methods
  methods=(eplb speed-aware paper gem gem-layer)
  case $model in deepseek-v2-lite | Llama-4-Scout* | Hunyuan-A13B) methods+=(gem-step) ;; esac
}

mapping() { # mapping METHOD
  local method=$1 options=(--exchange-row-time 0 --shared-experts ignore)
  [ "$1" != gem-layer ] || { method=gem options=("${counted[@]}" --shared-experts ignore); }
  [ "$1" != gem-step ] || { method=gem options=("${counted[@]}"); }
  search "$output/profiles/$name.$spread.h5" "$output/mappings/$name.$spread/$1" "$method" "${#methods[@]}" \
    "${options[@]}"
}

# One profile a load is measured; those of a spread are made from it.
prepare() {
  local base=$output/profiles/$name method jobs=() job
  traces || return
  make "$base.h5" "$base.txt" "${measure[@]}" --quiet --model "$model" --experts-per-device "$experts" "${trial[@]}" \
    --for-trace "$test" --confidence-width 0.015 --min-samples 7 --max-samples 16 \
    --max-point-time 0.2 "${pace[@]}" --context "$context" --output "$base.h5" || return
  make "$base.$spread.h5" "$base.$spread.txt" emulated_profile "$base.h5" "$base.$spread.h5" \
    "$(slowdowns "$spread" "$devices")" || return
  [ "$dry_run" = 1 ] || mkdir -p "$output/mappings/$name.$spread"
  for method in "${methods[@]}"; do # all at once
    mapping "$method" & jobs+=($!)
  done
  searches=("${jobs[@]}")
}

replay() { # after its searches
  local files=() method job batch=(--context "$context") base=$output/profiles/$name
  traces || return # are there: their names
  for job in "$@"; do wait "$job" || return; done
  for method in "${methods[@]}"; do files+=(--mapping "$output/mappings/$name.$spread/$method.h5"); done
  [ "$phase" != decode ] || batch+=(--batch "$tokens" --output-tokens "$((steps / 2))")
  make "$output/reports/$name.$spread.h5" "$output/reports/$name.$spread.txt" \
    "${launch[@]}" gem-verify --quiet --profile "$base.$spread.h5" --trace "$test" "${files[@]}" --judge "${methods[-1]}" \
    --model "$model" "${share[@]}" --whole-step "${batch[@]}" --layers "$layers" --steps "$steps" \
    --rounds "$rounds" --output "$output/reports/$name.$spread.h5"
}

read_row() { # of $1
  read -r spread name model task phase tokens experts layers <<< "$1"
  choose_methods
}

finish() { # the row whose searches run
  local row=$1
  shift
  read_row "$row"
  # shellcheck disable=SC2015
  replay "$@" && return 0 || code=$?
  [ $code != 75 ] || more=1
  [ $code = 75 ] || { echo "whole_step.sh: $name at $spread failed" >&2; failures=$((failures + 1)); }
}

[ "$dry_run" = 1 ] || mkdir -p "$output"/{traces,profiles,mappings,reports}
failures=0 more=0 waiting="" running=() searches=()
while read -r row; do
  read_row "$row"
  [ ! -e "$output/reports/$name.$spread.h5" ] || continue
  code=0 searches=()
  prepare || code=$?
  next=("${searches[@]}")
  # While the searches of this row run, the row before is replayed.
  [ -z "$waiting" ] || finish "$waiting" "${running[@]}"
  waiting=""
  [ "$code" != 0 ] || { waiting=$row running=("${next[@]}"); }
  [ "$code" != 75 ] || { more=1; break; }
  [ "$code" = 0 ] || { echo "whole_step.sh: ${row#* } failed" >&2; failures=$((failures + 1)); }
  [ "$more" = 0 ] || break
done < <(rows | grep -E "^[0-9.]+ ($cases)" || true)
[ -z "$waiting" ] || finish "$waiting" "${running[@]}"
wait
[ "$dry_run" = 1 ] || python3 "$root/tests/benchmark/whole_step.py" "$output"
if [ $more = 1 ]; then
  echo "More is to do: the same command goes on"
  exit 75
fi
[ $failures = 0 ]
