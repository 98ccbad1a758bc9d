#include "platform/mpi/launch.hpp"

#include <gtest/gtest.h>

#include <map>

#include "base/error.hpp"

namespace gem::test {
namespace {

using Variables = std::map<std::string, std::string>;

Launch launch_with(const Variables& variables) {
  return launch_of([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

std::string refusal_of(const Variables& variables, std::size_t rank_count) {
  try {
    expect_all_tasks(launch_with(variables), rank_count);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Launch, SrunWithoutPmiStartsSingletons) {
  const Variables srun{{"SLURM_PROCID", "2"}, {"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}};
  const std::string refusal = refusal_of(srun, 1);
  EXPECT_NE(refusal.find("srun started 4 processes, but MPI sees 1"), std::string::npos) << refusal;
  EXPECT_NE(refusal.find("--mpi=pmix"), std::string::npos) << refusal;
  EXPECT_EQ(refusal_of(srun, 4), "");
}

TEST(Launch, AnotherMpisMpirunStartsSingletons) {
  EXPECT_NE(refusal_of({{"OMPI_COMM_WORLD_SIZE", "2"}}, 1).find("mpirun started 2"), std::string::npos);
  EXPECT_NE(refusal_of({{"PMI_SIZE", "2"}}, 1), "");
}

TEST(Launch, OneProcessIsOneProcess) {
  EXPECT_EQ(refusal_of({}, 1), "");
  EXPECT_EQ(refusal_of({{"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "0"}}, 1), "") << "in a batch script";
  EXPECT_EQ(
      refusal_of(
          {{"OMPI_COMM_WORLD_SIZE", "1"}, {"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", "1"}, {"SLURM_STEP_NUM_TASKS", "2"}},
          1),
      "")
      << "mpirun in a job starts its daemons by srun";
}

TEST(Launch, WhoeverMayHaveStartedMoreIsSeen) {
  const auto alone_with = [](const std::string& name) {
    return is_started_alone([&](const char* asked) { return name == asked ? "0" : nullptr; });
  };
  EXPECT_TRUE(alone_with("OMPI_ALLOW_RUN_AS_ROOT"));
  EXPECT_TRUE(alone_with("SLURM_JOB_ID")) << "in an allocation";
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_FD", "SLURM_PROCID", "FLUX_TASK_RANK"})
    EXPECT_FALSE(alone_with(name)) << name;
}

TEST(Launch, ANegativeVerdictIsToldFromWhatTheLauncherMakesOfIt) {
  const auto about = [](const Variables& variables) { return about_negative_verdict(launch_with(variables)); };
  EXPECT_NE(about({{"OMPI_COMM_WORLD_SIZE", "2"}}).find("mpirun --quiet"), std::string::npos);
  EXPECT_EQ(about({{"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_MCA_orte_execute_quiet", "1"}}), "");
  EXPECT_NE(about({{"PMI_SIZE", "2"}}).find("Nothing failed"), std::string::npos);
  EXPECT_EQ(about({}), "") << "started alone";
}

}  // namespace
}  // namespace gem::test
