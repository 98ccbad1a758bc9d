#!/usr/bin/env bash
# Engines' own kernels through --device command, on one GPU: how well their
# profiles predict loads that they have not seen, and what mappings made from
# them and from GEM's own kernel bring when the engine's kernel replays them.
# Four ranks share the GPU in turns and differ by proportional time. Ends with
# the tables of engine_kernels.md.
#
#   tests/benchmark/engine_kernels.sh [--output results/engine_kernels]
#       [--seconds N] [--cases REGEX] [--engines REGEX]
#       [--spreads LIST] [--ranks N] [--python python3] [--fraction N]
#       [--rounds 2] [--dry-run]
#
# First all profiles, then all replays. While one measures, the cores search the
# mappings of those before, and the next one's programs start and wait at a
# gate, so that the device hardly rests.
# --seconds N: begin nothing after N seconds; exit code 75 says that more is to
# do, and the same command goes on.
# --ranks N: on N GPUs at once, one a rank, instead of four ranks in turns on
# one.
# --spreads LIST: how much longer the slowest takes (default 1.28,1.08); 1 with
# --ranks for the GPUs as they are.
# --fraction N: so many replayed steps (default 16). Programs: on the PATH or in
# build/release/bin, emulated_profile too.
# GEM_VLLM_KERNEL_FILE: a copy of vLLM's fused_moe.py, for the engine vllm;
# GEM_TRITON_KERNELS: the folder that holds triton_kernels/, for the engine
# gpt_oss. An engine whose file isn't there is left out and named. Another
# device than a GPU, for a trial: GEM_TRIAL="--dtype f32 --expert-shape 64x64"
# and --engines numpy.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export PATH="$PATH:$root/build/release/bin" PYTHONPATH="$root/kernels/engines:${GEM_TRITON_KERNELS:-}:${PYTHONPATH:-}"
output=results/engine_kernels seconds=0 cases=. engines=. spreads=1.28,1.08 ranks=4 in_turns=1 python=python3 steps=16 rounds=2 dry_run=0
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,28s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --dry-run) dry_run=1; shift; continue ;;
    --output | --seconds | --cases | --engines | --spreads | --ranks | --python | --fraction | --rounds)
      [ $# -ge 2 ] || { echo "engine_kernels.sh: $1 needs a value; see engine_kernels.sh --help" >&2; exit 2; } ;;
    *) echo "engine_kernels.sh: unknown option $1; see engine_kernels.sh --help" >&2; exit 2 ;;
  esac
  case $1 in
    --output) output=$2 ;;
    --seconds) seconds=$2 ;;
    --cases) cases=$2 ;;
    --engines) engines=$2 ;;
    --spreads) spreads=$2 ;;
    --ranks) ranks=$2 in_turns=0 ;;
    --python) python=$2 ;;
    --fraction) steps=$2 ;;
    --rounds) rounds=$2 ;;
  esac
  shift 2
done

read -r -a mpirun <<< "${MPIRUN:-mpirun --allow-run-as-root --oversubscribe --bind-to none}"
read -r -a trial <<< "${GEM_TRIAL:-}"
methods=(eplb speed-aware paper gem)
# shellcheck source=tests/benchmark/steps.sh
. "$root/tests/benchmark/steps.sh"

# name, model, task, phase, tokens a step, tile of GEM's own kernel, layers: those of the issue's table first, so that they
# are there if time runs out.
workloads() {
  echo "mmlu-256 gpt-oss-20b mmlu decode 256 32 0,11,23"
  echo "mmlu-4096 gpt-oss-20b mmlu prefill 4096 128 0,11,23"
  echo "intent-2048 deepseek-v2-lite intent prefill 2048 128 1,13,26"
  echo "gpqa-64 gpt-oss-20b gpqa decode 64 16 0,11,23"
  echo "intent-512 deepseek-v2-lite intent prefill 512 64 1,13,26"
  echo "qwen3-512 Qwen3-30B-A3B synthetic decode 512 32 0,1"
}

# name and the program that stands for the device, which waits for its turn before it touches it.
engine_list() {
  local run="$python $root/tests/benchmark/gated.py"
  [ ! -e "${GEM_VLLM_KERNEL_FILE:-/none}" ] || echo "vllm $run gem_kernels.vllm"
  [ ! -d "${GEM_TRITON_KERNELS:-/none}" ] || echo "gpt_oss $run gem_kernels.gpt_oss"
  echo "torch $run gem_kernels.torch"
  [ "${#trial[@]}" = 0 ] || echo "numpy $run gem_kernels.numpy"
}

# All pairs of them, but for gpt-oss's kernels with other models' shapes, which nobody serves with them.
pairs() {
  local workload engine
  while read -r workload; do
    while read -r engine; do
      case "$engine $workload" in gpt_oss*gpt-oss* | [^g]*) echo "$workload $engine" ;; esac
    done < <(engine_list | grep -E "^($engines)" || true)
  done < <(workloads | grep -E "^($cases)" || true)
}

other_pairs() { # those
  local engine
  engine=$(engine_list | grep -E "^($engines)" | grep "^gpt_oss") || return 0
  workloads | grep -E "^($cases)" | grep -v gpt-oss | sed "s|\$| $engine|" || true
}

# Kernels that are compiled when they are first called: all at once, while nothing is timed yet.
compile() {
  local jobs=() job
  while read -r name model task phase tokens tile layers engine command; do
    case $engine in vllm | gpt_oss) ;; *) continue ;; esac
    traces || return
    make "$output/compiled/$engine.$name.h5" "$output/compiled/$engine.$name.txt" gem-profile --quiet --model "$model" \
      --experts-per-device "$(experts)" --device command --command "$command" --for-trace "$train,$test" --min-samples 2 \
      --max-samples 2 --points-per-doubling 2 --output "$output/compiled/$engine.$name.h5" & jobs+=($!)
  done < <(pairs; other_pairs)
  for job in "${jobs[@]}"; do wait "$job" || true; done
}

experts() { # that a device holds
  local all=32
  case $model in deepseek*) all=64 ;; Qwen3*) all=128 ;; esac
  echo $((all / ranks))
}

# In turns one device is measured, with validation, and those of a spread are made from it; else all are, at once.
profile() { # profile KIND SPREAD OPTIONS...: KIND.NAME.SPREAD.h5
  local kind=$1 spread=$2 base=$output/profiles/$1.$name made=$output/profiles/$1.$name.$2 as_one=()
  shift 2
  if [ "$in_turns" = 0 ]; then
    base=$made as_one=("${mpirun[@]}" -n "$ranks")
    set -- "$@" --slowdown "$(slowdowns "$spread" "$ranks")"
  fi
  [ "$kind" = own ] || set -- "$@" --validate 100 --trace "$test" --validation-output "$base.csv"
  make "$base.h5" "$base.txt" "${as_one[@]}" gem-profile --quiet --model "$model" --experts-per-device "$(experts)" \
    "${trial[@]}" "$@" --for-trace "$train,$test" --confidence-width 0.015 --min-samples 7 --max-samples 20 \
    --max-point-time 0.3 --pace busy --output "$base.h5" || return
  [ "$base" = "$made" ] ||
    make "$made.h5" "$made.txt" emulated_profile "$base.h5" "$made.h5" "$(slowdowns "$spread" "$ranks")"
}

# Measurements, one after the other: what is measured, spread, and a pair of workload and engine.
measurements() {
  local spread
  # GEM's own kernel, where this is a GPU.
  [ "${#trial[@]}" -gt 0 ] || workloads | grep -E "^($cases)" | sed 's/^/own - /; s/$/ own -/' || true
  { pairs; other_pairs; } | sed 's/^/profile - /'
  for spread in ${spreads//,/ }; do pairs | sed "s/^/replay $spread /"; done
  for spread in ${spreads//,/ }; do other_pairs | sed "s/^/replay $spread /"; done
}

read_measurement() { # of $1
  read -r what spread name model task phase tokens tile layers engine command <<< "$1"
}

stopped() { grep -q stop "$GEM_GATE" 2> /dev/null; }

# 75 where time was up.
measure() { # of $1, in a process of its own
  measure_at_gate "$1" && return
  local code=$?
  ! stopped || code=75
  return $code
}

measure_at_gate() { # of $1
  local each method files=() given=() turns=()
  read_measurement "$1"
  traces || return
  case $what in
    own)
      until [ "$dry_run" = 1 ] || [ -e "$GEM_GATE" ]; do sleep 0.02; done
      ! stopped || return 75
      for each in ${spreads//,/ }; do profile own "$each" --device cuda --tile-tokens "$tile" || return; done ;;
    profile)
      for each in ${spreads//,/ }; do profile "$engine" "$each" --device command --command "$command" || return; done ;;
    replay)
      # gem sees each of the two profiles, the others that of the engine; the last is judged.
      [ "${#trial[@]}" -gt 0 ] || files=("$output/mappings/own.$name.$spread.gem.h5")
      for method in "${methods[@]}"; do files+=("$output/mappings/$engine.$name.$spread.$method.h5"); done
      wait_for "${files[@]}" || return
      for each in "${files[@]}"; do given+=(--mapping "$each"); done
      [ "$in_turns" = 0 ] || turns=(--share-gpu turns)
      make "$output/reports/$engine.$name.$spread.h5" "$output/reports/$engine.$name.$spread.txt" \
        "${mpirun[@]}" -n "$ranks" gem-verify --quiet --profile "$output/profiles/$engine.$name.$spread.h5" \
        --trace "$test" "${given[@]}" --device command --command "$command" \
        --command-timeout 600 "${turns[@]}" --layers "$layers" --steps "$steps" --rounds "$rounds" \
        --output "$output/reports/$engine.$name.$spread.h5" ;;
  esac
}

# What searches in the background are to leave; in vain where one failed or its profile isn't there when all are measured.
wait_for() { # wait_for MAPPING...
  local file profile
  [ "$dry_run" = 0 ] || return 0
  for file in "$@"; do
    profile=$output/profiles/$(basename "${file%.*.h5}").h5
    until [ -e "$file" ]; do
      ! stopped || return 75
      [ ! -e "${file%.h5}.txt.failed" ] && { [ -e "$profile" ] || [ ! -e "$GEM_GATE" ]; } || return 1
      sleep 0.1
    done
  done
}

# Searches what this profile is for, beside all that is measured: all methods at once, one spread after the other.
search_mappings() { # of $1, in a process of its own
  local each method searched_by=("${methods[@]}")
  [ "$dry_run" = 1 ] || renice -n 19 "$BASHPID" > /dev/null
  read_measurement "$1"
  traces || return
  [ "$what" != own ] || searched_by=(gem)
  for each in ${spreads//,/ }; do
    for method in "${searched_by[@]}"; do
      search "$output/profiles/$engine.$name.$each.h5" "$output/mappings/$engine.$name.$each.$method" "$method" 8 &
    done
    wait
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
  echo "| engine | workload | spread | eplb | speed-aware | paper | gem on our kernel's profile | gem on its own |"
  echo "|---|---|---|---|---|---|---|---|"
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
      END { printf "| %s | %s | %s | %s | %s | %s | %s | %s |\n", engine, workload, spread,
            cell["eplb"], cell["speed-aware"], cell["paper"], cell["own"], cell["gem"] }' "$log"
  done
  echo
  grep -H '^Prediction per device' -A 1 "$output"/reports/*.txt 2> /dev/null | sed "s|^$output/reports/||" || true
}

[ "$dry_run" = 1 ] || mkdir -p "$output"/{traces,compiled,profiles,mappings,reports,gates}
[ -e "${GEM_VLLM_KERNEL_FILE:-/none}" ] || echo "left out: vllm (GEM_VLLM_KERNEL_FILE names no file)"
[ -d "${GEM_TRITON_KERNELS:-/none}" ] || echo "left out: gpt_oss (GEM_TRITON_KERNELS names no folder)"
while read -r name model task phase tokens tile layers; do
  traces &
done < <(workloads | grep -E "^($cases)" || true)
wait
[ "${#trial[@]}" -gt 0 ] || compile
rm -f "$output"/gates/* "$output"/mappings/*.failed
failures=0 more=0 number=0 running="" job=""

# Ends the measurement that runs, and begins the searches from a profile.
end_running() {
  local code=0
  [ -n "$job" ] || return 0
  wait "$job" || code=$?
  job=""
  case $code in
    0) case $running in own* | profile*) search_mappings "$running" & ;; esac ;;
    75) more=1 ;;
    *)
      cat "$output/gates/$number.log" >&2
      echo "engine_kernels.sh: failed: $running" >&2
      failures=$((failures + 1)) ;;
  esac
}

while read -r next <&3; do
  export GEM_GATE=$output/gates/$((number + 1))
  if [ "$dry_run" = 1 ]; then
    measure "$next"
    case $next in own* | profile*) search_mappings "$next" ;; esac
    continue
  fi
  measure "$next" 2> "$GEM_GATE.log" & next_job=$!
  end_running
  number=$((number + 1)) running=$next job=$next_job
  if [ "$seconds" -gt 0 ] && [ $((SECONDS - begin)) -ge "$seconds" ]; then echo stop; fi > "$GEM_GATE.new"
  mv "$GEM_GATE.new" "$GEM_GATE"
done 3< <(measurements)
end_running
wait
[ "$dry_run" = 1 ] || tables
if [ $more = 1 ]; then
  echo "More is to do: the same command goes on"
  exit 75
fi
[ $failures = 0 ]
