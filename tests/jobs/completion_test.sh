#!/usr/bin/env bash
# What bash offers after Tab: commands, options and choices of each program.
#   completion_test.sh FOLDER_OF_PROGRAMS
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
PATH="$1:$PATH"
# shellcheck source=jobs/completion.bash
. "$root/jobs/completion.bash"

# expect OFFERED WORDS...: among what is offered for the last of the words is OFFERED.
expect() {
  local offered=$1
  shift
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  _gem_complete "$1"
  printf '%s\n' "${COMPREPLY[@]}" | grep -qxe "$offered" ||
    { echo "FAILED: $* offers '${COMPREPLY[*]}', not $offered" >&2; exit 1; }
}
expect --profile gem-map --p
expect speed-aware gem-map --method s
expect batch gem-trace b
expect --chunk-tokens gem-trace batch --ch
expect permute gem-deploy p
expect cuda gem-profile --device c
if gem-analysis --help > /dev/null 2>&1; then
  expect replays gem-analysis r
  expect --output gem-analysis report --o
  expect svg gem-analysis report --format s
fi
