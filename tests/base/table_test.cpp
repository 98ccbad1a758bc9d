#include "base/table.hpp"

#include <gtest/gtest.h>

#include "base/text.hpp"

namespace gem {
namespace {

TEST(Table, UnitsStandUnderTheHeader) {
  Table table({{"method", ""}, {"time", "ms"}});
  table.add_row({"linear", "12.5"});
  EXPECT_EQ(table.to_string(), "method  time\n          ms\nlinear  12.5\n");
}

Table three_columns() {
  Table table({{"mapping", ""}, {"time", "ms", 2}, {"", "of linear", 1}, {"p99", "ms"}});
  table.add_row({"linear", "12.5", "1.000", "13.0"});
  return table;
}

TEST(Table, MarkedColumnsAreLeftOutInTheirOrderAndNamed) {
  EXPECT_EQ(three_columns().to_string(30), three_columns().to_string(80));
  EXPECT_EQ(three_columns().to_string(29),
            "mapping  time   p99\n"
            "           ms    ms\n"
            "linear   12.5  13.0\n"
            "(no room for: time of linear;\n--json has all)\n");
  EXPECT_EQ(three_columns().to_string(18, "t.csv has all"),
            "mapping   p99\n"
            "           ms\n"
            "linear   13.0\n"
            "(no room for: time\nms, time of\nlinear; t.csv has\nall)\n");
}

TEST(Table, ColumnsThatSayNothingAreLeftOutFirst) {
  Table table({{"mapping", ""}, {"time", "ms", 1}, {"measured", "ms"}, {"p99", "ms"}});
  table.add_row({"linear", "12.5", "-", "13.0"});
  EXPECT_EQ(table.to_string(28),
            "mapping  time   p99\n"
            "           ms    ms\n"
            "linear   12.5  13.0\n"
            "(no room for: measured ms;\n--json has all)\n");
}

TEST(Table, WordsLoseTheirMiddleWhereNoColumnMayGo) {
  Table table({{"pair", ""}, {"time", "ms"}});
  table.add_row({"gpt-oss-20b.mmlu.decode", "1.25"});
  table.add_row({"short", "10.00"});
  EXPECT_EQ(table.to_string(20),
            "pair            time\n"
            "                  ms\n"
            "gpt-o..decode   1.25\n"
            "short          10.00\n"
            "(long words are cut;\n--json has all)\n");
}

TEST(Table, LettersCountNotBytes) {
  Table table({{"pair", ""}, {"time", "ms"}});
  table.add_row({"\u00fcber\u00fcber\u00fcber", "1"});
  EXPECT_EQ(table.to_string(80), "pair          time\n                ms\n\u00fcber\u00fcber\u00fcber     1\n");
  EXPECT_EQ(table.to_string(14),
            "pair      time\n            ms\n\u00fcbe..ber     1\n(long words\nare cut;\n--json has\nall)\n");
}

}  // namespace
}  // namespace gem
