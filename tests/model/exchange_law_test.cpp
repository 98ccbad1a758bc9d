#include "model/exchange_law.hpp"

#include <gtest/gtest.h>

#include "base/random.hpp"

namespace gem {
namespace {

// Rows from 100 to 196 at so many seconds each, 50 us beside, and noise of so many seconds.
std::optional<ExchangeLaw> fitted(double row_s, double noise_s) {
  RandomStream random{3};
  std::vector<double> rows, seconds;
  for (std::size_t i = 0; i < 97; ++i) {
    rows.push_back(100.0 + static_cast<double>(i));
    seconds.push_back(50e-6 + row_s * rows.back() + noise_s * random.normal());
  }
  return fit_exchange_law(256, rows, seconds);
}

TEST(ExchangeLaw, FindsTheLineAndWhatItExplains) {
  const ExchangeLaw exact = *fitted(15e-9, 0.0);
  EXPECT_EQ(exact.tokens, 256);
  EXPECT_NEAR(exact.fixed_s, 50e-6, 1e-12);
  EXPECT_NEAR(exact.row_s, 15e-9, 1e-15);
  EXPECT_NEAR(exact.mean_s, 50e-6 + 148 * 15e-9, 1e-12);
  EXPECT_NEAR(exact.explained, 1.0, 1e-9);
  EXPECT_TRUE(rows_count(exact));
  // The rows' own deviation is 28 x 15 ns = 0.42 us: noise of 1 us leaves them 15 %.
  const ExchangeLaw noisy = *fitted(15e-9, 1e-6);
  EXPECT_NEAR(noisy.explained, 0.15, 0.1);
  EXPECT_FALSE(rows_count(noisy));
  EXPECT_FALSE(rows_count(*fitted(-15e-9, 0.0))) << "more rows are no reason to be faster";
}

TEST(ExchangeLaw, NeedsRowsAndTimesThatDiffer) {
  const std::vector<double> same{5, 5, 5}, other{1, 2, 3};
  EXPECT_FALSE(fit_exchange_law(1, same, other));
  EXPECT_FALSE(fit_exchange_law(1, other, same));
}

TEST(ExchangeLaw, CountsRowsAsFarAsTheyExplain) {
  // As replayed on two GPUs: a tenth is explained in small steps, most of it in large ones.
  const std::vector<ExchangeLaw> laws{{512, 70e-6, 60e-6, 10e-9, 0.1}, {2048, 130e-6, 60e-6, 20e-9, 0.9}};
  const ExchangeOfStep small = exchange_of_step(laws, 512), large = exchange_of_step(laws, 2048);
  EXPECT_EQ(small.row_s, 0.0);
  EXPECT_NEAR(small.fixed_s, 70e-6, 1e-12) << "rows that don't count are part of the constant";
  EXPECT_NEAR(large.row_s, 18e-9, 1e-15);
  EXPECT_NEAR(large.fixed_s + 3500 * large.row_s, 130e-6, 1e-12) << "the mean stays what was measured";
  EXPECT_EQ(exchange_of_step(laws, 16).row_s, 0.0);
  EXPECT_EQ(exchange_of_step(laws, 1e6).row_s, large.row_s);
  const ExchangeOfStep between = exchange_of_step(laws, 1024);
  EXPECT_NEAR(between.row_s, 9e-9, 1e-15) << "half way by the logarithm";
  EXPECT_NEAR(between.explained, 0.5, 1e-9);
}

TEST(ExchangeLaw, TheTableFitsATerminal) {
  EXPECT_EQ(exchange_law_table({}), "");
  const std::vector<ExchangeLaw> laws{{512, 70e-6, 60e-6, 10e-9, 0.1}, {1048576, 0.13, -60e-6, 20e-9, 0.9}};
  const std::string table = exchange_law_table(laws);
  EXPECT_NE(table.find("counted"), std::string::npos) << table;
  for (std::size_t begin = 0, end; (end = table.find('\n', begin)) != std::string::npos; begin = end + 1)
    EXPECT_LE(end - begin, 80u) << table;
}

}  // namespace
}  // namespace gem
