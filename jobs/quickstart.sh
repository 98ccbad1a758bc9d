#!/usr/bin/env bash
# Installs what is missing (Debian, Ubuntu; as root), builds GEM and runs its
# main job on this machine: two ranks, real expert arithmetic on two cores made
# uneven on purpose (emulated: the second takes 1.28 times as long), real
# routing of gpt-oss-20b (jobs/data/README.md). The expert is shrunk to 256 x
# 256 so that it runs anywhere. Needs no GPU. On cores that other programs use,
# too, the verdict may be NOT PROVEN (exit code 1): their noise is larger.
#   jobs/quickstart.sh [FOLDER]
#       results go to results/quickstart, if no other folder is given
set -euo pipefail
case ${1:-} in
  --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
  -*) echo "quickstart.sh: unknown option $1; see quickstart.sh --help" >&2; exit 2 ;;
esac
cd "$(dirname "$0")/.."
# shellcheck source=jobs/dependencies.sh
. jobs/dependencies.sh
results=${1:-results/quickstart}
begin=$SECONDS

require_packages "${GEM_BUILD_PACKAGES[@]}" "${GEM_REPORT_PACKAGES[@]}"
echo "== Building"
# -O1 compiles faster, and here the arithmetic is the library's; for figures build the release preset.
cmake -S . -B build/quickstart -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE='-O1 -DNDEBUG' \
  -DGEM_TESTS=OFF -DGEM_GPU=OFF > /dev/null
cmake --build build/quickstart --target gem-profile gem-trace gem-map gem-verify | tail -n 1
export PATH="$PWD/build/quickstart/bin:$PATH"
mkdir -p "$results"
routing=jobs/data/routing/gpt-oss-20b.mmlu.h5

echo "== Profiling two devices"
"${MPIRUN[@]}" -n 2 gem-profile --model gpt-oss-20b --device host --dtype f32 --expert-shape 256x256 \
  --slowdown 1.0,1.28 --tile-tokens 16 --max-tokens 1536 --max-point-time 0.3 --output "$results/profile.h5"

echo "== Batching real routing into steps: half of the requests to search on,"
echo "   the other half to test on"
for part in train test; do
  gem-trace batch --quiet --routing "$routing" --batch-size 256 --steps 128 --part $part \
    --output "$results/$part.h5"
done

echo "== Mapping experts to devices"
map() {  # map METHOD
  "${MPIRUN[@]}" -n 2 gem-map --profile "$results/profile.h5" --trace "$results/train.h5" \
    --test-trace "$results/test.h5" --method "$1" --output "$results/$1.h5"
}
map eplb > /dev/null
map speed-aware > /dev/null
map gem

echo "== Verifying: replay of requests that were never searched on"
# Open MPI's mpirun calls an exit code of 1 a failure, in ten lines, unless it is to be quiet.
OMPI_MCA_orte_execute_quiet=1 "${MPIRUN[@]}" -n 2 gem-verify --judge-by straggler --profile "$results/profile.h5" --trace "$results/test.h5" \
  --mapping "$results/eplb.h5" --mapping "$results/speed-aware.h5" --mapping "$results/gem.h5" \
  --steps 20 --rounds 2 --output "$results/report.h5" || verdict=$?  # 1: not faster; a report says so too
[ "${verdict:=0}" -le 1 ] || exit "$verdict"

echo "== Drawing"
gem-analysis report "$results"
echo "Done in $((SECONDS - begin)) s."
echo "Next: jobs/README.md, for GPUs, engines and clusters."
exit "$verdict"
