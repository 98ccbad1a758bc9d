#include <gtest/gtest.h>

#include <malloc.h>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "policy/example_call.hpp"
#include "policy/gem_policy.h"
#include "policy/profile_text.hpp"
#include "search/random_problem.hpp"
#include "temporary_directory.hpp"

extern "C" int gem_policy_header_size_in_c(void);
extern "C" std::size_t __sanitizer_get_current_allocated_bytes() __attribute__((weak));  // address sanitizer

namespace gem {
namespace {

TEST(PolicyLibrary, HeaderVersionAndLibraryAgree) {
  EXPECT_EQ(gem_policy_abi(), GEM_POLICY_ABI);
  EXPECT_EQ(gem_policy_header_size_in_c(), static_cast<int>(sizeof(gem_policy_question) + sizeof(gem_policy_answer)));
  EXPECT_GT(std::strlen(gem_policy_version()), 2u);
}

TEST(PolicyLibrary, PlacesAndTellsWhatItBrings) {
  const Policy policy = equal_policy(4);
  Call call;
  ASSERT_EQ(call.run(policy), GEM_POLICY_GOOD) << gem_policy_error();
  EXPECT_GT(call.answer.moves, 0);
  EXPECT_LE(call.answer.moves, 8);
  EXPECT_LT(call.answer.placed_s, call.answer.present_s);
  EXPECT_DOUBLE_EQ(call.answer.moves_s, call.answer.moves * 1e-6);
  for (const std::int32_t expert : call.map) EXPECT_TRUE(expert >= 0 && expert < 16);
}

TEST(PolicyLibrary, ADeviceThatThrottlesGetsLess) {
  const Policy policy = equal_policy(4);
  const auto tokens_of_last = [&](const double* slowdowns) {
    Call call;
    call.question.max_moves = -1;
    call.question.judged_steps = 0;
    call.question.move_s = 0.0;
    call.question.slowdowns = slowdowns;
    EXPECT_EQ(call.run(policy), GEM_POLICY_GOOD) << gem_policy_error();
    std::vector<int> slots(16);
    for (int s = 0; s < 20; ++s) ++slots[static_cast<std::size_t>(call.map[static_cast<std::size_t>(s)])];
    double tokens = 0.0;
    for (int s = 15; s < 20; ++s) {
      const auto expert = static_cast<std::size_t>(call.map[static_cast<std::size_t>(s)]);
      for (std::size_t t = 0; t < 12; ++t) tokens += call.question.counts[t * 32 + expert] / double(slots[expert]);
    }
    return tokens;
  };
  const double throttled[] = {1.0, 1.0, 1.0, 1.6};
  EXPECT_LT(tokens_of_last(throttled), 0.85 * tokens_of_last(nullptr));
}

TEST(PolicyLibrary, ReadsWhatWasProfiledAndForgetsDifferences) {
  const test::TemporaryDirectory folder;
  LatencyProfile profile = testing::made_up_profile(3, 4);
  profile.p95_s = profile.median_s;
  profile.sm_clock_hz = Matrix<double>(3, profile.points.size(), 1.5e9);
  profile.devices[1].uuid = "GPU-one";
  std::ofstream(folder / "profile.json") << profile_text(profile);
  gem_policy* opened = nullptr;
  ASSERT_EQ(gem_policy_open((folder / "profile.json").c_str(), &opened), GEM_POLICY_GOOD) << gem_policy_error();
  const Policy policy(opened);
  EXPECT_EQ(gem_policy_device_count(opened), 3);
  EXPECT_STREQ(gem_policy_device_uuid(opened, 1), "GPU-one");
  EXPECT_STREQ(gem_policy_device_name(opened, 0), "made-up");
  EXPECT_EQ(gem_policy_device_uuid(opened, 3), nullptr);
  EXPECT_EQ(gem_policy_device_uuid(opened, -1), nullptr);
  EXPECT_EQ(gem_policy_device_clock(opened, 2), 1.5e9);
  EXPECT_TRUE(std::isnan(gem_policy_device_clock(opened, 3)));
  Call call;
  call.expect_refused(policy, GEM_POLICY_USAGE, "has 3");
  const std::int32_t devices[] = {2, 1, 0, 0};
  call.question.devices = devices;
  EXPECT_EQ(call.run(policy), GEM_POLICY_GOOD) << gem_policy_error();
  gem_policy* mean = nullptr;
  ASSERT_EQ(gem_policy_open_mean(opened, 4, &mean), GEM_POLICY_GOOD) << gem_policy_error();
  const Policy alike(mean);
  EXPECT_EQ(gem_policy_device_count(mean), 4);
  EXPECT_STREQ(gem_policy_device_uuid(mean, 1), "");
  call.question.devices = nullptr;
  EXPECT_EQ(call.run(alike), GEM_POLICY_GOOD) << gem_policy_error();
}

TEST(PolicyLibrary, WrongCallsGetASentence) {
  gem_policy* none = nullptr;
  EXPECT_EQ(gem_policy_open("/nowhere/profile.json", &none), GEM_POLICY_BAD_DATA);
  EXPECT_NE(std::string(gem_policy_error()).find("/nowhere/profile.json"), std::string::npos);
  EXPECT_EQ(gem_policy_open(nullptr, &none), GEM_POLICY_USAGE);
  EXPECT_EQ(gem_policy_open_equal(0, 16, 1e-6, 1e-6, &none), GEM_POLICY_USAGE);
  EXPECT_EQ(gem_policy_open_equal(4, 16, NAN, 1e-6, &none), GEM_POLICY_USAGE);
  EXPECT_EQ(gem_policy_open_mean(nullptr, 4, &none), GEM_POLICY_USAGE);
  EXPECT_EQ(gem_policy_place(nullptr, nullptr, nullptr), GEM_POLICY_USAGE);
  EXPECT_EQ(none, nullptr);
  gem_policy_close(nullptr);

  const Policy policy = equal_policy(4);
  const auto refused = [&](auto member, auto value, const char* part, std::int32_t code = GEM_POLICY_USAGE) {
    Call call;
    call.question.*member = value;
    call.expect_refused(policy, code, part);
    EXPECT_EQ(call.map, std::vector<std::int32_t>(40, -7)) << "written although refused";
  };
  refused(&gem_policy_question::size, std::size_t{8}, "size");
  refused(&gem_policy_question::counts, nullptr, "counts");
  refused(&gem_policy_question::step_count, 0, "step_count");
  refused(&gem_policy_question::judged_steps, 12, "judged_steps");
  refused(&gem_policy_question::layer_count, -1, "layer_count");
  refused(&gem_policy_question::expert_count, 21, "can't hold");
  refused(&gem_policy_question::slots_per_device, 0, "can't hold");
  refused(&gem_policy_question::device_count, 5, "has 4");
  refused(&gem_policy_question::move_s, -1.0, "move_s");
  refused(&gem_policy_question::horizon_steps, 0.0, "horizon_steps");
  refused(&gem_policy_question::horizon_steps, double{NAN}, "horizon_steps");
  refused(&gem_policy_question::iterations, -1, "iterations");
  std::vector<std::int32_t> impossible(40, 3);
  refused(&gem_policy_question::present, impossible.data(), "no slot for expert 0", GEM_POLICY_BAD_DATA);
  std::vector<std::uint32_t> beyond(12 * 2 * 16, 4000000000u);
  refused(&gem_policy_question::counts, beyond.data(), "load");
  Call call;
  call.answer.map = nullptr;
  call.expect_refused(policy, GEM_POLICY_USAGE, "answer");
}

TEST(PolicyLibrary, ThreadsGetTheSameBytesAndTheirOwnErrors) {
  const Policy policy = equal_policy(4);
  std::vector<Call> calls(4);
  std::vector<std::string> errors(calls.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < calls.size(); ++i)
    threads.emplace_back([&, i] {
      Call wrong;
      wrong.question.judged_steps = 100 + static_cast<std::int32_t>(i);
      wrong.run(policy);
      calls[i].run(policy);
      errors[i] = gem_policy_error();
    });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < calls.size(); ++i) {
    EXPECT_EQ(calls[i].map, calls[0].map);
    EXPECT_NE(errors[i].find(std::to_string(100 + i)), std::string::npos) << errors[i];
  }
}

/// What an engine asks over and over, and what goes wrong now and then.
class Asking {
 public:
  void ask(int call) {
    EXPECT_EQ(again_.run(policy_), GEM_POLICY_GOOD);
    EXPECT_EQ(again_.map, expected_);
    if (call % 10 == 0) ask_otherwise();
  }

 private:
  void ask_otherwise() {
    Call first;
    first.question.present = nullptr;
    const Policy other = equal_policy(4);
    EXPECT_EQ(first.run(other), GEM_POLICY_GOOD);
    first.question.judged_steps = 12;
    EXPECT_EQ(first.run(other), GEM_POLICY_USAGE);
    gem_policy* none = nullptr;
    EXPECT_EQ(gem_policy_open("/nowhere/profile.json", &none), GEM_POLICY_BAD_DATA);
  }
  std::vector<std::int32_t> map_of_one_call() {
    EXPECT_EQ(again_.run(policy_), GEM_POLICY_GOOD);
    return again_.map;
  }

  Policy policy_ = equal_policy(4);
  Call again_;
  std::vector<std::int32_t> expected_ = map_of_one_call();
};

// Of the heap, by the sanitizer where there is one.
std::size_t bytes_in_use() {
  return __sanitizer_get_current_allocated_bytes != nullptr ? __sanitizer_get_current_allocated_bytes()
                                                            : mallinfo2().uordblks;
}

// GEM_POLICY_TEST_CALLS: another number, for what makes each call slower (policy_library_valgrind).
TEST(PolicyLibrary, TenThousandCallsNeitherGrowNorSlow) {
  const char* const asked = std::getenv("GEM_POLICY_TEST_CALLS");
  const int calls = asked == nullptr ? 10000 : std::atoi(asked), part = calls / 10;
  ASSERT_GE(part, 1);
  Asking asking;
  // Of the processor alone: the machine has other work.
  const auto seconds_of = [&](int count) {
    const std::clock_t begin = std::clock();
    for (int call = 0; call < count; ++call) asking.ask(call);
    return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  };
  const double first_s = seconds_of(part);
  const std::size_t bytes = bytes_in_use();
  seconds_of(calls - 2 * part);
  const double last_s = seconds_of(part);
  EXPECT_LE(bytes_in_use(), bytes + 4096);
  EXPECT_LT(last_s, 2.0 * first_s + 0.05);
}

}  // namespace
}  // namespace gem
