# shellcheck shell=bash
# Sourced by the scripts of this folder: the site's settings, starting ranks, and stopping in time.

GEM_ROOT=${GEM_ROOT:?set by gem-submit and pipeline.sh: the directory of GEM}
GEM_SITE=${GEM_SITE:-$GEM_ROOT/slurm/site.env}
if [ ! -r "$GEM_SITE" ]; then
  echo "$GEM_SITE is missing: copy slurm/site.env.example there and edit it" >&2
  exit 2
fi
# shellcheck source=slurm/site.env.example
. "$GEM_SITE"
for name in SBATCH_OPTIONS GPUS_PER_NODE NODES GPU_OPTIONS CPUS_PER_TASK MAP_OPTIONS TIME_PROFILE TIME_MAP TIME_VERIFY \
  TIME_BATCH CONTAINER; do
  declare -p "GEM_$name" > /dev/null 2>&1 && continue
  echo "$GEM_SITE does not set GEM_$name; slurm/site.env.example shows how" >&2
  exit 2
done
gem_environment

# Ranks of the whole job, whichever the launcher. A rank that fails ends all. From 22.05 on srun no longer takes the
# processor cores of a task from sbatch.
case ${GEM_LAUNCHER:-srun} in
  srun) GEM_START=(srun --mpi="${GEM_SRUN_MPI:-pmix}" --kill-on-bad-exit=1 --export=ALL --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}") ;;
  mpirun)
    GEM_START=(mpirun -n "${SLURM_NTASKS:-1}")
    if mpirun --version 2> /dev/null | grep -qiE 'open ?mpi|openrte'; then
      GEM_START+=(--bind-to none)
      [ "$(id -u)" -ne 0 ] || GEM_START+=(--allow-run-as-root)
    fi
    ;;
  *)
    echo "GEM_LAUNCHER=$GEM_LAUNCHER is neither srun nor mpirun; see $GEM_SITE" >&2
    exit 2
    ;;
esac

# gem_run PROGRAM ARGUMENTS: runs it on all ranks. The USR1 that Slurm sends before the time is up is passed on to them.
# A program that has saved its work and asks to go on (exit code 75) makes the job requeue itself, so that it starts
# again, with --resume, in a new time slot.
gem_run() {
  "${GEM_START[@]}" "${GEM_CONTAINER[@]}" "$@" &
  local process=$! code=0 signalled=false asked=false
  # shellcheck disable=SC2064  # this process, now
  trap "signalled=true; asked=true; kill -USR1 $process 2> /dev/null" USR1
  while :; do
    code=0
    wait "$process" || code=$?
    $signalled || break
    signalled=false  # the signal ended the waiting, not the process
  done
  trap - USR1
  # Once a rank has ended with 75, srun kills those that are still about to, and returns the code of that signal.
  if $asked && { [ "$code" -eq 137 ] || [ "$code" -eq 143 ]; }; then code=75; fi
  [ "$code" -eq 75 ] || return "$code"
  if [ "${SLURM_RESTART_COUNT:-0}" -ge "${GEM_MAX_RESTARTS:-10}" ]; then
    echo "Stopped after $SLURM_RESTART_COUNT restarts; raise GEM_MAX_RESTARTS or" \
      "the time limit, and submit again" >&2
    return 75
  fi
  echo "Asked to stop; all finished work is saved; the job requeues itself and goes on"
  trap '' TERM  # by which Slurm asks this script to end once it is requeued
  scontrol requeue "$SLURM_JOB_ID"
  # What was measured on these devices can go on only on these.
  scontrol update JobId="$SLURM_JOB_ID" ReqNodeList="$SLURM_JOB_NODELIST" \
    || echo "note: the job may come to other nodes, where it begins anew"
  trap - TERM
  sleep 60  # Slurm ends this script
}
