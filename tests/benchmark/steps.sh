# shellcheck shell=bash
# What engine_kernels.sh and whole_step.sh have in common, which source it: steps whose results are kept, so that a script
# that was stopped goes on. Of the script: $root, $output, $seconds (0: no limit), $dry_run, ${mpirun[@]}; of the workload
# at hand: $name, $model, $task, $phase, $tokens; traces sets $train, $test and ${searched[@]}.
# shellcheck disable=SC2154

begin=$SECONDS

# Runs a command into a log unless its result is there; 75 where time is up, so that the script ends.
make() { # make RESULT LOG COMMAND...
  local result=$1 log=$2 code=0
  shift 2
  [ ! -e "$result" ] || return 0
  if [ "$dry_run" = 1 ]; then echo "$*"; return 0; fi
  if [ "$seconds" -gt 0 ] && [ $((SECONDS - begin)) -ge "$seconds" ]; then
    return 75
  fi
  local from=$SECONDS
  "$@" > "$log.partial" 2>&1 < /dev/null || code=$?
  # A negative verdict is a result.
  if [ "$code" -gt 1 ] || [ ! -e "$result" ]; then
    mv "$log.partial" "$log.failed"
    echo "${0##*/}: failed with exit code $code: $*" >&2
    tail -n 5 "$log.failed" >&2
    return 1
  fi
  mv "$log.partial" "$log"
  echo "$((SECONDS - begin)) s: $result in $((SECONDS - from)) s"
}

# Of so many devices, from 1 to the slowest's.
slowdowns() { # slowdowns SPREAD [DEVICES]
  awk -v s="$1" -v n="${2:-4}" 'BEGIN { for (i = 0; i < n; i++) printf "%s%.4g", i ? "," : "", 1 + (s - 1) * i / (n - 1) }'
}

# Synthetic load as the paper describes it: some experts busy in nearly every step, others in a sixth of the steps, then
# together and with three times their tokens. The first half of the steps is searched on, the other judged on: another seed
# would have other busy experts.
synthetic_trace() {
  train=$output/traces/$name.h5 test=$output/traces/$name.h5 searched=(--trace "$train" --train-steps 128)
  make "$train" "$output/traces/$name.txt" gem-trace synthesize --quiet --model "$model" --tokens "$tokens" \
    --steps 256 --phase "$phase" --skew 2 --temporal-share 0.25 --burstiness 3 --burst-share 0.17 --seed 1 \
    --output "$train"
}

traces() { # sets $train, $test and $searched
  local batching=(--batch-size "$tokens" --phase decode) part base
  if [ "$task" = synthetic ]; then
    synthetic_trace
    return
  fi
  train=$output/traces/$name.train.h5 test=$output/traces/$name.test.h5 searched=(--trace "$train" --test-trace "$test")
  [ "$phase" = decode ] || batching=(--phase prefill --chunk-tokens "$tokens")
  for part in train test; do
    base=$output/traces/$name.$part
    make "$base.h5" "$base.txt" gem-trace batch --quiet --part $part "${batching[@]}" --steps 128 \
      --routing "$root/jobs/data/routing/$model.$task.h5" --output "$base.h5" || return
  done
}

# BASE.h5 from the traces; so many searches share the cores.
search() { # search PROFILE BASE METHOD SEARCHES [OPTION...]
  local profile=$1 base=$2 method=$3 searches=$4 effort=fast
  shift 4
  [ "$method" != gem ] || effort=default
  make "$base.h5" "$base.txt" "${mpirun[@]}" -n $((($(nproc) + searches - 1) / searches)) gem-map --quiet \
    --profile "$profile" "${searched[@]}" --method "$method" "$@" --effort "$effort" \
    --output "$base.h5"
}
