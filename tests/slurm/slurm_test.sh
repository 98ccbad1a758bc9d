#!/usr/bin/env bash
# Jobs on a real Slurm cluster (cluster.sh) as a user submits them, with host and simulated devices:
#   slurm_test.sh PROGRAM_DIRECTORY pipeline|array|requeue|lost-node
# Exit code 77: no Slurm here, with the reason. With GEM_REQUIRE_SLURM set that is a failure.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
programs=$(realpath "$1")
skip() { [ -z "${GEM_REQUIRE_SLURM:-}" ] && exit 77 || exit 1; }
if [ "${GEM_SLURM_TEST_SPACE:-}" != "$$" ]; then
  "$here/cluster.sh" check || skip
  # All processes of the test live in a namespace of their own and end with it, even if the test itself is killed.
  GEM_SLURM_TEST_SPACE=1 exec unshare --pid --fork --kill-child --mount-proc "${BASH_SOURCE[0]}" "$@"
fi
trap 'exit 130' INT TERM
work=$(mktemp -d "$programs/slurm-test.XXXXXX")
finish() {
  local code=$?
  "$here/cluster.sh" stop "$work/cluster"
  if [ $code -ne 0 ] && [ $code -ne 77 ]; then
    echo "== failed; logs:"
    tail -n 30 "$work"/*.log "$work"/*/*.log 2> /dev/null || true
  fi
  rm -rf "$work"
}
trap finish EXIT
if ! "$here/cluster.sh" start "$work/cluster"; then
  tail -n 5 "$work"/cluster/*.log >&2 || true
  echo "no Slurm here: the cluster could not be started; the ends of its logs are above" >&2
  skip
fi

export GEM_SITE=$work/site.env
cat > "$GEM_SITE" << END
GEM_SBATCH_OPTIONS=(--partition=gem --chdir=$work)
GEM_NODES=2
GEM_GPUS_PER_NODE=1
GEM_GPU_OPTIONS=()
GEM_CPUS_PER_TASK=1
GEM_MAP_OPTIONS=(--ntasks=2)
GEM_TIME_PROFILE=00:10:00
GEM_TIME_MAP=00:10:00
GEM_TIME_VERIFY=00:10:00
GEM_TIME_BATCH=00:10:00
GEM_LAUNCHER=\${TEST_LAUNCHER:-srun}
GEM_MAX_RESTARTS=3
GEM_CONTAINER=(\${TEST_CONTAINER:-})
gem_environment() { PATH="$programs:\$PATH"; }
END
# shellcheck disable=SC2054  # the comma is the option's
small_host=(--device host --dtype f32 --expert-shape 64x64 --slowdown 1.0,1.28 --points-per-doubling 1
  --min-samples 3 --max-samples 5)

on_cluster() { "$here/cluster.sh" run "$work/cluster" "$@"; }
fail() {
  echo "slurm_test: $*" >&2
  exit 1
}
# until_true WHAT COMMAND: tries it again until it succeeds.
until_true() {
  local what=$1
  shift
  for _ in $(seq 600); do
    ! "$@" || return 0
    sleep 0.1
  done
  fail "waited in vain for $what"
}
# job_of OUTPUT-OF-A-SUBMISSION: the number of its last job.
job_of() { sed -n 's/^Submitted job \([0-9]*\):.*/\1/p' <<< "$1" | tail -n 1; }
# state JOB: PENDING, RUNNING, COMPLETED, ...
state() { on_cluster scontrol show job "$1" | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p' | head -n 1; }
# Slurm lets a requeued job wait for two minutes; tests only until the nodes have cleared its first run away.
start_requeued() {
  local waiting
  on_cluster squeue --noheader --states=PENDING --format=%r | grep -q BeginTime || return 0
  sleep 6
  for waiting in $(on_cluster squeue --noheader --array --states=PENDING --format='%i %r' | sed -n 's/ BeginTime$//p'); do
    on_cluster scontrol update JobId="$waiting" StartTime=now > /dev/null 2>&1 || true
  done
}
# wait_for JOB STATE
wait_for() {
  local now
  for _ in $(seq 240); do
    now=$(state "$1")
    [ "$now" != "$2" ] || return 0
    case $now in
      FAILED | CANCELLED | TIMEOUT | NODE_FAIL) [ "$2" = "$now" ] || fail "job $1 is $now instead of $2" ;;
      PENDING) start_requeued ;;
    esac
    sleep 0.5
  done
  fail "job $1 is still $now instead of $2"
}

pipeline() {
  local launcher output job
  for launcher in srun mpirun; do
    export TEST_LAUNCHER=$launcher
    output=$(on_cluster "$root/slurm/pipeline.sh" --model gpt-oss-20b --routing "$root/jobs/data/routing/gpt-oss-20b.gpqa.h5" \
      --output "$work/$launcher" --batch-size 32 --steps 8 -- "${small_host[@]}")
    job=$(job_of "$output")
    wait_for "$job" COMPLETED
    grep -q VERDICT "$work/$launcher/gem-verify-$job.log" || fail "no verdict with $launcher"
    [ "$(on_cluster scontrol show job "$job" | sed -n 's/^ *NodeList=//p')" = "$(cat "$work/$launcher/nodes")" ] \
      || fail "verified on other nodes than profiled"
    grep -q 'gemnode\[' "$work/$launcher/nodes" || fail "the profile is not of two nodes"
  done
}

write_manifest() {
  cat > "$work/m.toml" << END
output = "out"
[defaults]
device = "$1"
steps = 8
batch_size = 32
effort = "fast"
mixed_steps = 0
verify_steps = 2
max_tokens = 256
points_per_doubling = 1
$2
[[model]]
name = "gpt-oss-20b"
  [[model.task]]
  name = "real"
  routing = "a.h5"
  [[model.task]]
  name = "drawn"
  synthetic = true
[[model]]
name = "DeepSeek-V2-Lite"
  [[model.task]]
  name = "drawn"
  synthetic = true
  [[model.task]]
  name = "even"
  synthetic = true
  skew = 1
END
}
host_keys='dtype = "f32"
expert_shape = "64x64"
slowdown = [1.0, 1.28]
min_samples = 3
max_samples = 5
verify_layers = [11]'

array() {
  local output
  # One pair of four has bad input.
  head -c 5000 "$root/jobs/data/routing/gpt-oss-20b.gpqa.h5" > "$work/a.h5"
  write_manifest host "$host_keys"
  wait_for "$(job_of "$(on_cluster "$root/slurm/gem-submit" "$work/m.toml")")" COMPLETED
  grep -q '4 pairs: 3 done, 1 failed, 0 missing' "$work/out/summary.md" || fail "$(cat "$work/out/summary.md")"
  # Submitting again does what is missing, and no other pair gets nodes.
  cp "$root/jobs/data/routing/gpt-oss-20b.gpqa.h5" "$work/a.h5"
  output=$(on_cluster "$root/slurm/gem-submit" "$work/m.toml" --at-once 2)
  grep -q -e ' --array=0%2 ' <<< "$output" || fail "more than the pair that is left: $output"
  wait_for "$(job_of "$output")" COMPLETED
  grep -q '4 pairs: 4 done, 0 failed, 0 missing' "$work/out/summary.md" || fail "$(cat "$work/out/summary.md")"
  # Once more: nothing is left to do but the summary.
  output=$(on_cluster "$root/slurm/gem-submit" "$work/m.toml" --at-once 1)
  ! grep -q -e --array <<< "$output" || fail "what was finished is submitted again: $output"
  grep -q '^0 pairs to do' <<< "$output" || fail "$output"
  wait_for "$(job_of "$output")" COMPLETED
  # On other nodes than those that were measured what is finished is kept, too.
  on_cluster scontrol update NodeName=gemnode1 State=DRAIN Reason=test
  output=$(on_cluster sbatch --parsable --chdir="$work" --nodes=2 --ntasks-per-node=1 --array=0-3%1 \
    --export="ALL,GEM_ROOT=$root,GEM_SITE=$GEM_SITE" --output="$work/out/logs/again-%A_%a.log" \
    "$root/slurm/batch.sbatch" "$work/m.toml")
  until_true "four pairs that are kept" kept_by "$output" 4
}
# kept_by JOB NUMBER: whether the tasks of a job array have found so many pairs whole.
kept_by() { [ "$(cat "$work/out/logs/again-$1_"*.log 2> /dev/null | grep -c '  kept  ')" -eq "$2" ]; }

# Runs the program given, and keeps all ranks but the first a little after it has ended.
write_late_ranks() {
  cat > "$work/late-ranks" << 'END'
#!/usr/bin/env bash
trap : USR1
"$@"
code=$?
[ "$PMIX_RANK" -eq 0 ] || sleep 2
exit $code
END
  chmod +x "$work/late-ranks"
}

requeue() {
  local profile=("$root/slurm/profile.sbatch" --model Qwen3-30B-A3B --device simulated --devices 128 --max-tokens 4096
    --points-per-doubling 16 --min-samples 1000 --max-samples 1000 --quiet) job launcher  # some seconds, to be disturbed in
  submit() { on_cluster sbatch --parsable --chdir="$work" --nodes=2 --ntasks-per-node=1 \
    --export="ALL,GEM_ROOT=$root,GEM_SITE=$GEM_SITE" "${profile[@]}" --output "$1"; }
  write_late_ranks
  export TEST_CONTAINER=$work/late-ranks
  wait_for "$(submit "$work/whole.h5")" COMPLETED
  for launcher in srun mpirun; do
    export TEST_LAUNCHER=$launcher
    # At first on nodes that Slurm would not choose by itself, to which the job must come back.
    on_cluster scontrol update NodeName='gemnode[1-2]' State=DRAIN Reason=test
    job=$(submit "$work/$launcher.h5")
    until_true "the first rows of the profile" test -e "$work/$launcher.h5.partial"
    on_cluster scontrol update NodeName='gemnode[1-2]' State=RESUME
    on_cluster scancel --batch --signal=USR1 "$job"  # what --signal=B:USR1@120 does
    wait_for "$job" COMPLETED
    grep -q 'requeues itself' "$work/gem-profile-$job.log" || fail "the job was not asked to stop in time"
    grep -q 'resumed: ' "$work/gem-profile-$job.log" || fail "the job did not resume"
    ! grep -q 'begins anew' "$work/gem-profile-$job.log" || fail "the job came to other nodes"
    same_numbers "$work/whole.h5" "$work/$launcher.h5" || fail "the resumed profile differs"
  done
}
# same_numbers FILE FILE: whether two profiles agree in all but when and by which command they were made.
same_numbers() {
  /usr/bin/python3 -c '
import sys, h5py, numpy
one, two = (h5py.File(path) for path in sys.argv[1:])
def compare(name, item):
    if isinstance(item, h5py.Dataset) and not name.startswith("devices"): numpy.testing.assert_array_equal(item[()], two[name][()])
one.visititems(compare)
assert len(one["latency/median"][()]) == 128' "$1" "$2"
}

# running_node JOB: the last node of what runs of a job array.
running_node() {
  on_cluster squeue --noheader --states=R --format=%N --job "$1" | sed -n 's/.*\([0-9]\)\]*$/\1/p' | head -n 1 | grep .
}

lost_node() {
  cp "$root/jobs/data/routing/gpt-oss-20b.gpqa.h5" "$work/a.h5"
  write_manifest simulated 'devices = 8
iterations = 2000'
  local output array_job node=''
  output=$(on_cluster "$root/slurm/gem-submit" "$work/m.toml" --at-once 1)
  array_job=$(sed -n 's/^Submitted job \([0-9]*\):.*/\1/p' <<< "$output" | head -n 1)
  until_true "the second pair" test -e "$work/out/pairs/gpt-oss-20b/drawn/lock"
  until_true "a running pair" running_node "$array_job" > /dev/null
  node=$(running_node "$array_job")
  "$here/cluster.sh" stop-node "$work/cluster" "$node"
  wait_for "$(job_of "$output")" COMPLETED
  grep -q '4 pairs: 4 done, 0 failed, 0 missing' "$work/out/summary.md" || fail "$(cat "$work/out/summary.md")"
  on_cluster sinfo --noheader --format=%T | grep -qi down || fail "Slurm did not notice the lost node"
}

case $2 in
  pipeline) pipeline ;;
  array) array ;;
  requeue) requeue ;;
  lost-node) lost_node ;;
  *) fail "unknown test $2" ;;
esac
