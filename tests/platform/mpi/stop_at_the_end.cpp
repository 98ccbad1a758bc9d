// A rank stops for ever when nothing is left to do: the others end within their patience, naming it.
#include <csignal>

#include "platform/mpi/mpi.hpp"
#include "platform/mpi/roll_call.hpp"

int main(int argc, char** argv) {
  gem::set_patience({.limit_s = 3.0, .quiet = true});
  const gem::MpiEnvironment environment(argc, argv);
  const gem::Communicator world = gem::Communicator::world();
  world.barrier();
  if (world.rank() == 1) std::raise(SIGSTOP);
}
