#!/usr/bin/env bash
# Passes src/ and jobs/, or some of their folders, through clang-tidy with the
# checks of .clang-tidy. The build needs to be configured only.
#   tests/tidy.sh [BUILD_DIRECTORY [FOLDER...]]
#       (default: build/release, all)
# Exit codes: 0 good, 1 something was found, 2 wrong usage.
set -euo pipefail
case ${1:-} in --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
build=${1:-build/release}
[ -f "$build/compile_commands.json" ] || { echo "tidy.sh: $build is not configured; give a directory of a build" >&2; exit 2; }
command -v clang-tidy > /dev/null || { echo "tidy.sh: clang-tidy is missing: apt-get install clang-tidy" >&2; exit 2; }
shift || true
folders=("$@")
[ ${#folders[@]} -gt 0 ] || folders=(src jobs)
mapfile -t files < <(git ls-files "${folders[@]/%//*.cpp}" | while read -r file; do
  grep -qF "/$file\"" "$build/compile_commands.json" && echo "$file"
done)
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 4 clang-tidy -p "$build" --quiet 2> /dev/null || exit 1
echo "${#files[@]} files passed"
