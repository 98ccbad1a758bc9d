#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "platform/mpi/mpi.hpp"

namespace gem {

/// Where a pair stands.
enum class PairState : std::int64_t {
  Waiting,
  Tracing,
  Profiling,  ///< or waiting for who measures the same profile
  Mapping,
  Verifying,
  Done,
  Kept,  ///< all of it was there already
  Failed,
  Interrupted  ///< asked to stop before it was whole
};
std::string state_name(PairState state);
bool is_final(PairState state);

/// The live table of pairs on rank 0. Groups of ranks report from wherever they are; rank 0 hears them when it looks.
/// On a terminal the table is redrawn in place, once a second at least; in a log each pair is one line when it ends,
/// and all that were interrupted are one line together.
class Board {
 public:
  /// `live` redraws the table where standard output isn't known to be a terminal. Collective.
  Board(const Communicator& world, const std::vector<std::string>& names, bool shown, bool live);
  ~Board();
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  /// By one rank of the group that works on the pair, and so are its reports: from here on its time counts.
  void begin(std::size_t pair);
  void report(std::size_t pair, PairState state);
  /// Hears what others have reported; on other ranks than 0 nothing.
  void look();
  /// Hears until every pair has a final state; on rank 0 after its own work.
  void wait_for_all();

 private:
  struct Entry {
    std::string name;
    PairState state = PairState::Waiting;
    std::chrono::steady_clock::time_point begin{};
    std::chrono::nanoseconds elapsed{};  // until its last report
  };
  void apply(std::size_t pair, PairState state, std::chrono::nanoseconds elapsed);
  void print_ended(const Entry& entry) const;
  void draw();
  void keep_drawing(const std::stop_token& stop);
  std::string time_left() const;
  std::size_t final_count() const;
  std::size_t count_of(PairState state) const;

  Communicator world_;
  bool shown_;
  bool live_;
  std::vector<Entry> entries_;
  std::chrono::steady_clock::time_point begin_;
  std::size_t lines_drawn_ = 0;
  // While this rank works at a stage, a thread keeps the clocks of the table going.
  std::mutex mutex_;
  std::condition_variable_any stopped_;
  std::jthread clock_;
};

}  // namespace gem
