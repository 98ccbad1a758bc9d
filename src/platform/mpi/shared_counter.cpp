#include "platform/mpi/shared_counter.hpp"

namespace gem {

SharedCounter::SharedCounter(const Communicator& communicator) : communicator_(communicator.handle()) {
  const MPI_Aint bytes = communicator.is_root() ? sizeof(std::int64_t) : 0;
  check_mpi(MPI_Win_allocate(bytes, sizeof(std::int64_t), MPI_INFO_NULL, communicator_, &value_, &window_),
            "MPI_Win_allocate");
  if (communicator.is_root()) {
    check_mpi(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, window_), "MPI_Win_lock");
    *value_ = 0;
    check_mpi(MPI_Win_unlock(0, window_), "MPI_Win_unlock");
  }
  communicator.barrier();
  check_mpi(MPI_Win_lock_all(0, window_), "MPI_Win_lock_all");
}

SharedCounter::~SharedCounter() {
  // Collective by contract: the owner has agreed with the other ranks before it lets go.
  MPI_Win_unlock_all(window_);
  MPI_Win_free(&window_);
}

std::int64_t SharedCounter::next() {
  const std::int64_t one = 1;
  std::int64_t before = 0;
  check_mpi(MPI_Fetch_and_op(&one, &before, MPI_INT64_T, 0, 0, MPI_SUM, window_), "MPI_Fetch_and_op");
  check_mpi(MPI_Win_flush(0, window_), "MPI_Win_flush");
  return before;
}

void SharedCounter::serve() const {
  int arrived = 0;
  check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, communicator_, &arrived, MPI_STATUS_IGNORE), "MPI_Iprobe");
}

}  // namespace gem
