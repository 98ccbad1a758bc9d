#include "platform/mpi/shared_counter.hpp"

#include "platform/mpi/mpi_call.hpp"

namespace gem {

SharedCounter::SharedCounter(const Communicator& communicator) : communicator_(communicator) {
  if (communicator.is_alone()) return;
  communicator.barrier();
  const BlockingCall guard("making a window of MPI");
  const MPI_Aint bytes = communicator.is_root() ? sizeof(std::int64_t) : 0;
  check_mpi(MPI_Win_allocate(bytes, sizeof(std::int64_t), MPI_INFO_NULL, communicator.handle(), &value_, &window_),
            "MPI_Win_allocate");
  if (communicator.is_root()) {
    check_mpi(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, window_), "MPI_Win_lock");
    *value_ = 0;
    check_mpi(MPI_Win_unlock(0, window_), "MPI_Win_unlock");
  }
  communicator.barrier();
  check_mpi(MPI_Win_lock_all(0, window_), "MPI_Win_lock_all");
}

void SharedCounter::close() {
  if (communicator_.is_alone()) return;
  communicator_.barrier();
  const BlockingCall guard("freeing a window of MPI");
  check_mpi(MPI_Win_unlock_all(window_), "MPI_Win_unlock_all");
  check_mpi(MPI_Win_free(&window_), "MPI_Win_free");
}

std::int64_t SharedCounter::next() {
  if (communicator_.is_alone()) return own_value_++;
  const std::int64_t one = 1;
  std::int64_t before = 0;
  const MpiCall inside;
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Rget_accumulate(&one, 1, MPI_INT64_T, &before, 1, MPI_INT64_T, 0, 0, 1, MPI_INT64_T, MPI_SUM, window_,
                                &request),
            "MPI_Rget_accumulate");
  complete(request, communicator_.handle(), "MPI_Rget_accumulate");
  return before;
}

void SharedCounter::serve() const {
  sign_of_life();
  if (communicator_.is_alone()) return;
  const MpiCall inside;
  int arrived = 0;
  check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, communicator_.handle(), &arrived, MPI_STATUS_IGNORE), "MPI_Iprobe");
}

}  // namespace gem
