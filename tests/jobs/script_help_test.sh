#!/usr/bin/env bash
# Scripts that install, build or measure: --help only helps, and wrong words are refused in one sentence.
#   script_help_test.sh FOLDER_OF_PROGRAMS
set -euo pipefail
# shellcheck source=tests/slurm/script_trial.sh
. "$(dirname "$0")/../slurm/script_trial.sh"

# What would install, build or run anything leaves a trace instead.
for program in apt-get cmake ctest gem-profile gem-trace; do
  printf '#!/bin/sh\ntouch "%s/ran"\nexit 9\n' "$folder" > "$folder/$program"
  chmod +x "$folder/$program"
done
PATH="$folder:$PATH"
cd "$folder"
for script in jobs/quickstart.sh jobs/held_out_gains.sh tests/run.sh tests/fuzz/run.sh tests/benchmark/ranks.sh \
  tests/benchmark/surface.sh tests/benchmark/engine_kernels.sh tests/benchmark/whole_step.sh \
  tests/benchmark/adapt_gpus.sh tests/benchmark/adaptation.sh; do
  "$root/$script" --help > log 2>&1 || fail "$script --help ends with $?"
  grep -q "$script" log || fail "$script --help doesn't show how it is called"
  ! grep -q '^set ' log || fail "$script --help shows its own commands"
done
# Every script that is called by hand has a help; tests are called by ctest.
has_help='^ *\(case .* in \)\?--help) \|!= --help \]'
for script in "$root"/{jobs,slurm}/*.sh "$root"/tests/*.sh "$root"/tests/{benchmark,fuzz}/*.sh; do
  [ -x "$script" ] && [[ $script != *_test.sh ]] || continue
  grep -q "$has_help" "$script" || fail "$script has no --help"
done
# Every help: of this project as it lies there, whatever is added.
while read -r script; do
  "$script" --help > log 2>&1 || fail "$script --help ends with $?"
  [ -s log ] || fail "$script --help says nothing"
  ! grep -q '.\{81\}' log || fail "$script --help is wider than 80 columns: $(grep -m 1 '.\{81\}' log)"
done < <(grep -l "$has_help" "$root"/{jobs,slurm,tests}/*.sh "$root"/slurm/gem-submit \
  "$root"/tests/{benchmark,campaign,fuzz}/*.sh)
# Python that users start: help needs none of the packages that it works with.
for script in analysis/record_routing.py analysis/subset_routing.py; do
  python3 -S "$root/$script" --help > log 2>&1 || fail "$script --help ends with $?: $(tail -n 1 log)"
done
# What scripts print by themselves, variables as they stand there.
for script in "$root"/jobs/{quickstart,dependencies}.sh "$root"/slurm/{common,submit,pipeline}.sh "$root"/slurm/gem-submit; do
  ! grep -n 'echo "[^"]\{81,\}"' "$script" || fail "$script prints a line that is wider than 80 columns"
done
for program in "$1"/gem-*; do
  [ -x "$program" ] && [[ $program != *_tests ]] || continue
  "$program" --help > log 2>&1 || fail "$program --help ends with $?"
  ! grep -q '.\{81\}' log || fail "$program --help is wider than 80 columns: $(grep -m 1 '.\{81\}' log)"
done
expect_refused "$root/jobs/quickstart.sh" --bogus
expect_refused "$root/jobs/held_out_gains.sh" --bogus x
expect_refused "$root/tests/fuzz/run.sh" --bogus
expect_refused "$root/tests/benchmark/ranks.sh" --bogus 'x 3' '2 0'
expect_refused "$root/tests/benchmark/surface.sh" '--bogus 3' --loads
expect_refused "$root/tests/benchmark/engine_kernels.sh" '--bogus 3' --cases
expect_refused "$root/tests/benchmark/whole_step.sh" '--bogus 3' --cases
[ ! -e ran ] || fail "something was installed, built or run"
