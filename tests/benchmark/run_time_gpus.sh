#!/usr/bin/env bash
# On real GPUs, one rank a GPU: copies that share tokens evenly, by speed and by
# a program in every step, and balancers that copy experts in every step with
# bytes that really travel, quotas equal and by speed, against linear and gem
# without copies. What is in OUTPUT already is not done again.
#
#   tests/benchmark/run_time_gpus.sh OUTPUT [RANKS]
#
# Programs: on the PATH. Variables: SLOWDOWN (default 1,1.28) makes the GPUs
# uneven by extra time; LAYERS (4) and STEPS (16) are replayed. Beside the
# reports stand OUTPUT/*.txt, what gem-map and gem-verify say.
set -euo pipefail
[ "${1:-}" != --help ] || { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0; }
data=$(cd "$(dirname "$0")/../../jobs/data" && pwd)
mkdir -p "$1" && cd "$1"
ranks=${2:-2} slowdown=${SLOWDOWN:-1,1.28} layers=${LAYERS:-4} steps=${STEPS:-16}
device=${DEVICE:-cuda}
read -r -a run <<< "${MPIRUN:-mpirun --allow-run-as-root --oversubscribe --bind-to none} -n $ranks"

# done_once NAME COMMAND...: runs it, its output to NAME.txt, unless that was done; verdicts other than faster are fine.
done_once() {
  local name=$1 code=0
  shift
  [ ! -e "$name.txt" ] || return 0
  "$@" > "$name.partial" 2>&1 || code=$?
  [ $code -le 1 ] || { cat "$name.partial" >&2; echo "$name failed with code $code" >&2; exit $code; }
  mv "$name.partial" "$name.txt"
}

case_of() { # case_of NAME PHASE TOKENS
  local name=$1 size=--batch-size
  [ "$2" = decode ] || size=--chunk-tokens
  for part in train test; do
    done_once "$name-$part" gem-trace batch --quiet --routing "$data/routing/gpt-oss-20b.mmlu.h5" --phase "$2" $size "$3" \
      --part $part --steps 32 --output "$name-$part.h5"
  done
  done_once "$name-profile" "${run[@]}" gem-profile --quiet --model gpt-oss-20b --device "$device" --slowdown "$slowdown" \
    --redundant-experts $((2 * ranks)) --exchange --for-trace "$name-train.h5" --min-samples 5 --max-samples 20 \
    ${EXPERT_SHAPE:+--expert-shape "$EXPERT_SHAPE"} --output "$name-profile.h5"
  done_once "$name-gem" gem-map --quiet --profile "$name-profile.h5" --trace "$name-train.h5" --test-trace "$name-test.h5" \
    --effort fast --output "$name-gem.h5"
  done_once "$name-copies" gem-map --quiet --profile "$name-profile.h5" --trace "$name-train.h5" \
    --test-trace "$name-test.h5" --effort fast --redundant-experts "$ranks" --split lp --output "$name-copies.h5"
  for quota in equal speed; do
    local split="speed"
    [ $quota = equal ] || split="lp"
    done_once "$name-$split-$quota" "${run[@]}" gem-verify --quiet --profile "$name-profile.h5" --trace "$name-test.h5" \
      --mapping "$name-copies.h5" --mapping "$name-gem.h5" --split $split --online-exact --quota $quota \
      --layer-count "$layers" --steps "$steps" --rounds 2 --patience 60 --output "$name-$split-$quota.h5"
  done
}

case_of mmlu-4096 prefill 4096
case_of mmlu-256 decode 256
case_of mmlu-16384 prefill 16384
tail -n 60 ./*-speed-equal.txt ./*-lp-speed.txt
