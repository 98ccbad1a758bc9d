#!/usr/bin/env bash
# Installs what is missing (Debian, Ubuntu; as root), builds everything and passes the tests. Arguments go to ctest, e.g.
#   tests/run.sh -L unit          tests/run.sh -R replay
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=jobs/dependencies.sh
. jobs/dependencies.sh
require_packages "${GEM_BUILD_PACKAGES[@]}" libgtest-dev python3 python3-h5py python3-numpy

cmake --preset release
cmake --build --preset release
ctest --preset release --no-tests=error "$@"
