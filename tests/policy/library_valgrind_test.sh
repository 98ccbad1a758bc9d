#!/usr/bin/env bash
# library_valgrind_test.sh TESTS: the library's tests under valgrind: no wrong access, nothing lost; 10,000 calls as 100, or as
# many as GEM_POLICY_TEST_CALLS says (10,000 take minutes).
set -euo pipefail
command -v valgrind > /dev/null || { echo "skipped: no valgrind"; exit 77; }
export GEM_POLICY_TEST_CALLS=${GEM_POLICY_TEST_CALLS:-100}
exec valgrind --quiet --error-exitcode=1 --leak-check=full --show-leak-kinds=definite,indirect,possible \
  --errors-for-leak-kinds=definite,indirect,possible "$1" --gtest_brief=1
