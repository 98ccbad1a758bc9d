#!/usr/bin/env bash
# Builds the fuzz targets with clang and lets libFuzzer run each over the kept
# corpus, for a few seconds or as long as you like. What it finds to be wrong
# stays under build/fuzz/found/; new inputs that reach new code are not kept.
#   tests/fuzz/run.sh [SECONDS a target] [TARGET...]
# GEM_FUZZ_SEED=N makes the fuzzer's random choices those of the last time; 0,
# the default, makes new ones. GEM_FUZZ_BUILT=1 takes what was built before.
set -euo pipefail
case ${1:-} in
  --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *[!0-9]*) echo "run.sh: $1 is no whole number of seconds; see run.sh --help" >&2; exit 2 ;;
esac
cd "$(dirname "$0")/../.."
# shellcheck source=jobs/dependencies.sh
. jobs/dependencies.sh
require_packages "${GEM_BUILD_PACKAGES[@]}" clang libomp-dev  # clang finds no other OpenMP, which oneDNN needs
runtime=$(clang++ -print-file-name="libclang_rt.fuzzer-$(uname -m).a")
if [ ! -e "$runtime" ] && ! ls "$(dirname "$(clang++ -print-file-name=include)")"/lib/*/libclang_rt.fuzzer*.a > /dev/null 2>&1; then
  require_packages "libclang-rt-$(clang++ -dumpversion | cut -d. -f1)-dev"
fi

seconds=${1:-5}
seed=${GEM_FUZZ_SEED:-0}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(array csv hdf5 json safetensors torch)

if [ -z "${GEM_FUZZ_BUILT:-}" ]; then
  cmake --preset fuzz > build-fuzz.log 2>&1 || { cat build-fuzz.log; exit 4; }
  rm -f build-fuzz.log
  cmake --build --preset fuzz --target fuzzers
fi
mkdir -p build/fuzz/found

fuzz() {  # fuzz TARGET
  local target=$1 log=build/fuzz/found/$1.log leaks=1
  mkdir -p "build/fuzz/grown/$target"
  # The HDF5 library does not free all it took when it refuses a damaged file.
  [ "$target" != hdf5 ] || leaks=0
  if ! ASAN_OPTIONS=detect_leaks=$leaks:handle_segv=2:handle_abort=2 build/fuzz/bin/fuzz_"$target" -detect_leaks=$leaks \
      -seed="$seed" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=2048 -malloc_limit_mb=1024 -max_len=65536 -print_final_stats=1 \
      -artifact_prefix="build/fuzz/found/$target-" "build/fuzz/grown/$target" "tests/fuzz/corpus/$target" > "$log" 2>&1; then
    tail -n 40 "$log"
    echo "fuzz_$target found something: build/fuzz/found/$target-*" >&2
    return 1
  fi
  echo "fuzz_$target: $seconds s, $(sed -n 's/stat::number_of_executed_units: *//p' "$log") inputs, from" \
    "$(find "tests/fuzz/corpus/$target" -type f | wc -l) kept ones; at most" \
    "$(sed -n 's/stat::peak_rss_mb: *//p' "$log") MiB"
}
export -f fuzz
export seconds seed
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I {} bash -c 'fuzz {}'
echo "${#targets[@]} passed, 0 failed"
