#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "platform/mpi.hpp"

namespace gem {

/// Where a pair stands.
enum class PairState : std::int64_t {
  Waiting,
  Tracing,
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
/// On a terminal the table is redrawn in place; in a log each pair is one line when it ends.
class Board {
 public:
  /// `live` redraws the table where standard output isn't known to be a terminal. Collective.
  Board(const Communicator& world, const std::vector<std::string>& names, bool shown, bool live);
  ~Board();
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  /// By one rank of the group that works on the pair.
  void report(std::size_t pair, PairState state);
  /// Hears what others have reported; on other ranks than 0 nothing.
  void look();
  /// Hears until every pair has a final state; on rank 0 after its own work.
  void wait_for_all();

  PairState state(std::size_t pair) const { return entries_[pair].state; }

 private:
  struct Entry {
    std::string name;
    PairState state = PairState::Waiting;
    std::chrono::steady_clock::time_point begin{};
    double elapsed_s = 0.0;
  };
  void apply(std::size_t pair, PairState state);
  void draw();
  std::string time_left() const;
  std::size_t final_count() const;

  Communicator world_;
  bool shown_;
  bool live_;
  std::vector<Entry> entries_;
  std::chrono::steady_clock::time_point begin_;
  std::size_t lines_drawn_ = 0;
};

}  // namespace gem
