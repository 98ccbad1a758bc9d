#include "batch/board.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "base/text.hpp"
#include "platform/terminal.hpp"

namespace gem {
namespace {

constexpr int report_tag = 71;
constexpr std::size_t most_lines = 20;

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

std::string state_name(PairState state) {
  switch (state) {
    case PairState::Waiting:
      return "waiting";
    case PairState::Tracing:
      return "tracing";
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
  for (const std::string& name : names) entries_.push_back({name});
}

Board::~Board() {
  if (shown_) std::fflush(stdout);
}

void Board::report(std::size_t pair, PairState state) {
  if (world_.is_root()) {
    apply(pair, state);
    return look();
  }
  // Two numbers leave at once, whether rank 0 listens or not.
  const std::int64_t message[2] = {static_cast<std::int64_t>(pair), static_cast<std::int64_t>(state)};
  check_mpi(MPI_Send(message, 2, MPI_INT64_T, 0, report_tag, world_.handle()), "MPI_Send");
}

void Board::look() {
  if (!world_.is_root()) return;
  for (;;) {
    int found = 0;
    MPI_Status status;
    check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, report_tag, world_.handle(), &found, &status), "MPI_Iprobe");
    if (found == 0) return;
    std::int64_t message[2] = {0, 0};
    check_mpi(MPI_Recv(message, 2, MPI_INT64_T, status.MPI_SOURCE, report_tag, world_.handle(), MPI_STATUS_IGNORE),
              "MPI_Recv");
    apply(static_cast<std::size_t>(message[0]), static_cast<PairState>(message[1]));
  }
}

void Board::wait_for_all() {
  if (!world_.is_root()) return;
  while (final_count() < entries_.size()) {
    look();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

std::size_t Board::final_count() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(entries_, [](const Entry& entry) { return is_final(entry.state); }));
}

void Board::apply(std::size_t pair, PairState state) {
  Entry& entry = entries_[pair];
  if (entry.state == PairState::Waiting) entry.begin = std::chrono::steady_clock::now();
  entry.state = state;
  entry.elapsed_s = seconds_since(entry.begin);
  if (!shown_) return;
  if (live_) return draw();
  if (!is_final(state)) return;
  std::printf("%zu/%zu  %s  %s  %s%s\n", final_count(), entries_.size(), entry.name.c_str(), state_name(state).c_str(),
              state == PairState::Kept ? "-" : format_seconds(entry.elapsed_s).c_str(), time_left().c_str());
  std::fflush(stdout);
}

std::string Board::time_left() const {
  // What was kept took no time and says nothing about the rest.
  std::size_t made = 0, left = 0;
  for (const Entry& entry : entries_) {
    made += is_final(entry.state) && entry.state != PairState::Kept ? 1 : 0;
    left += is_final(entry.state) ? 0 : 1;
  }
  if (made == 0 || left == 0) return "";
  return "  about " + format_duration(seconds_since(begin_) * static_cast<double>(left) / static_cast<double>(made)) +
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
    if (is_final(entry.state) && entry.state != PairState::Failed) rows.push_back(&entry);
  rows.resize(std::min(rows.size(), most_lines));
  Table table({{"pair", ""}, {"state", ""}, {"time", "s"}});
  for (const Entry* entry : rows)
    table.add_row({entry->name, state_name(entry->state),
                   format("%.1f", is_final(entry->state) ? entry->elapsed_s : seconds_since(entry->begin))});
  std::string text = table.to_string();
  text += format("%zu of %zu pairs%s\n", final_count(), entries_.size(), time_left().c_str());
  if (lines_drawn_ > 0) std::printf("\033[%zuA\033[J", lines_drawn_);
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
  lines_drawn_ = static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

}  // namespace gem
