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
  tests/benchmark/surface.sh tests/benchmark/engine_kernels.sh; do
  "$root/$script" --help > log 2>&1 || fail "$script --help ends with $?"
  grep -q "$script" log || fail "$script --help doesn't show how it is called"
  ! grep -q '^set ' log || fail "$script --help shows its own commands"
done
expect_refused "$root/jobs/quickstart.sh" --bogus
expect_refused "$root/jobs/held_out_gains.sh" --bogus x
expect_refused "$root/tests/fuzz/run.sh" --bogus
expect_refused "$root/tests/benchmark/ranks.sh" --bogus 'x 3' '2 0'
expect_refused "$root/tests/benchmark/surface.sh" '--bogus 3' --loads
expect_refused "$root/tests/benchmark/engine_kernels.sh" '--bogus 3' --cases
[ ! -e ran ] || fail "something was installed, built or run"
