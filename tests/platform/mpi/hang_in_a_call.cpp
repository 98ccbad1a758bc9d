// A call of MPI that should return at once doesn't, as where a rank was stopped while it held a lock that both share:
// the process ends within its patience all the same.
#include <unistd.h>

#include "platform/mpi/mpi.hpp"
#include "platform/mpi/mpi_call.hpp"

namespace {

/// Only who is in here is to end: the other rank would do so itself, in its wait.
void wait_for_ever(void*, void*, int*, MPI_Datatype*) {
  gem::set_patience({.limit_s = 2.0});
  gem::watch_calls(true);
  for (;;) pause();
}

}  // namespace

int main(int argc, char** argv) {
  const gem::MpiEnvironment environment(argc, argv);
  MPI_Op operation = MPI_OP_NULL;
  MPI_Op_create(wait_for_ever, 1, &operation);
  gem::Communicator::world().all_reduce(1.0, operation);
}
