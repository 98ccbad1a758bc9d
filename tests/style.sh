#!/usr/bin/env bash
# Style of all sources: clang-format for C++ and CUDA, ruff and mypy (types)
# for Python, shellcheck for shell; a tool that isn't installed is left out
# with a note.
# Exit code 1 if anything isn't as it should be.
#
#   tests/style.sh [--fix]
set -uo pipefail
cd "$(dirname "$0")/.." || exit 4
case ${1:-} in
  --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
  --fix) fix=true ;;
  '') fix=false ;;
  *) echo "style.sh: unknown option $1; see --help" >&2; exit 2 ;;
esac
failed=0
have() { command -v "$1" > /dev/null || { echo "left out: $1 isn't installed"; return 1; }; }
check() { "$@" || failed=1; }

format=$(command -v clang-format-14 || echo clang-format)
if have "$format"; then
  mapfile -t sources < <(git ls-files '*.cpp' '*.hpp' '*.cu' '*.cuh')
  if $fix; then "$format" -i "${sources[@]}"; else check "$format" --dry-run -Werror --ferror-limit=3 "${sources[@]}"; fi
fi
if have ruff; then
  if $fix; then
    check ruff check --fix analysis policy tests
    ruff format analysis/gem_analysis tests/analysis
  else
    check ruff check analysis policy tests
    check ruff format --check analysis/gem_analysis tests/analysis
  fi
fi
if have mypy; then
  # What comes from packages without types (h5py), or from none here, is taken as it is. The example of the package's
  # page is checked as a user would write it.
  types=(mypy --strict --cache-dir /dev/null --no-error-summary)
  example=$(mktemp --suffix .py)
  sed -n '/^<!-- tested python -->/,/^|/s/^    //p' analysis/README.md > "$example"
  check "${types[@]}" --config-file policy/pyproject.toml policy/gem_policy
  MYPYPATH=analysis check "${types[@]}" --ignore-missing-imports "$example" analysis/gem_analysis
  rm "$example"
fi
if have shellcheck; then
  mapfile -t scripts < <(git ls-files '*.sh' '*.sbatch' slurm/gem-submit analysis/gem-analysis)
  check shellcheck -x -S warning "${scripts[@]}"
fi
[ "$failed" -eq 0 ] && echo "style: good"
exit "$failed"
