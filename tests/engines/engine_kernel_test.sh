#!/usr/bin/env bash
# The command of kernels/engines/README.md: profile, map and verify through an adapter, on two cores.
#   engine_kernel_test.sh SOURCE GEM_BATCH ADAPTER MPIRUN...
# Exits with 77, skipped, where the adapter's package isn't installed; with GEM_REQUIRE_TORCH=1 PyTorch must be.
set -euo pipefail
source=$1 gem_batch=$2 adapter=$3
shift 3
package=${adapter%% *}
for python in python3 /usr/bin/python3 none; do
  "$python" -c "import $package" 2> /dev/null && break
done
python=$(command -v "$python" || true) # a launcher may put other folders first on the PATH
if [ -z "$python" ]; then
  echo "SKIPPED: no python3 here has $package"
  [ "$package ${GEM_REQUIRE_TORCH:-0}" = "torch 1" ] && exit 1
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$source"
sed -e "s|python3 -m gem_kernels.torch --device cpu|$python -m gem_kernels.$adapter|" -e "s|data/routing|$source/jobs/data/routing|" \
  -e 's|max_point_time = 0.1|max_point_time = 0.03|' -e 's|^verify_layers = .*|verify_layers = [11]|' \
  -e 's|^rounds = .*|rounds = 1|' jobs/engine_kernel.toml > "$work/engine_kernel.toml"
"$gem_batch" "$work/engine_kernel.toml" --dry-run --output "$work/results" | grep -q 'gpt-oss-20b/mmlu'
code=0
"$@" "$gem_batch" "$work/engine_kernel.toml" --output "$work/results" --quiet || code=$?
error=$(find "$work/results" -name error.txt)
if [ "$code" != 0 ] || [ -n "$error" ]; then cat ${error:+"$error"} < /dev/null; exit 1; fi
cd "$(dirname "$(find "$work/results" -name verdicts.csv)")"
cat verify.txt
grep -q '^gem,0\.[0-9]' verdicts.csv
# It is compute alone, of the slowed-down devices.
grep -q 'command devices' verify.txt
grep -q 'emulated' verify.txt
