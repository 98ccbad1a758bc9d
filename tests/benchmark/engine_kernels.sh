#!/usr/bin/env bash
# Engines' own kernels through --device command, on one GPU: how well their profiles predict loads that they have not seen,
# and what mappings made from them and from GEM's own kernel bring when the engine's kernel replays them. Four ranks share
# the GPU in turns and differ by proportional time. Ends with the tables of engine_kernels.md.
#
#   tests/benchmark/engine_kernels.sh [--output results/engine_kernels] [--seconds N] [--cases REGEX] [--engines REGEX]
#       [--python python3] [--fraction N] [--dry-run]
#
# --seconds N: begin nothing after N seconds; exit code 75 says that more is to do, and the same command goes on.
# --fraction N: so many replayed steps (default 16). Programs: on the PATH or in build/release/bin, emulated_profile too.
# GEM_VLLM_KERNEL_FILE: a copy of vLLM's fused_moe.py, for the engine vllm; GEM_TRITON_KERNELS: the folder that holds
# triton_kernels/, for the engine gpt_oss. An engine whose file isn't there is left out and named.
# Another device than a GPU, for a trial: GEM_TRIAL="--dtype f32 --expert-shape 64x64" and --engines numpy.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export PATH="$PATH:$root/build/release/bin" PYTHONPATH="$root/kernels/engines:${GEM_TRITON_KERNELS:-}:${PYTHONPATH:-}"
output=results/engine_kernels seconds=0 cases=. engines=. python=python3 steps=16 dry_run=0
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --dry-run) dry_run=1; shift; continue ;;
    --output | --seconds | --cases | --engines | --python | --fraction)
      [ $# -ge 2 ] || { echo "engine_kernels.sh: $1 needs a value; see engine_kernels.sh --help" >&2; exit 2; } ;;
    *) echo "engine_kernels.sh: unknown option $1; see engine_kernels.sh --help" >&2; exit 2 ;;
  esac
  case $1 in
    --output) output=$2 ;;
    --seconds) seconds=$2 ;;
    --cases) cases=$2 ;;
    --engines) engines=$2 ;;
    --python) python=$2 ;;
    --fraction) steps=$2 ;;
  esac
  shift 2
done

ranks=4
read -r -a mpirun <<< "${MPIRUN:-mpirun --allow-run-as-root --oversubscribe --bind-to none}"
read -r -a trial <<< "${GEM_TRIAL:-}"
spreads=(1.28 1.08)
methods=(round-robin eplb speed-aware paper gem)
# shellcheck source=tests/benchmark/steps.sh
. "$root/tests/benchmark/steps.sh"

# name, model, task, phase, tokens a step, experts a device, tile of GEM's own kernel, layers: those of the issue's table
# first, so that they are there if time runs out.
workloads() {
  echo "mmlu-256 gpt-oss-20b mmlu decode 256 8 32 0,11,23"
  echo "mmlu-4096 gpt-oss-20b mmlu prefill 4096 8 128 0,11,23"
  echo "intent-2048 deepseek-v2-lite intent prefill 2048 16 128 1,13,26"
  echo "gpqa-64 gpt-oss-20b gpqa decode 64 8 16 0,11,23"
  echo "intent-512 deepseek-v2-lite intent prefill 512 16 64 1,13,26"
  echo "qwen3-512 Qwen3-30B-A3B synthetic decode 512 32 32 0,1"
}

# name and the program that stands for the device.
engine_list() {
  [ ! -e "${GEM_VLLM_KERNEL_FILE:-/none}" ] || echo "vllm $python -m gem_kernels.vllm"
  [ ! -d "${GEM_TRITON_KERNELS:-/none}" ] || echo "gpt_oss $python -m gem_kernels.gpt_oss"
  echo "torch $python -m gem_kernels.torch"
  [ "${#trial[@]}" = 0 ] || echo "numpy $python -m gem_kernels.numpy"
}

# One device is measured, with validation; those of a spread are made from it.
profile() { # profile KIND OPTIONS...: KIND.NAME.h5 and its two spreads
  local spread base=$output/profiles/$1.$name
  shift
  make "$base.h5" "$base.txt" gem-profile --quiet --model "$model" --experts-per-device "$experts" "${trial[@]}" "$@" \
    --for-trace "$train,$test" --confidence-width 0.015 --min-samples 7 --max-samples 20 --max-point-time 0.3 \
    --validate 100 --trace "$test" --validation-output "$base.csv" --output "$base.h5" || return
  for spread in "${spreads[@]}"; do
    make "$base.$spread.h5" "$base.$spread.txt" emulated_profile "$base.h5" "$base.$spread.h5" "$(slowdowns "$spread")" || return
  done
}

mapping() { # mapping KIND METHOD SPREAD
  search "$output/profiles/$1.$name.$3.h5" "$output/mappings/$1.$name.$3.$2" "$2" 4
}

case_of() { # with $engine and $command, one of each workload
  local own=0 method spread files jobs job
  traces || return
  # GEM's own kernel, where this is a GPU.
  if [ "${#trial[@]}" = 0 ]; then
    profile own --device cuda --tile-tokens "$tile" || return
    own=1
  fi
  profile "$engine" --device command --command "$command" || return
  for spread in "${spreads[@]}"; do
    files=() jobs=()
    # gem sees each of the two profiles, the others that of the engine; the last is judged. All are searched at once.
    if [ $own = 1 ]; then
      mapping own gem "$spread" & jobs+=($!)
      files+=(--mapping "$output/mappings/own.$name.$spread.gem.h5")
    fi
    for method in "${methods[@]}"; do
      mapping "$engine" "$method" "$spread" & jobs+=($!)
      files+=(--mapping "$output/mappings/$engine.$name.$spread.$method.h5")
    done
    for job in "${jobs[@]}"; do wait "$job" || return; done
    make "$output/reports/$engine.$name.$spread.h5" "$output/reports/$engine.$name.$spread.txt" \
      "${mpirun[@]}" -n $ranks gem-verify --quiet --profile "$output/profiles/$engine.$name.$spread.h5" --trace "$test" \
      "${files[@]}" --device command --command "$command" --share-gpu turns --layers "$layers" --steps "$steps" \
      --rounds 2 --output "$output/reports/$engine.$name.$spread.h5" || return
  done
}

tables() {
  echo
  echo "Loads outside the plan: error of the engine's own profile, of it as if loads were even, and of tokens alone, %"
  echo
  echo "| engine | workload | loads | surface: median | p90 | even: median | p90 | tokens: median | p90 |"
  echo "|---|---|---|---|---|---|---|---|---|"
  for file in "$output"/profiles/*.csv; do
    [ -e "$file" ] || continue
    local log=${file%.csv}.txt at
    at=$(basename "${file%.csv}")
    awk -v at="${at/./ | }" '
      function row(source) { printf "| %s | %s |%s%s%s\n", at, source, surface, even == "" ? " | |" : even, tokens; surface = even = tokens = "" }
      $2 == "tiles" && $3 == "and" { source = $1; surface = " " $7 " | " $8 " |" }
      $2 == "the" && $3 == "same" { even = " " $8 " | " $9 " |" }
      $2 == "tokens" { tokens = " " $4 " | " $5 " |"; if (source != "all") row(source) }' "$log"
  done
  echo
  echo "Straggler time of the engines' kernels relative to linear placement, replayed, with 95 % intervals"
  echo
  echo "| engine | workload | spread | round-robin | eplb | speed-aware | paper | gem on our kernel's profile | gem on its own |"
  echo "|---|---|---|---|---|---|---|---|---|"
  local log
  for log in "$output"/reports/*.txt; do
    [ -e "$log" ] || continue
    at=$(basename "${log%.txt}")
    # Rows of the first table: name, ms, ratio, low, -, high. Of two mappings of gem each is called as its file.
    awk -v engine="${at%%.*}" -v spread="${at#*.*.}" -v workload="$(cut -d . -f 2 <<< "$at")" '
      /^mapping  / { ++tables }
      tables == 1 && $5 == "-" && $3 + 0 > 0 {
        name = $1 ~ /^own\./ ? "own" : $1 ~ /gem$/ ? "gem" : $1
        cell[name] = sprintf("%.3f (%.3f-%.3f)", $3, $4, $6)
      }
      END { printf "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", engine, workload, spread, cell["round-robin"],
            cell["eplb"], cell["speed-aware"], cell["paper"], cell["own"], cell["gem"] }' "$log"
  done
  echo
  grep -H '^Prediction per device' -A 1 "$output"/reports/*.txt 2> /dev/null | sed "s|^$output/reports/||" || true
}

[ "$dry_run" = 1 ] || mkdir -p "$output"/{traces,profiles,mappings,reports}
[ -e "${GEM_VLLM_KERNEL_FILE:-/none}" ] || echo "left out: vllm (GEM_VLLM_KERNEL_FILE names no file)"
[ -d "${GEM_TRITON_KERNELS:-/none}" ] || echo "left out: gpt_oss (GEM_TRITON_KERNELS names no folder)"
failures=0
while read -r engine command; do
  while read -r name model task phase tokens experts tile layers; do
    case_of && continue
    if [ $? = 75 ]; then
      tables
      echo "More is to do: the same command goes on"
      exit 75
    fi
    echo "engine_kernels.sh: $engine $name failed" >&2
    failures=$((failures + 1))
  done < <(workloads | grep -E "^($cases)" || true)
done < <(engine_list | grep -E "^($engines)" || true)
[ "$dry_run" = 1 ] || tables
[ $failures = 0 ]
