#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "policy/gem_policy.h"
#include "policy/profile_text.hpp"
#include "search/random_problem.hpp"
#include "temporary_directory.hpp"

namespace {

// Allocations of this thread from now on until one fails; negative: none does.
thread_local long left_until_failure = -1;
thread_local long seen = 0;

void* allocated(std::size_t bytes) {
  ++seen;
  if (left_until_failure == 0) throw std::bad_alloc();
  if (left_until_failure > 0) --left_until_failure;
  if (void* const memory = std::malloc(bytes > 0 ? bytes : 1)) return memory;
  throw std::bad_alloc();
}

}  // namespace

// The library's, too: its own are looked up in the program first.
void* operator new(std::size_t bytes) {
  return allocated(bytes);
}
void* operator new[](std::size_t bytes) {
  return allocated(bytes);
}
// Whoever asks so goes on without: never failing.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return std::malloc(bytes > 0 ? bytes : 1);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace gem {
namespace {

// Calls `call` with the first allocation failing, then the second, and so on until it needs no more: it must return
// GEM_POLICY_SYSTEM each time, with a sentence. An exception that crossed the C border would end the test.
template <class Call, class Check>
void expect_codes(const Call& call, const Check& after_failure) {
  constexpr long most = 100000;
  seen = 0;
  ASSERT_EQ(call(), GEM_POLICY_GOOD) << gem_policy_error();
  if (seen == 0) GTEST_SKIP() << "this tool has its own allocator";
  for (long until = 0; until < most; until = until < 200 ? until + 1 : until * 9 / 8) {
    left_until_failure = until;
    const std::int32_t code = call();
    const bool has_failed = std::exchange(left_until_failure, -1) == 0;
    if (code == GEM_POLICY_GOOD && !has_failed) return;
    if (code == GEM_POLICY_GOOD) continue;  // a sort does without its buffer
    ASSERT_EQ(code, GEM_POLICY_SYSTEM) << "allocation " << until;
    EXPECT_EQ(std::string(gem_policy_error()), "out of memory");
    after_failure();
  }
  FAIL() << "it never succeeded";
}

TEST(PolicyLibraryWithoutMemory, OpeningGivesACode) {
  const test::TemporaryDirectory folder;
  LatencyProfile profile = testing::made_up_profile(2, 2);
  profile.p95_s = profile.median_s;
  std::ofstream(folder / "profile.json") << profile_text(profile);
  const std::string path = folder / "profile.json";
  gem_policy* policy = nullptr;
  expect_codes(
      [&] {
        gem_policy_close(policy);
        policy = nullptr;
        return gem_policy_open(path.c_str(), &policy);
      },
      [&] { EXPECT_EQ(policy, nullptr); });
  gem_policy_close(policy);
}

TEST(PolicyLibraryWithoutMemory, PlacingGivesACodeAndNoMap) {
  gem_policy* policy = nullptr;
  ASSERT_EQ(gem_policy_open_equal(4, 16, 4e-6, 1e-5, &policy), GEM_POLICY_GOOD);
  const LoadTrace trace = testing::made_up_trace(12, 2, 16, 5);
  std::vector<std::int32_t> present, map;
  for (int slot = 0; slot < 40; ++slot) present.push_back(slot % 20 % 16);
  gem_policy_question question{};
  question.size = sizeof question;
  question.step_count = 12;
  question.judged_steps = 6;
  question.layer_count = 2;
  question.expert_count = 16;
  question.device_count = 4;
  question.slots_per_device = 5;
  question.counts = trace.counts.values().data();
  question.present = present.data();
  question.max_moves = 4;
  question.max_total_moves = -1;
  question.horizon_steps = 1000.0;
  const std::vector<std::int32_t> unwritten(40, -7);
  gem_policy_answer answer{};
  answer.size = sizeof answer;
  expect_codes(
      [&] {
        map = unwritten;  // before an allocation may fail: as large as it is
        answer.map = map.data();
        return gem_policy_place(policy, &question, &answer);
      },
      [&] { EXPECT_EQ(map, unwritten); });
  EXPECT_GT(answer.moves, 0);
  gem_policy_close(policy);
}

}  // namespace
}  // namespace gem
