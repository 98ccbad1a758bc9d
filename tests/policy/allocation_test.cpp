#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "policy/example_call.hpp"
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
  const Policy policy = equal_policy(4);
  Call call;
  const std::vector<std::int32_t> unwritten = call.map;
  expect_codes(
      [&] {
        call.map = unwritten;  // as large as it is: allocates nothing
        return call.run(policy);
      },
      [&] { EXPECT_EQ(call.map, unwritten); });
  EXPECT_GT(call.answer.moves, 0);
}

}  // namespace
}  // namespace gem
