#include "platform/mpi/roll_call.hpp"

#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <list>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "platform/host/host_info.hpp"
#include "platform/mpi/mpi.hpp"
#include "platform/mpi/mpi_call.hpp"
#include "platform/mpi/rank_lost.hpp"

namespace gem {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double spin_s = 0.02;                                // others are expected within microseconds
constexpr timespec rest{0, 1'000'000};                         // then the processor is left to them
constexpr auto between_looks = std::chrono::milliseconds(50);  // for notes of other ranks
constexpr double first_word_s = 60.0;
constexpr std::size_t longest_host_name = 64;
constexpr std::size_t most_named = 8;

// The tag of a note, which has no content.
enum Note : int { Question = 1, Working = 2, Waiting = 3 };

struct Member {
  std::string host;
  Clock::time_point heard{};  // its last answer
  bool working = false;       // as that said
  MPI_Request question = MPI_REQUEST_NULL;
};

// One thread calls MPI, so one roll call serves the process.
struct RollCall {
  MPI_Comm notes = MPI_COMM_NULL;
  int rank = 0;
  std::vector<Member> members;
  std::list<MPI_Request> answers;
  Clock::time_point looked{};
  Clock::time_point watched_since{};  // when the next rank was asked what it hasn't answered yet
};
RollCall roll_call;
Patience common_patience;

bool is_sent(MPI_Request& request) {
  int done = 0;
  check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
  return done != 0;
}

/// Answers questions and takes answers. Nothing here waits for anybody.
void look_at_notes(Note own_state) {
  if (roll_call.notes == MPI_COMM_NULL) return;
  const MpiCall inside;
  roll_call.looked = Clock::now();
  roll_call.answers.remove_if(is_sent);
  for (;;) {
    int found = 0;
    MPI_Status status;
    check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, roll_call.notes, &found, &status), "MPI_Iprobe");
    if (found == 0) return;
    check_mpi(MPI_Recv(nullptr, 0, MPI_BYTE, status.MPI_SOURCE, status.MPI_TAG, roll_call.notes, MPI_STATUS_IGNORE),
              "MPI_Recv");
    if (status.MPI_TAG == Question) {
      roll_call.answers.push_back(MPI_REQUEST_NULL);
      check_mpi(
          MPI_Isend(nullptr, 0, MPI_BYTE, status.MPI_SOURCE, own_state, roll_call.notes, &roll_call.answers.back()),
          "MPI_Isend");
    } else {
      Member& member = roll_call.members[static_cast<std::size_t>(status.MPI_SOURCE)];
      member.heard = Clock::now();
      member.working = status.MPI_TAG == Working;
    }
  }
}

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// The group's other ranks, as ranks of the job.
std::vector<int> others_of(MPI_Comm group) {
  MPI_Group members = MPI_GROUP_NULL, all = MPI_GROUP_NULL;
  check_mpi(MPI_Comm_group(group, &members), "MPI_Comm_group");
  check_mpi(MPI_Comm_group(roll_call.notes, &all), "MPI_Comm_group");
  int count = 0;
  check_mpi(MPI_Group_size(members, &count), "MPI_Group_size");
  std::vector<int> here(static_cast<std::size_t>(count)), ranks(here.size());
  for (int rank = 0; rank < count; ++rank) here[static_cast<std::size_t>(rank)] = rank;
  check_mpi(MPI_Group_translate_ranks(members, count, here.data(), all, ranks.data()), "MPI_Group_translate_ranks");
  MPI_Group_free(&members);
  MPI_Group_free(&all);
  std::erase(ranks, roll_call.rank);
  return ranks;
}

void ask(int rank) {
  const MpiCall inside;
  MPI_Request& question = roll_call.members[static_cast<std::size_t>(rank)].question;
  if (is_sent(question))
    check_mpi(MPI_Isend(nullptr, 0, MPI_BYTE, rank, Question, roll_call.notes, &question), "MPI_Isend");
}

std::string names_of(const std::vector<int>& ranks);

/// Who works watches the rank after it now and then, so that one that stops is missed while others have work left.
void watch_next_rank() {
  if (roll_call.members.size() < 2) return;
  const int next = (roll_call.rank + 1) % static_cast<int>(roll_call.members.size());
  const Member& member = roll_call.members[static_cast<std::size_t>(next)];
  const double pause_s = 0.1 * common_patience.limit_s;
  const bool answered = member.heard >= roll_call.watched_since;
  const double since_s = seconds_since(roll_call.watched_since);
  if (answered && since_s > pause_s) {
    roll_call.watched_since = Clock::now();
    ask(next);
  } else if (!answered && since_s > common_patience.limit_s) {
    throw RankLostError(
        fmt::format("{}, which has not answered for {}: it was stopped or hangs. Look at that host and its log; if it "
                    "is only slow, give a longer {}",
                    names_of({next}), format_duration(since_s), on_command_line("patience")));
  }
}

std::string names_of(const std::vector<int>& ranks) {
  std::vector<std::string> names;
  for (const int rank : ranks) {
    if (names.size() == most_named) {
      names.push_back(fmt::format("{} more", ranks.size() - most_named));
      break;
    }
    names.push_back(fmt::format("rank {} on {}", rank, roll_call.members[static_cast<std::size_t>(rank)].host));
  }
  return join(names);
}

}  // namespace

void set_patience(const Patience& patience) {
  common_patience = patience;
}

const Patience& patience() {
  return common_patience;
}

void start_roll_call() {
  int size = 1;
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &roll_call.notes), "MPI_Comm_dup");
  check_mpi(MPI_Comm_rank(roll_call.notes, &roll_call.rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(roll_call.notes, &size), "MPI_Comm_size");
  std::string own = host_name().substr(0, longest_host_name);
  own.resize(longest_host_name, '\0');
  std::string all(longest_host_name * static_cast<std::size_t>(size), '\0');
  check_mpi(
      MPI_Allgather(own.data(), longest_host_name, MPI_CHAR, all.data(), longest_host_name, MPI_CHAR, roll_call.notes),
      "MPI_Allgather");
  roll_call.members.clear();
  for (std::size_t rank = 0; rank < static_cast<std::size_t>(size); ++rank)
    roll_call.members.push_back({all.substr(rank * longest_host_name, longest_host_name).c_str()});
  watch_calls(size > 1);
}

void stop_roll_call() {
  // Notes that nobody took are left to MPI, as is the communicator: to free it is a matter of all ranks.
  for (MPI_Request& answer : roll_call.answers)
    if (answer != MPI_REQUEST_NULL) MPI_Request_free(&answer);
  for (Member& member : roll_call.members)
    if (member.question != MPI_REQUEST_NULL) MPI_Request_free(&member.question);
  roll_call = RollCall{};
  watch_calls(false);
}

void sign_of_life() {
  if (Clock::now() - roll_call.looked < between_looks) return;
  look_at_notes(Working);
  watch_next_rank();
}

Wait::Wait(MPI_Comm group, double patience_s)
    : group_(group),
      patience_s_(patience_s),
      ask_after_s_(std::min(first_word_s, 0.25 * patience_s)),
      begin_(Clock::now()),
      next_look_(begin_ + between_looks),
      next_question_(begin_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(ask_after_s_))),
      next_word_s_(1.1 * ask_after_s_) {
  sign_of_life();
}

double Wait::waited_s() const {
  return seconds_since(begin_);
}

void Wait::check() {
  const Clock::time_point now = Clock::now();
  if (now < next_look_) return;
  next_look_ = now + between_looks;
  const double waited = waited_s();
  look_at_notes(waited < ask_after_s_ ? Working : Waiting);
  if (now >= next_question_) ask();
  if (waited > next_word_s_) tell();
  while (waited > next_word_s_) next_word_s_ *= 2.0;
  if (waited > patience_s_) give_up();
}

void Wait::ask() {
  next_question_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                      std::chrono::duration<double>(std::min(0.05 * patience_s_, 30.0)));
  if (roll_call.notes == MPI_COMM_NULL) return;
  if (others_.empty()) others_ = others_of(group_);
  for (const int rank : others_) gem::ask(rank);
}

std::vector<int> Wait::silent_ranks() const {
  std::vector<int> silent;
  for (const int rank : others_) {
    const Clock::time_point heard = roll_call.members[static_cast<std::size_t>(rank)].heard;
    if (heard < begin_ || seconds_since(heard) > patience_s_ - ask_after_s_) silent.push_back(rank);
  }
  return silent;
}

void Wait::tell() const {
  std::vector<int> working, silent;
  for (const int rank : others_) {
    const Member& member = roll_call.members[static_cast<std::size_t>(rank)];
    const bool heard = member.heard > begin_;
    if (heard && !member.working && rank < roll_call.rank) return;  // that one speaks
    if (heard && !member.working) continue;
    (heard ? working : silent).push_back(rank);
  }
  if (common_patience.quiet || (working.empty() && silent.empty())) return;
  std::string text = fmt::format("rank {} has waited {}", roll_call.rank, format_duration(waited_s()));
  if (!working.empty()) text += " for " + names_of(working) + ", still at work";
  if (!silent.empty()) text += (working.empty() ? " for " : "; and for ") + names_of(silent) + ": no answer";
  if (!silent.empty())
    text += fmt::format("; the job ends after {} ({})", format_duration(patience_s_), on_command_line("patience"));
  std::fprintf(stderr, "%s\n", text.c_str());
}

void Wait::give_up() const {
  const std::string waited = format_duration(waited_s());
  if (roll_call.notes == MPI_COMM_NULL)
    throw RankLostError(fmt::format("waited {} for the other ranks: one has died or hangs; look at its log", waited));
  const std::vector<int> silent = silent_ranks();
  if (!silent.empty())
    throw RankLostError(fmt::format(
        "rank {} waited {} for {}, which has not answered since: it was stopped or hangs. Look at that host "
        "and its log; if it is only slow, give a longer {}",
        roll_call.rank, waited, names_of(silent), on_command_line("patience")));
  const bool someone_works =
      std::ranges::any_of(others_, [](int rank) { return roll_call.members[static_cast<std::size_t>(rank)].working; });
  if (!someone_works)
    throw RankLostError(
        fmt::format("rank {} waited {}, and all other ranks wait, too: a fault of this program or of MPI; "
                    "please report it",
                    roll_call.rank, waited));
}

void complete(MPI_Request& request, MPI_Comm group, const char* call, Resting resting, double patience_s) {
  Wait wait(group, patience_s);
  const auto is_done = [&] {
    const MpiCall inside;
    int done = 0;
    check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), call);
    return done != 0;
  };
  while (!is_done()) {
    wait.check();
    if (resting == Resting::Yes && wait.waited_s() > spin_s) nanosleep(&rest, nullptr);
  }
}

}  // namespace gem
