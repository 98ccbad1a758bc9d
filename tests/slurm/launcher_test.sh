#!/usr/bin/env bash
# How ranks are started, without Slurm: srun with the site's GEM_SRUN_MPI, and options of Open MPI to Open MPI alone.
#   launcher_test.sh FOLDER_OF_PROGRAMS
set -euo pipefail
# shellcheck source=tests/slurm/script_trial.sh
. "$(dirname "$0")/script_trial.sh"

# is_mpirun TEXT: from now on mpirun --version says so.
mkdir "$folder/bin"
export PATH="$folder/bin:$PATH"
is_mpirun() {
  printf '#!/bin/sh\necho "%s"\n' "$1" > "$folder/bin/mpirun"
  chmod +x "$folder/bin/mpirun"
}

# start LINE...: what starts the ranks at a site with these lines in site.env.
start() {
  { cat "$root/slurm/site.env.example"; printf '%s\n' "$@"; } > "$folder/site.env"
  # shellcheck disable=SC2016 # for the inner shell
  GEM_ROOT=$root GEM_SITE=$folder/site.env bash -euc '. "$GEM_ROOT/slurm/common.sh"; echo "${GEM_START[@]}"'
}
[[ $(start) == "srun --mpi=pmix "* ]] || fail "srun: $(start)"
[[ $(start GEM_SRUN_MPI=pmi2) == "srun --mpi=pmi2 "* ]] || fail "GEM_SRUN_MPI: $(start GEM_SRUN_MPI=pmi2)"
[[ $(start 'unset GEM_SRUN_MPI') == "srun --mpi=pmix "* ]] || fail "no GEM_SRUN_MPI: $(start 'unset GEM_SRUN_MPI')"

# on_this_machine: the words by which the quick start does.
on_this_machine() {
  # shellcheck disable=SC2016 # for the inner shell
  bash -euc '. "$1/jobs/dependencies.sh"; echo "${MPIRUN[@]}"' _ "$root"
}
is_mpirun 'mpirun (Open MPI) 4.1.4'
[[ $(start GEM_LAUNCHER=mpirun) == *"--bind-to none"* ]] || fail "Open MPI: $(start GEM_LAUNCHER=mpirun)"
[[ $(on_this_machine) == *"--oversubscribe"* ]] || fail "Open MPI: $(on_this_machine)"
is_mpirun 'HYDRA build details: Version: 4.0.2'
[ "$(start GEM_LAUNCHER=mpirun)" = "mpirun -n 1" ] || fail "MPICH: $(start GEM_LAUNCHER=mpirun)"
[ "$(on_this_machine)" = mpirun ] || fail "MPICH: $(on_this_machine)"
