#!/usr/bin/env bash
# What --resample and --request-groups of gem-trace batch bring on requests
# never searched on: held-out share of linear's time, gem's default search, for
# splits of the bundled routing on 8 simulated devices.
#
#   tests/benchmark/unseen_requests.sh BIN_DIRECTORY [SPLITS, default: 5]
set -euo pipefail
[ "${1:-}" != --help ] || { sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0; }
bin=$(cd "$1" && pwd) splits=${2:-5} data=$(cd "$(dirname "$0")/../../jobs/data/routing" && pwd)
export PATH="$bin:$PATH" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for model in gpt-oss-20b deepseek-v2-lite; do
  gem-profile --quiet --model $model --device simulated --devices 8 --slowdown 1.0,1.277 --seed 1 --output $model.h5 \
    > profile.txt
done
printf '%-36s %6s %8s %10s %8s %8s\n' routing split plain resampled '4 groups' both
while read -r routing options; do
  for ((split = 0; split < splits; ++split)); do
    batch() { gem-trace batch --quiet --routing "$data/$routing.h5" $options --steps 128 --split-seed $split --seed 1 "$@" > batch.txt; }
    batch --part test --output test.h5
    batch --part train --output plain.h5
    batch --part train --resample --output resampled.h5
    batch --part train --request-groups 4 --output groups.h5
    batch --part train --request-groups 4 --resample --output both.h5
    printf '%-36s %6s' "$routing ${options##* }" $split
    for trace in plain resampled groups both; do
      gem-map --quiet --cross-validate 0 --profile "${routing%.*}.h5" --trace $trace.h5 --test-trace test.h5 \
        --output mapping.h5 | awk '$1 == "gem" { printf " %8s", $6 }'
    done
    echo
  done
done << LIST
gpt-oss-20b.mmlu --batch-size 256
gpt-oss-20b.gpqa --batch-size 256
gpt-oss-20b.mmlu --batch-size 64
deepseek-v2-lite.intent --chunk-tokens 512
deepseek-v2-lite.summary --chunk-tokens 2048
LIST
