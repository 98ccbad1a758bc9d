#include "base/json_record.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace gem {
namespace {

TEST(JsonRecord, HoldsMembersInTheirOrder) {
  const JsonRecord inner = JsonRecord().add("a", 1).add("b", true);
  const JsonRecord record = JsonRecord()
                                .add("text", "word")
                                .add("time_s", 1.5e-7)
                                .add("list", std::vector<JsonRecord>{inner, {}})
                                .add("none", std::optional<int>())
                                .add("rows", Matrix<double>(2, 1, 0.5))
                                .add_all(inner);
  EXPECT_EQ(record.text(), R"({"text": "word", "time_s": 1.5e-07, "list": [{"a": 1, "b": true}, {}], "none": null, )"
                           R"("rows": [[0.5], [0.5]], "a": 1, "b": true})");
}

TEST(JsonRecord, WhatJsonCannotHoldIsNullOrEscaped) {
  EXPECT_EQ(JsonRecord().add("x", std::numeric_limits<double>::quiet_NaN()).text(), R"({"x": null})");
  EXPECT_EQ(JsonRecord().add("x", std::numeric_limits<double>::infinity()).text(), R"({"x": null})");
  EXPECT_EQ(JsonRecord().add("a\"b", std::string("c\\d\ne\tf")).text(), R"({"a\"b": "c\\d\ne\tf"})");
  EXPECT_EQ(JsonRecord().add("x", std::string("\x1b[31m\xff")).text(), R"({"x": "\\x1b[31m\\xff"})");
}

TEST(JsonRecord, NumbersAreExact) {
  const double third = 1.0 / 3.0;
  const std::string text = JsonRecord().add("x", third).text();
  EXPECT_EQ(std::stod(text.substr(6)), third);
}

}  // namespace
}  // namespace gem
