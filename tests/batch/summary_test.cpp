#include "batch/summary.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace gem {
namespace {

std::vector<SummaryRow> many_pairs(std::size_t count) {
  constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
  std::vector<SummaryRow> rows;
  for (std::size_t i = 0; i < count; ++i)
    for (const std::string method : {"linear", "gem"}) {
      SummaryRow row;
      row.pair = "a-model-with-a-name-of-some-length/task" + std::to_string(100 + i);
      row.state = "done";
      row.method = method;
      row.test_vs_linear = method == "linear" ? 1.0 : 0.7 + 0.001 * static_cast<double>(i);
      row.measured_vs_linear = row.low = row.high = unknown;
      rows.push_back(row);
    }
  SummaryRow failed;
  failed.pair = "b/chat";
  failed.state = "failed";
  failed.error = "trace.h5: there is no such file";
  failed.test_vs_linear = failed.measured_vs_linear = unknown;
  rows.push_back(failed);
  return rows;
}

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos; ++at) ++found;
  return found;
}

TEST(BriefSummary, HasTheBestTheWorstAndTheFailed) {
  const std::string text = brief_summary(many_pairs(96), "simulated");
  EXPECT_NE(text.find("97 pairs: 96 done, 1 failed."), std::string::npos) << text;
  EXPECT_EQ(count(text, "\nbest "), 5u) << text;
  EXPECT_EQ(count(text, "\nworst "), 5u) << text;
  EXPECT_NE(text.find("0.700"), std::string::npos) << text;
  EXPECT_NE(text.find("0.795"), std::string::npos) << text;
  EXPECT_NE(text.find("FAILED b/chat: trace.h5"), std::string::npos) << text;
  EXPECT_NE(text.find("Devices: simulated."), std::string::npos) << text;
  for (std::size_t begin = 0, end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
    EXPECT_LE(end - begin, 80u) << text.substr(begin, end - begin);
}

TEST(BriefSummary, FewPairsAreListedOnce) {
  const std::string text = brief_summary(many_pairs(3), "host");
  EXPECT_EQ(count(text, "a-model-with"), 3u) << text;
}

}  // namespace
}  // namespace gem
