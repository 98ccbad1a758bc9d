#pragma once

#include <functional>
#include <string>
#include <vector>

#include "platform/mpi/mpi.hpp"

namespace gem {

/// The words of a command line, the program's name first.
using Arguments = std::vector<std::string>;

/// Runs a program without MPI: prints the sentence of any error and returns its exit code.
int run_serial_program(int argc, char** argv, const std::function<int(const Arguments&)>& body);

/// Runs an MPI program. `parse` reads the options before MPI starts, so that a usage error ends all ranks alike; false
/// means that --help or --version was answered. `body` returns the exit code. The one catch of the program is here,
/// inside MPI's lifetime: an error that all ranks share ends them in good order, any other one ends the job by
/// MPI_Abort.
int run_mpi_program(int argc, char** argv, const std::function<bool(const Arguments&)>& parse,
                    const std::function<int(const Communicator&, const Arguments&)>& body);

/// What to tell the user if the job is ended from outside (SIGTERM, SIGINT; exit code 4): how to go on. Call on rank 0.
/// Without a call, the user is told that what was not finished is not written.
void set_termination_message(const std::string& message);

/// From now on SIGUSR1, which schedulers send before the time is up, asks this process to stop at the next good moment
/// instead of ending it.
void stop_at_user_signal();

/// Whether it was asked to.
bool stop_requested();

}  // namespace gem
