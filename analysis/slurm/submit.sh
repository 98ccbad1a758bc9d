# shellcheck shell=bash
# Sourced by gem-submit and pipeline.sh after common.sh: how jobs are submitted. With dry_run=true they are only printed.

# One task a device.
# shellcheck disable=SC2034  # used by the scripts that source this file
GEM_DEVICES=(--nodes="$GEM_NODES" --ntasks-per-node="$GEM_GPUS_PER_NODE" --cpus-per-task="$GEM_CPUS_PER_TASK"
  "${GEM_GPU_OPTIONS[@]}")

# submit OPTIONS SCRIPT ARGUMENTS: sets JOB to the number of the job.
submit() {
  local command=(sbatch --parsable --export="ALL,GEM_ROOT=$GEM_ROOT,GEM_SITE=$GEM_SITE" "${GEM_SBATCH_OPTIONS[@]}" "$@")
  if ${dry_run:-false}; then
    printf '%q ' "${command[@]}"
    printf '\n'
    JOB=JOBID
    return
  fi
  JOB=$("${command[@]}")
  JOB=${JOB%%;*}  # "id;cluster" where there are several
  echo "Submitted job $JOB: ${command[*]}"
}
