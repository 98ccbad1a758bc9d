#pragma once

#include <cstdint>

#include "platform/mpi/mpi.hpp"

namespace gem {

/// A number on rank 0 that every rank can fetch and advance at any time: deals units of work to whoever is free.
/// Creating and closing it is collective; one that isn't closed, because an error ends the job, is left to MPI.
class SharedCounter {
 public:
  explicit SharedCounter(const Communicator& communicator);
  SharedCounter(const SharedCounter&) = delete;
  SharedCounter& operator=(const SharedCounter&) = delete;

  /// Collective, once no rank fetches any more.
  void close();

  /// The present value, from 0; the next call, on any rank, gets one more.
  std::int64_t next();

  /// Lets rank 0 serve the others while it computes, and all tell that they are alive; cheap, to be called now and
  /// then.
  void serve() const;

 private:
  Communicator communicator_;
  MPI_Win window_ = MPI_WIN_NULL;
  std::int64_t* value_ = nullptr;
  std::int64_t own_value_ = 0;  // counts where there is one rank
};

}  // namespace gem
