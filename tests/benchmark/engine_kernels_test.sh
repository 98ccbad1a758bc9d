#!/usr/bin/env bash
# engine_kernels.sh with programs that only leave their results: what is run in which order, that it ends when time is up
# and goes on, and that a failure is told and doesn't hold up the rest.
#   engine_kernels_test.sh SCRIPT
set -euo pipefail
script=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
fail() { echo "FAILED: $*" >&2; cat log >&2; exit 1; }

# Each writes what it is asked for, and its name and times into `calls`; gem-profile and gem-verify wait for their gate as
# the program that stands for the device does.
mkdir bin
cat > bin/program <<'STUB'
#!/bin/bash
name=$(basename "$0")
outputs=()
[ "$name" != emulated_profile ] || outputs=("$2")
for ((i = 1; i < $#; ++i)); do
  j=$((i + 1))
  case ${!i} in --output | --output-train | --output-test) outputs+=("${!j}") ;; esac
done
case $name in
  gem-profile | gem-verify)
    until [ -e "$GEM_GATE" ]; do sleep 0.01; done
    [ ! -s "$GEM_GATE" ] || exit 4
    echo "begin $name ${outputs[0]}" >> calls
    sleep "${STUB_SECONDS:-0.05}"
    echo "end $name ${outputs[0]}" >> calls ;;
esac
case "${outputs[0]}" in ${STUB_FAILS:-none}) exit 4 ;; esac
for output in "${outputs[@]}"; do touch "$output"; done
STUB
cat > bin/mpirun <<'STUB'
#!/bin/bash
shift 2
exec "$@"
STUB
chmod +x bin/*
for program in gem-profile gem-map gem-trace gem-verify emulated_profile; do ln -s program bin/$program; done
export PATH="$folder/bin:$PATH" MPIRUN=mpirun GEM_TRIAL="--dtype f32"
run() { "$script" --output results --engines numpy --cases 'mmlu-256|gpqa-64' "$@" > log 2>&1; }

code=0
STUB_SECONDS=4.2 run --seconds 4 || code=$? # traces come before it, and a second may begin at any moment
[ $code = 75 ] || fail "ends with $code instead of 75 when time is up"
[ -e results/profiles/numpy.mmlu-256.h5 ] || fail "what had begun isn't finished"
[ ! -e results/profiles/numpy.gpqa-64.h5 ] || fail "something began after time was up"
run || fail "doesn't go on"
for made in results/profiles/numpy.{mmlu-256,gpqa-64}.{1.28,1.08}.h5 results/mappings/numpy.{mmlu-256,gpqa-64}.1.08.gem.h5 \
  results/reports/numpy.{mmlu-256,gpqa-64}.{1.28,1.08}.h5; do
  [ -e "$made" ] || fail "$made isn't there"
done
# One at a time, and all profiles first; each once.
awk '{ if ($1 == "begin" && running++) exit 1; if ($1 == "end") --running }' calls || fail "two measured at once: $(cat calls)"
[ "$(grep -c begin calls)" = 6 ] || fail "not six measurements: $(cat calls)"
grep begin calls | tail -n 4 | grep -q gem-profile && fail "a replay before the last profile: $(cat calls)"

rm -rf results calls
code=0
STUB_FAILS='*numpy.mmlu-256.h5' run || code=$?
[ $code = 1 ] || fail "ends with $code instead of 1 after a failure"
grep -q 'failed: profile - mmlu-256' log || fail "the failure isn't told"
[ -e results/reports/numpy.gpqa-64.1.08.h5 ] || fail "a failure holds up the rest"
