#include "platform/mpi/launch.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <iterator>

#include "base/error.hpp"

namespace gem {
namespace {

std::size_t count_of(const char* text) {
  std::size_t count = 0;
  if (text != nullptr) std::from_chars(text, text + std::strlen(text), count);
  return count;
}

}  // namespace

Launch launch_of(const std::function<const char*(const char* name)>& value_of) {
  // The innermost starter first: mpirun inside of a job of Slurm starts its own processes by srun.
  if (const std::size_t count = count_of(value_of("OMPI_COMM_WORLD_SIZE")); count > 0)
    return {count, "mpirun", value_of("OMPI_MCA_orte_execute_quiet") != nullptr};
  if (const std::size_t count = count_of(value_of("PMI_SIZE")); count > 0) return {count, "the launcher", false};
  // A batch script itself has neither; what it starts without srun is one process, whatever the job has room for.
  if (value_of("SLURM_PROCID") != nullptr && value_of("SLURM_STEP_ID") != nullptr)
    return {count_of(value_of("SLURM_STEP_NUM_TASKS")), "srun", false};
  return {};
}

bool is_started_alone(const std::function<const char*(const char* name)>& value_of) {
  // mpirun, whatever speaks PMIx or PMI, srun (and a batch script, which may), flux, PALS, ALPS, jsrun.
  constexpr const char* names[] = {
      "OMPI_COMM_WORLD_SIZE", "PMIX_NAMESPACE", "PMIX_RANK",   "PMI_RANK",    "PMI_SIZE",          "PMI_FD", "PMI_PORT",
      "SLURM_PROCID",         "FLUX_TASK_RANK", "PALS_RANKID", "ALPS_APP_PE", "JSM_NAMESPACE_RANK"};
  return std::none_of(std::begin(names), std::end(names), [&](const char* name) { return value_of(name) != nullptr; });
}

void expect_all_tasks(const Launch& launch, std::size_t rank_count) {
  if (rank_count >= launch.task_count) return;
  const std::string remedy =
      launch.starter == "srun"
          ? "start with srun --mpi=pmix (srun --mpi=list tells which there are), or with mpirun inside of the job"
          : "start with the mpirun of the MPI library that this program was built with";
  throw UsageError(
      fmt::format("{} started {} processes, but MPI sees {}: each would work alone and write the same "
                  "files; {}",
                  launch.starter, launch.task_count, rank_count, remedy));
}

std::string about_negative_verdict(const Launch& launch) {
  if (launch.task_count == 0 || launch.is_quiet) return "";
  return fmt::format("Nothing failed: exit code 1 is the verdict. What {} says of it next is its own{}.",
                     launch.starter, launch.starter == "mpirun" ? "; mpirun --quiet leaves it out" : "");
}

}  // namespace gem
