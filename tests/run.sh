#!/usr/bin/env bash
# Installs what is missing (Debian, Ubuntu; as root), builds everything and passes the tests. Arguments go to ctest, e.g.
#   tests/run.sh -L unit          tests/run.sh -R replay
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=jobs/dependencies.sh
. jobs/dependencies.sh
packages=("${GEM_BUILD_PACKAGES[@]}" "${GEM_REPORT_PACKAGES[@]}" libgtest-dev python3-matplotlib)
# Debian's headless Chromium looks at the report; Ubuntu has none to install without snap, so that this test is skipped.
grep -qs '^ID=debian' /etc/os-release && packages+=(chromium-headless-shell)
require_packages "${packages[@]}"

cmake --preset release
cmake --build --preset release
ctest --preset release --no-tests=error "$@"
