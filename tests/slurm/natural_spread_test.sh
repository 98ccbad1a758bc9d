#!/usr/bin/env bash
# slurm/natural-spread.sh on two host ranks: two models twice, the comparison, and nothing measured again.
#   natural_spread_test.sh FOLDER_OF_PROGRAMS
set -euo pipefail
# shellcheck source=tests/slurm/script_trial.sh
. "$(dirname "$0")/script_trial.sh"

trial() {
  "$root/slurm/natural-spread.sh" --ranks 2 --device host --models gpt-oss-20b,mixtral-8x7b --max-tokens 256 \
    --output "$folder/trial" "$@" > "$folder/log" 2> "$folder/errors"
}
expect_refused "$root/slurm/natural-spread.sh" --frob --ranks '--ranks 0' '--ranks x' '--max-tokens 10' \
  '--ranks 2 --shares 100,100' '--ranks 2 --pace slow'
trial --dry-run || fail "the dry run failed"
[ ! -e "$folder/trial" ] || fail "a dry run wrote something"
[ "$(grep -c 'gem-profile .* --exchange .* --pace busy' "$folder/log")" -eq 4 ] ||
  fail "the dry run doesn't show four profiles of busy CPU cores"

# Where there are no programs, they would be built.
mkdir -p "$folder/elsewhere/slurm" "$folder/elsewhere/jobs"
cp "$root/slurm/natural-spread.sh" "$folder/elsewhere/slurm/"
cp "$root/jobs/dependencies.sh" "$folder/elsewhere/jobs/"
PATH=/usr/bin:/bin "$folder/elsewhere/slurm/natural-spread.sh" --ranks 2 --dry-run > "$folder/log"
grep -q "^cmake --build $folder/elsewhere/build/release" "$folder/log" || fail "the dry run doesn't show the build"
[ "$(grep -c -- '--pace serving' "$folder/log")" -eq 8 ] || fail "GPUs of their own aren't profiled at the pace of serving"

code=0
# As on a busy machine: the time is over before the first profile begins, which is made all the same.
(export SECONDS=9 && trial --seconds 1) || code=$?
[ $code -eq 75 ] || { cat "$folder/errors" >&2; fail "exit code $code where more is to do, not 75"; }
{ [ -e "$folder/trial/gpt-oss-20b.first.h5" ] && [ ! -e "$folder/trial/gpt-oss-20b.again.h5" ]; } ||
  fail "the limit of time had no effect"
code=0
trial || code=$?
if grep -q 'install python3-' "$folder/errors"; then
  compared=0 # a Python without what gem-analysis needs
else
  [ $code -eq 0 ] || { cat "$folder/errors" >&2; fail "exit code $code"; }
  compared=1
fi
for model in gpt-oss-20b mixtral-8x7b; do
  for time in first again; do
    grep -q 'exchange of two devices by mpi' "$folder/trial/$model.$time.txt" || fail "$model $time has no exchange"
  done
done
[ $compared -eq 0 ] || [ "$(grep -c '^Device 1 takes' "$folder/trial/spread.md")" -eq 2 ] || fail "no two comparisons"
before=$(stat -c %Y.%i "$folder"/trial/*.h5)
trial || [ $compared -eq 0 ] || fail "the second run failed"
[ "$before" = "$(stat -c %Y.%i "$folder"/trial/*.h5)" ] || fail "a finished profile was measured again"
[ $compared -eq 0 ] || tar -tzf "$folder/trial.tar.gz" ./spread.md > /dev/null || fail "the results were not packed"

# One that fails takes no other with it.
code=0
trial --models nonsense,gpt-oss-20b --no-exchange || code=$?
[ $code -eq 4 ] || fail "exit code $code where a profile failed, not 4"
grep -q 'nonsense.first.h5 failed with exit code 2' "$folder/errors" || fail "no word of what failed"
[ $compared -eq 0 ] || [ "$(grep -c '^Device 1 takes' "$folder/trial/spread.md")" -eq 1 ] || fail "the other is not compared"
