# shellcheck shell=bash
# Sourced by the tests of slurm/'s scripts, with the folder of programs as argument: root, folder (removed at the end).
# shellcheck disable=SC2034 # used by the tests that source this file
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH="$1:$PATH"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() {
  echo "$1" >&2
  exit 1
}

# expect_refused SCRIPT WORDS...: with each of these words it ends with 2 and one sentence.
expect_refused() {
  local script=$1 words code
  shift
  for words in "$@"; do
    code=0
    # shellcheck disable=SC2086 # several words
    "$script" $words > "$folder/log" 2>&1 || code=$?
    [ "$code $(wc -l < "$folder/log")" = "2 1" ] || fail "'$words' is not refused in one sentence"
  done
}
