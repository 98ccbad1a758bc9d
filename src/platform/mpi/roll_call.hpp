#pragma once

#include <mpi.h>

#include <chrono>
#include <string>
#include <vector>

namespace gem {

/// How long a rank waits for the others before it ends the job.
struct Patience {
  double limit_s = 600.0;
  bool quiet = false;  ///< say nothing while waiting
};

/// For all waits from now on. Also before MPI has started.
void set_patience(const Patience& patience);
const Patience& patience();

/// Gives every rank a way to be asked whether it is still there. Collective; between MPI_Init and MPI_Finalize.
void start_roll_call();
/// Local.
void stop_roll_call();

/// To be called now and then in long work between two collectives: tells ranks that wait and ask that this one works.
/// Cheap.
void sign_of_life();

/// One wait for other ranks. A rank that waits for long asks the others whether they are still there. They answer where
/// they wait themselves and at every sign of life; one that has stopped doesn't. After a minute the lowest rank that
/// waits says for whom, on standard error.
class Wait {
 public:
  /// For ranks of `group`. Without `patience_s`, the common patience counts.
  explicit Wait(MPI_Comm group, double patience_s = patience().limit_s);

  /// To be called again and again while the wait goes on. SystemError naming rank and host if one hasn't answered for
  /// as long as the patience lasts, or if all of them do nothing but wait.
  void check();

  double waited_s() const;

 private:
  using Clock = std::chrono::steady_clock;
  void ask();
  void tell() const;
  void give_up() const;
  std::vector<int> silent_ranks() const;

  MPI_Comm group_;
  double patience_s_;
  double ask_after_s_;
  Clock::time_point begin_;
  Clock::time_point next_look_;
  Clock::time_point next_question_;
  double next_word_s_;
  std::vector<int> others_;  // ranks of the job that are waited for, known once asking begins
};

/// Whether a rank that waits sleeps in between. Transfers between ranks that are known to be there are only as fast as
/// both look after them.
enum class Resting { Yes, No };

/// Completes a request, or gives up as above.
void complete(MPI_Request& request, MPI_Comm group, const char* call, Resting resting = Resting::Yes,
              double patience_s = patience().limit_s);

/// Ends this process with a sentence if a call that can't be watched (MPI_Init, MPI_Finalize, those on windows) takes
/// longer than the patience lasts. One at a time.
class BlockingCall {
 public:
  explicit BlockingCall(const char* call);
  ~BlockingCall();
  BlockingCall(const BlockingCall&) = delete;
  BlockingCall& operator=(const BlockingCall&) = delete;
};

}  // namespace gem
