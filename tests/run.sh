#!/usr/bin/env bash
# Installs what is missing (Debian, Ubuntu; as root), builds everything and
# passes the tests. Arguments go to ctest, e.g.
#   tests/run.sh -L unit          tests/run.sh -R replay
# With --slurm first it installs Slurm too, whose tests are skipped otherwise,
# and lets nothing of it be skipped:
#   tests/run.sh --slurm -L slurm
# With --torch first likewise Debian's PyTorch (150 packages), by which the
# adapter of kernels/engines is tested on the CPU:
#   tests/run.sh --torch -R engine_kernel
set -euo pipefail
[ "${1:-}" != --help ] || { sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0; }
cd "$(dirname "$0")/.."
# shellcheck source=jobs/dependencies.sh
. jobs/dependencies.sh
packages=("${GEM_BUILD_PACKAGES[@]}" "${GEM_REPORT_PACKAGES[@]}" libgtest-dev python3-matplotlib)
# Debian's headless Chromium looks at the report; Ubuntu has none to install without snap, so that this test is skipped.
grep -qs '^ID=debian' /etc/os-release && packages+=(chromium-headless-shell)
if [ "${1:-}" = --slurm ]; then
  shift
  packages+=(slurmctld slurmd slurm-client munge iproute2 shellcheck)
  export GEM_REQUIRE_SLURM=1
elif [ "${1:-}" = --torch ]; then
  shift
  packages+=(python3-torch)
  export GEM_REQUIRE_TORCH=1
fi
require_packages "${packages[@]}"

cmake --preset release
cmake --build --preset release
ctest --preset release --no-tests=error "$@"
