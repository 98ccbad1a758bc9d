#pragma once

namespace gem {

/// While one lives, this process is inside of a call of MPI. Even one that should return at once can wait for a rank
/// that was stopped: for a lock or an entry of a queue in memory that both share. Where the calls are watched, a timer
/// ends this process with a sentence once it has stayed in the same call for as long as the patience lasts.
class MpiCall {
 public:
  MpiCall();
  ~MpiCall();
  MpiCall(const MpiCall&) = delete;
  MpiCall& operator=(const MpiCall&) = delete;
};

/// Watches all calls from now on, or no longer. Takes SIGALRM.
void watch_calls(bool watching);

/// Ends all ranks by MPI_Abort, and at least this one, soon, where that doesn't return.
[[noreturn]] void end_all_ranks(int code);

}  // namespace gem
