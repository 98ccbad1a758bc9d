#include "model/variability.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.hpp"

namespace gem {
namespace {

std::string message_of(const std::string& csv_text) {
  try {
    parse_variability(csv_text, "own.csv");
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

TEST(Variability, ReadsTheColumnByName) {
  const std::string text = "# measured\r\n\r\nruns, relative_runtime ,gpu\r\n5, 0.98,0\r\n# a remark\n4,1.25,1\n";
  EXPECT_EQ(parse_variability(text, "own.csv"), (std::vector<double>{0.98, 1.25}));
}

TEST(Variability, BadTextSaysWhere) {
  EXPECT_NE(message_of("gpu,runtime\n0,1.0\n").find("no column relative_runtime"), std::string::npos);
  EXPECT_NE(message_of("gpu,relative_runtime\n0,1.0\n1,fast\n").find("own.csv, line 3, relative_runtime"),
            std::string::npos);
  EXPECT_NE(message_of("gpu,relative_runtime\n0,-1\n").find("not above 0"), std::string::npos);
  EXPECT_NE(message_of("gpu,relative_runtime\n0,nan\n").find("line 2"), std::string::npos);
  EXPECT_NE(message_of("gpu,relative_runtime\n0\n").find("fewer columns"), std::string::npos);
  EXPECT_NE(message_of("gpu,relative_runtime\n").find("no GPU"), std::string::npos);
  EXPECT_NE(message_of("").find("no GPU"), std::string::npos);
}

TEST(Variability, DevicesSpanFastestToSlowest) {
  const std::vector<double> runtimes = {1.2, 0.9, 1.0, 1.1, 1.05};
  EXPECT_EQ(pick_quantiles(runtimes, 1), (std::vector<double>{1.05}));
  EXPECT_EQ(pick_quantiles(runtimes, 2), (std::vector<double>{0.9, 1.2}));
  EXPECT_EQ(pick_quantiles(runtimes, 5), (std::vector<double>{0.9, 1.0, 1.05, 1.1, 1.2}));
  const std::vector<double> many = pick_quantiles(runtimes, 16);
  EXPECT_TRUE(std::is_sorted(many.begin(), many.end()));
  EXPECT_EQ(many.front(), 0.9);
  EXPECT_EQ(many.back(), 1.2);
}

}  // namespace
}  // namespace gem
