#include "batch/board.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "base/quoting.hpp"
#include "base/table.hpp"
#include "base/text.hpp"
#include "platform/command_line/terminal.hpp"

namespace gem {
namespace {

constexpr int report_tag = 71;
constexpr std::size_t most_lines = 20;
constexpr std::size_t lines_beside = 4;     // the table's head, the count, and where the cursor stands
constexpr std::size_t columns_beside = 24;  // of state and time

double seconds_of(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

std::chrono::nanoseconds time_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::steady_clock::now() - begin;
}

}  // namespace

std::string state_name(PairState state) {
  switch (state) {
    case PairState::Waiting:
      return "waiting";
    case PairState::Tracing:
      return "tracing";
    case PairState::Profiling:
      return "profiling";
    case PairState::Mapping:
      return "mapping";
    case PairState::Verifying:
      return "verifying";
    case PairState::Done:
      return "done";
    case PairState::Kept:
      return "kept";
    case PairState::Failed:
      return "FAILED";
    case PairState::Interrupted:
      break;
  }
  return "interrupted";
}

bool is_final(PairState state) {
  return state >= PairState::Done;
}

Board::Board(const Communicator& world, const std::vector<std::string>& names, bool shown, bool live)
    : world_(world),
      shown_(shown && world.is_root()),
      live_(live || is_shown_on_terminal(STDOUT_FILENO)),
      begin_(std::chrono::steady_clock::now()) {
  for (const std::string& name : names) entries_.push_back({printable(name, false)});
  if (shown_ && live_) clock_ = std::jthread([this](const std::stop_token& stop) { keep_drawing(stop); });
}

Board::~Board() {
  if (shown_) std::fflush(stdout);
}

void Board::begin(std::size_t pair) {
  const std::scoped_lock lock(mutex_);
  entries_[pair].begin = std::chrono::steady_clock::now();
}

void Board::report(std::size_t pair, PairState state) {
  const std::chrono::nanoseconds elapsed = time_since(entries_[pair].begin);
  if (world_.is_root()) {
    apply(pair, state, elapsed);
    return look();
  }
  // Three numbers leave at once, whether rank 0 listens or not.
  const std::int64_t message[3] = {static_cast<std::int64_t>(pair), static_cast<std::int64_t>(state), elapsed.count()};
  check_mpi(MPI_Send(message, 3, MPI_INT64_T, 0, report_tag, world_.handle()), "MPI_Send");
}

void Board::look() {
  if (!world_.is_root() || world_.is_alone()) return;
  for (;;) {
    int found = 0;
    MPI_Status status;
    check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, report_tag, world_.handle(), &found, &status), "MPI_Iprobe");
    if (found == 0) return;
    std::int64_t message[3] = {0, 0, 0};
    check_mpi(MPI_Recv(message, 3, MPI_INT64_T, status.MPI_SOURCE, report_tag, world_.handle(), MPI_STATUS_IGNORE),
              "MPI_Recv");
    apply(static_cast<std::size_t>(message[0]), static_cast<PairState>(message[1]),
          std::chrono::nanoseconds(message[2]));
  }
}

void Board::wait_for_all() {
  if (!world_.is_root()) return;
  Wait wait(world_.handle());
  while (final_count() < entries_.size()) {
    look();
    wait.check();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

std::size_t Board::final_count() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(entries_, [](const Entry& entry) { return is_final(entry.state); }));
}

std::size_t Board::count_of(PairState state) const {
  return static_cast<std::size_t>(std::ranges::count(entries_, state, &Entry::state));
}

void Board::apply(std::size_t pair, PairState state, std::chrono::nanoseconds elapsed) {
  const std::scoped_lock lock(mutex_);
  Entry& entry = entries_[pair];
  entry.state = state;
  entry.elapsed = elapsed;
  entry.begin = std::chrono::steady_clock::now() - elapsed;
  if (!shown_) return;
  if (live_) return draw();
  if (is_final(state)) print_ended(entry);
}

void Board::print_ended(const Entry& entry) const {
  const std::size_t interrupted = count_of(PairState::Interrupted), ended = final_count();
  if (entry.state != PairState::Interrupted)
    fmt::print("{}\n",
               wrap(fmt::format(
                   "{}/{}  {}  {}  {}{}", ended - interrupted, entries_.size(), entry.name, state_name(entry.state),
                   entry.state == PairState::Kept ? "-" : format_seconds(seconds_of(entry.elapsed)), time_left())));
  if (interrupted > 0 && ended == entries_.size())
    fmt::print("{} of {} pairs {}\n", interrupted, entries_.size(), state_name(PairState::Interrupted));
  std::fflush(stdout);
}

std::string Board::time_left() const {
  // What was kept took no time and says nothing about the rest.
  const std::size_t made = count_of(PairState::Done) + count_of(PairState::Failed),
                    left = entries_.size() - final_count();
  if (made == 0 || left == 0) return "";
  return "  about " +
         format_duration(seconds_of(time_since(begin_)) * static_cast<double>(left) / static_cast<double>(made)) +
         " left";
}

void Board::draw() {
  // Those under way, then the failed, then the latest; the rest as a count.
  std::vector<const Entry*> rows;
  for (const Entry& entry : entries_)
    if (entry.state != PairState::Waiting && !is_final(entry.state)) rows.push_back(&entry);
  for (const Entry& entry : entries_)
    if (entry.state == PairState::Failed) rows.push_back(&entry);
  for (const Entry& entry : entries_)
    if (entry.state == PairState::Done || entry.state == PairState::Kept) rows.push_back(&entry);
  // A table that doesn't fit can't be drawn over: what has scrolled away would stay.
  const TerminalSize terminal = terminal_size(STDOUT_FILENO);
  rows.resize(std::min({rows.size(), most_lines, std::max(terminal.rows, lines_beside + 1) - lines_beside}));
  const std::size_t longest_name = std::max(terminal.columns, columns_beside + 8) - columns_beside;
  Table table({{"pair", ""}, {"state", ""}, {"time", "s"}});
  for (const Entry* entry : rows)
    table.add_row(
        {entry->name.substr(0, longest_name), state_name(entry->state),
         fmt::format("{:.1f}", seconds_of(is_final(entry->state) ? entry->elapsed : time_since(entry->begin)))});
  std::string text = table.to_string();
  const std::size_t interrupted = count_of(PairState::Interrupted);
  text += fmt::format("{} of {} pairs", final_count() - interrupted, entries_.size());
  if (interrupted > 0) text += fmt::format(", {} {}", interrupted, state_name(PairState::Interrupted));
  text += time_left() + "\n";
  // Line by line: what is cleared at once from the top of the screen, tmux keeps as a copy.
  const std::size_t lines = static_cast<std::size_t>(std::ranges::count(text, '\n'));
  if (lines_drawn_ > 0) fmt::print("\033[{}A", lines_drawn_);
  for (const std::string& line : split(text.substr(0, text.size() - 1), '\n')) fmt::print("{}\033[K\n", line);
  for (std::size_t line = lines; line < lines_drawn_; ++line) fmt::print("\033[K\n");
  if (lines < lines_drawn_) fmt::print("\033[{}A", lines_drawn_ - lines);
  std::fflush(stdout);
  lines_drawn_ = lines;
}

void Board::keep_drawing(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stopped_.wait_for(lock, stop, std::chrono::seconds(1), [&] { return stop.stop_requested(); }))
    if (final_count() < entries_.size()) draw();
}

}  // namespace gem
