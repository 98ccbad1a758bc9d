# shellcheck shell=bash
# Sourced by jobs/quickstart.sh and tests/run.sh: installs what is missing on Debian and Ubuntu, or says exactly what to
# install. Sets MPIRUN, an array that starts ranks on this machine.

# shellcheck disable=SC2034  # used by the scripts that source this file
GEM_BUILD_PACKAGES=(g++ cmake ninja-build openmpi-bin libopenmpi-dev libhdf5-dev libboost-program-options-dev libdnnl-dev
                    libfmt-dev nlohmann-json3-dev libtomlplusplus-dev zlib1g-dev)
# shellcheck disable=SC2034  # used by the scripts that source this file
GEM_REPORT_PACKAGES=(python3 python3-numpy python3-h5py python3-jinja2)

# require_packages PACKAGE...: returns when all are installed; installs the missing ones when run as root.
require_packages() {
  if ! command -v dpkg-query > /dev/null; then
    echo "This is neither Debian nor Ubuntu: if the build fails, install what these hold:" >&2
    fold -s -w 80 <<< "$*" >&2
    return 0
  fi
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "$(id -u)" -ne 0 ]; then
    echo "Packages are missing and this is not root. Run this, then start again:" >&2
    echo "  sudo apt-get update && sudo apt-get install -y \\" >&2
    # Each line but the last goes on in the next.
    fold -s -w 72 <<< "${missing[*]}" | sed 's/^/    /; $!s/ *$/ \\/' >&2
    exit 2
  fi
  fold -s -w 80 <<< "Installing: ${missing[*]}"
  local log
  log=$(mktemp)
  if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"; } > "$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "Installing failed; the end of apt-get's log is above." >&2
    exit 4
  fi
  rm -f "$log"
}

# programs_or_build ROOT [echo]: the programs on the PATH, else those of ROOT/build/release, which is built if it isn't
# there; with `echo` it only says so.
programs_or_build() {
  export PATH="$PATH:$1/build/release/bin"
  local program absent=0
  for program in gem-profile gem-batch; do command -v $program > /dev/null || absent=1; done
  [ $absent -eq 1 ] || return 0
  [ "${2:-}" = echo ] || require_packages "${GEM_BUILD_PACKAGES[@]}"
  ${2:-} cmake -S "$1" -B "$1/build/release" -G Ninja -DCMAKE_BUILD_TYPE=Release -DGEM_TESTS=OFF
  ${2:-} cmake --build "$1/build/release" --target gem-profile gem-batch
}

# Ranks on one machine. Open MPI: as root in a container too, no binding by the launcher (GEM pins its ranks itself),
# shared memory without the kernel's cross-memory copies, which containers often forbid. Other MPIs need none of it.
# shellcheck disable=SC2034  # used by the scripts that source this file
MPIRUN=(mpirun)
if mpirun --version 2> /dev/null | grep -qiE 'open ?mpi|openrte' || ! command -v mpirun > /dev/null; then
  MPIRUN+=(--oversubscribe --bind-to none --mca btl 'self,vader' --mca btl_vader_single_copy_mechanism none)
  [ "$(id -u)" -ne 0 ] || MPIRUN+=(--allow-run-as-root)
fi
