// Main of the MPI tests: every rank runs every test; the job fails if any rank failed.
#include <gtest/gtest.h>

#include "platform/mpi/mpi.hpp"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  gem::MpiEnvironment environment(argc, argv);
  const gem::Communicator world = gem::Communicator::world();
  if (!world.is_root()) {
    testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
  }
  return world.max(RUN_ALL_TESTS());
}
