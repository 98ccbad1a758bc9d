#include "mapping/methods.hpp"

#include <gtest/gtest.h>

#include <set>

#include "base/error.hpp"

namespace gem {
namespace {

TEST(Methods, EachHasANameOfItsOwnAndASummary) {
  std::set<std::string> names;
  for (const Method method : all_methods()) {
    EXPECT_TRUE(names.insert(method_name(method)).second) << method_name(method);
    EXPECT_FALSE(entry_of(method).summary.empty());
    EXPECT_EQ(parse_method(method_name(method)), method);
  }
  EXPECT_EQ(method_name(reference_method()), "linear");
  EXPECT_EQ(method_name(default_method()), "gem");
  EXPECT_FALSE(entry_of(reference_method()).searches) << "it is always run";
}

TEST(Methods, AnUnknownNameIsAnsweredWithAllThereAre) {
  try {
    parse_method("best");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_EQ(
        std::string(error.what()),
        "unknown method 'best'; there are linear, round-robin, eplb, eplb-deepseek, eplb-hierarchical, speed-aware, "
        "paper, gem");
  }
  EXPECT_EQ(names_of(&MethodEntry::places_copies), "eplb, eplb-deepseek, eplb-hierarchical, speed-aware or gem");
  EXPECT_EQ(names_of(&MethodEntry::searches), "gem");
}

}  // namespace
}  // namespace gem
