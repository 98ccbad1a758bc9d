#include "platform/command_line/csv_tables.hpp"

#include <gtest/gtest.h>

namespace gem {
namespace {

std::string csv_of(const std::string& json) {
  return csv_tables(JsonDocument::parse(json, "test").root());
}

TEST(CsvTables, OneTableStandsAlone) {
  EXPECT_EQ(csv_of(R"({"models": [{"model": "a", "top_k": 2}, {"model": "b, c", "top_k": 4, "new": true}]})"),
            "model,top_k,new\na,2,\n\"b, c\",4,true\n");
}

TEST(CsvTables, ValuesStandInATableOfTheirOwn) {
  EXPECT_EQ(
      csv_of(R"({"output": "a.h5", "verdict": {"faster": false, "says": "so \"it\" is"}, "speeds": [1, 0.5],)"
             R"( "rows": [[1, 2], [3]], "none": null, "empty": [], "methods": [{"method": "gem", "train_s": 0.25}]})"),
      "# result\nname,value\noutput,a.h5\nverdict_faster,false\nverdict_says,\"so \"\"it\"\" is\"\n"
      "speeds,1; 0.5\nrows,1; 2 | 3\nnone,\nempty,\n\n# methods\nmethod,train_s\ngem,0.25\n");
}

TEST(CsvTables, ListsWithinRowsSayWhoseTheyAre) {
  EXPECT_EQ(
      csv_of(R"({"regimes": [{"tile": 16, "points": [{"s": [1, 2]}, {"s": [3, 4]}]}, {"tile": 32, "points": []}]})"),
      "# regimes\ntile,points\n16,\n32,\n\n# regimes_points\nof_tile,s\n16,1; 2\n16,3; 4\n");
  EXPECT_EQ(csv_of(R"({"ranks": [{"lines": [{"a": 1}]}, {"lines": [{"a": 2}]}]})"), "of_row,a\n1,1\n2,2\n");
}

TEST(CsvTables, NothingIsAnEmptyText) {
  EXPECT_EQ(csv_of("{}"), "");
}

}  // namespace
}  // namespace gem
