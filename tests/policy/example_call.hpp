#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "policy/gem_policy.h"
#include "search/random_problem.hpp"

namespace gem {

struct PolicyCloser {
  void operator()(gem_policy* policy) const { gem_policy_close(policy); }
};
using Policy = std::unique_ptr<gem_policy, PolicyCloser>;

/// Of so many equal devices.
inline Policy equal_policy(int devices) {
  gem_policy* policy = nullptr;
  EXPECT_EQ(gem_policy_open_equal(devices, 16, 4e-6, 1e-5, &policy), GEM_POLICY_GOOD) << gem_policy_error();
  return Policy(policy);
}

/// A question to the policy and room for its answer: 2 layers, 16 experts in 20 slots of 4 devices, 12 steps.
class Call {
 public:
  Call() : trace_(testing::made_up_trace(12, 2, 16, 5)) {
    for (int layer = 0; layer < 2; ++layer)
      for (int slot = 0; slot < 20; ++slot) present_.push_back(slot % 16);
    question.size = sizeof question;
    question.step_count = 12;
    question.judged_steps = 6;
    question.layer_count = 2;
    question.expert_count = 16;
    question.device_count = 4;
    question.slots_per_device = 5;
    question.counts = trace_.counts.values().data();
    question.present = present_.data();
    question.max_moves = 4;
    question.max_total_moves = -1;
    question.move_s = 1e-6;
    question.horizon_steps = 1000.0;
    question.seed = 1;
    answer.size = sizeof answer;
    answer.map = map.data();
  }
  std::int32_t run(const Policy& policy) { return gem_policy_place(policy.get(), &question, &answer); }
  void expect_refused(const Policy& policy, std::int32_t code, const std::string& part) {
    EXPECT_EQ(run(policy), code) << part;
    EXPECT_NE(std::string(gem_policy_error()).find(part), std::string::npos) << gem_policy_error();
  }

  gem_policy_question question{};
  gem_policy_answer answer{};
  std::vector<std::int32_t> map = std::vector<std::int32_t>(40, -7);

 private:
  LoadTrace trace_;
  std::vector<std::int32_t> present_;
};

}  // namespace gem
