#!/usr/bin/env bash
# What --help of each program and command shows: nothing wider than 80 columns, the version with what is built in; and
# the examples that need neither several ranks nor one's own files run as they stand.
#   help_test.sh FOLDER_OF_PROGRAMS
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd) folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() {
  echo "FAILED: $1" >&2
  exit 1
}
PATH="$1:$PATH"
cd "$folder"
ln -s "$root/jobs" jobs
for call in gem-profile 'gem-trace batch' 'gem-trace import' 'gem-trace synthesize' 'gem-trace describe' \
  'gem-trace split' gem-map gem-verify 'gem-deploy export' 'gem-deploy permute' 'gem-deploy profile' \
  'gem-deploy import' 'gem-deploy moves' 'gem-deploy check' gem-adapt gem-batch; do
  # shellcheck disable=SC2086  # a program and its command
  $call --help > help.txt || fail "$call --help ends with $?"
  ! grep -n '.\{81\}' help.txt || fail "$call --help is wider than 80 columns"
  grep -q '^Usage: ' help.txt || fail "$call --help has no usage line"
  # Examples, continued lines joined; those with several ranks or others' models are for other tests.
  sed -n '/^Examples:/,$p' help.txt | sed '1d; s/^ *//' | sed -e ':a' -e '/\\$/N; s/\\\n *//; ta' |
    { grep -v 'mpirun\|MODEL\|recorder\|expert_statistic\|routed\|--mapping\|--input\|--from' || true; } > examples.sh
  bash -euo pipefail examples.sh > log 2>&1 || fail "an example of $call --help: $(tail -n 1 log)"
done
gem-map --version | grep -q '^revision: ' || fail "--version doesn't show the revision"
gem-deploy --version | grep -q 'HDF5 1\.' || fail "--version doesn't show the libraries"
