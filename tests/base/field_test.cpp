#include "base/field.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "random_fields.hpp"

namespace gem::test {
namespace {

struct Part {
  std::string name;
  Matrix<double> seconds;  // [step, layer]
};

enum class Shade { Light, Dark };

/// A noun with a field of every kind.
struct Toy {
  std::string task;
  std::size_t top_k = 0;
  double rest_s = 0.0;
  Shade shade = Shade::Light;
  std::vector<std::int32_t> ids;  // [device]
  Matrix<double> pairs;           // [device, device]
  Cube<float> samples;            // [device, point, sample]
  std::vector<Part> parts;        // [part]
};

template <ConstOr<Toy> Noun, class Visit>
void visit_fields(Noun& toy, Visit&& visit) {
  auto& [task, top_k, rest_s, shade, ids, pairs, samples, parts] = toy;
  visit(Field{.name = "task"}, task);
  visit(Field{.name = "top_k", .rule = {.least = 1, .greatest = 8}}, top_k);
  visit(Field{.name = "/rest_s", .unit = "s", .axes = "one"}, rest_s);
  visit(Field{.name = "shade", .rule = {.words = "light, dark"}}, Word(shade, {"light", "dark"}));
  visit(Field{.name = "/ids", .axes = "device"}, ids);
  visit(Field{.name = "/pairs", .axes = "device, device", .rule = {.least = 0, .or_unknown = true}}, pairs);
  visit(Field{.name = "/samples", .axes = "device, point, sample"}, samples);
  visit(Field{.name = "/parts/name", .axes = "part"}, Column(parts, &Part::name));
  visit(Field{.name = "/parts/seconds", .axes = "part, step, layer"}, Column(parts, &Part::seconds));
}

Toy random_toy() {
  AxisLengths axes;
  for (const auto& [axis, length] : std::vector<std::pair<std::string, std::size_t>>{
           {"device", 4}, {"point", 3}, {"sample", 2}, {"part", 2}, {"step", 3}, {"layer", 5}})
    axes.set(axis, length);
  Toy toy;
  fill_randomly(toy, axes, 1);
  return toy;
}

TEST(Field, AxesAreKnownByName) {
  const Toy toy = random_toy();
  const AxisLengths axes = axis_lengths(toy);
  EXPECT_EQ(axes.length("device"), 4u);
  EXPECT_EQ(axes.length("layer"), 5u);
  EXPECT_EQ(axes.length("nothing"), 0u);
  EXPECT_EQ(axes.find("nothing"), nullptr);
  EXPECT_EQ(axes.extents({.name = "/x", .axes = "layer, device"}), (std::vector<std::size_t>{5, 4}));
}

TEST(Field, AColumnOfArraysIsAStack) {
  Toy toy = random_toy();
  const Column column(toy.parts, &Part::seconds);
  const Stack<double> stack = column.get();
  EXPECT_EQ(stack.extents, (std::vector<std::size_t>{2, 3, 5}));
  EXPECT_EQ(stack.values[15 + 5 + 2], toy.parts[1].seconds(1, 2));
  Toy other;
  Column(other.parts, &Part::seconds).set(stack);
  ASSERT_EQ(other.parts.size(), 2u);
  EXPECT_EQ(other.parts[1].seconds, toy.parts[1].seconds);
}

TEST(Field, AWordIsAChoice) {
  Toy toy;
  const Word word(toy.shade, {"light", "dark"});
  EXPECT_EQ(word.get(), "light");
  word.set("dark");
  EXPECT_EQ(toy.shade, Shade::Dark);
}

TEST(Field, CutAlongAnAxisNothingElseChanges) {
  const Toy whole = random_toy();
  Toy cut = whole;
  keep_first(cut, "device", 2);
  EXPECT_EQ(cut.ids, (std::vector<std::int32_t>{whole.ids[0], whole.ids[1]}));
  ASSERT_EQ(extents_of(cut.pairs), (std::vector<std::size_t>{2, 2}));
  EXPECT_TRUE(same_bits(cut.pairs(1, 0), whole.pairs(1, 0)));
  EXPECT_TRUE(same_bits(cut.pairs(1, 1), whole.pairs(1, 1)));
  ASSERT_EQ(extents_of(cut.samples), (std::vector<std::size_t>{2, 3, 2}));
  EXPECT_EQ(cut.samples(1, 2, 1), whole.samples(1, 2, 1));
  EXPECT_EQ(cut.parts[1].seconds, whole.parts[1].seconds);
  keep_first(cut, "part", 1);
  ASSERT_EQ(cut.parts.size(), 1u);
  EXPECT_EQ(cut.parts[0].seconds, whole.parts[0].seconds);
}

TEST(Field, TwoNounsAreVisitedTogether) {
  const Toy one = random_toy();
  Toy other = one;
  other.samples(3, 1, 0) += 1.0f;
  other.shade = Shade::Dark;
  std::vector<std::string> different;
  visit_both(other, one, [&](const Field& field, const auto& value, const auto& was) {
    if constexpr (Encoded<std::remove_cvref_t<decltype(value)>>) {
      if constexpr (std::is_same_v<decltype(value.get()), std::string>)
        if (value.get() != was) different.emplace_back(field.name);
    } else if constexpr (std::is_same_v<std::remove_cvref_t<decltype(value)>, Cube<float>>) {
      if (value != was) different.emplace_back(field.name);
    }
  });
  EXPECT_EQ(different, (std::vector<std::string>{"shade", "/samples"}));
}

TEST(ValueRule, SaysWhatItAllows) {
  AxisLengths axes;
  axes.set("device", 3);
  const auto expect = [&](const ValueRule& rule, std::string_view unit, const std::string& text,
                          const std::vector<double>& good, const std::vector<double>& bad) {
    EXPECT_EQ(text_of(rule, unit, axes), text);
    for (const double value : good) EXPECT_TRUE(is_allowed(rule, value, axes)) << text << ": " << value;
    for (const double value : bad) EXPECT_FALSE(is_allowed(rule, value, axes)) << text << ": " << value;
  };
  expect({}, "1", "", {-1e9, 0, 3}, {INFINITY, NAN});
  expect({.least = 0}, "s", "0 or more s", {0, 1e9}, {-1, INFINITY, NAN});
  expect({.least = above_zero, .or_unknown = true}, "s", "above 0 s, or NaN where unknown", {1e-9, NAN}, {0, INFINITY});
  expect({.least = above_zero, .greatest = 1}, "1", "above 0, at most 1", {1, 0.5}, {0, 1.1});
  expect({.least = 1e-9, .greatest = 1e6}, "s", "1e-09 to 1000000 s", {1}, {0, 1e7});
  expect({.index_of = "device"}, "1", "devices, 0 to 2", {0, 2}, {-1, 3});
  expect({.least = -1, .index_of = "device"}, "1", "devices, 0 to 2, or -1 for none", {-1, 2}, {-2, 3});
  expect({.index_of = "layer"}, "1", "layers, counted from 0", {}, {0});
  expect({.least = 1, .up_to = "device"}, "1", "1 to 3", {1, 3}, {0, 4});
  expect({.least = 0, .distinct = true}, "1", "0 or more, none twice", {0}, {-1});
  EXPECT_EQ(text_of({.words = "all, train, test"}, "1"), "all, train or test");
  EXPECT_TRUE(is_allowed({.words = "all, train"}, "train"));
  EXPECT_FALSE(is_allowed({.words = "all, train"}, "trai"));
  EXPECT_TRUE(is_allowed(ValueRule{}, "anything"));
}

}  // namespace
}  // namespace gem::test
