#pragma once

#include <algorithm>
#include <any>
#include <concepts>
#include <cstddef>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/array.hpp"

namespace gem {

// A noun's members are said once, by a function beside it:
//
//     template <ConstOr<LoadTrace> Trace, class Visit>
//     void visit_fields(Trace& trace, Visit&& visit) { visit(Field{.name = "/counts", ...}, trace.counts); ... }
//
// Files, ranks, tests, the page of the formats and the Python reader all go by it.

/// Least of the numbers that are more than nothing.
constexpr double above_zero = std::numeric_limits<double>::min();

/// A noun or a constant one; what visitors take.
template <class T, class Noun>
concept ConstOr = std::same_as<std::remove_const_t<T>, Noun>;

/// Which values a field may have. Infinity never.
struct ValueRule {
  double least = std::numeric_limits<double>::lowest();
  double greatest = std::numeric_limits<double>::max();
  bool or_unknown = false;         ///< NaN, too
  std::string_view index_of = {};  ///< an axis: the values are positions along it; none is -1 where `least` is that, or
                                   ///< `greatest` where that is set
  std::string_view up_to = {};     ///< an axis: no value is greater than its length
  std::string_view words = {};     ///< of a text: "all, train, test"
  bool distinct = false;           ///< no value twice
};

/// Whether a field must be there.
enum class Presence {
  Always,     ///< a file without it is refused
  OrDefault,  ///< without it every element is `Field::otherwise`; an attribute keeps the noun's own default
  OrEmpty     ///< without it the noun has nothing of it
};

/// How files, ranks and people know a member of a noun.
struct Field {
  std::string_view name;        ///< path of a dataset ("/latency/median") or name of a root attribute ("tile_tokens")
  std::string_view unit = "1";  ///< "s", "token"; "1" where there is none
  std::string_view axes = {};   ///< names of a dataset's dimensions, slowest first: "device, point"
  ValueRule rule = {};
  Presence presence = Presence::Always;
  double otherwise = std::numeric_limits<double>::quiet_NaN();  ///< element where the file has none
  std::string_view needed_with = {};  ///< an attribute; where a file has it, it must have this field, too
  bool planned = false;    ///< part of what is to be measured: an interrupted job goes on only if it is the same
  bool of_header = false;  ///< a root attribute that every file has and that is written with the others of these
  bool narrow = false;     ///< in bytes where all values fit
  std::string_view sets_axis = {};  ///< the attribute is the length of this axis
  std::string_view meaning = {};    ///< for people, without a full stop

  bool is_dataset() const { return name.starts_with('/'); }
};

/// Names of a field's axes, in order.
std::vector<std::string_view> axes_of(const Field& field);

/// Lengths of axes by name, as far as they are known.
class AxisLengths {
 public:
  /// Nothing if the axis isn't known.
  const std::size_t* find(std::string_view axis) const;
  /// 0 if the axis isn't known.
  std::size_t length(std::string_view axis) const;
  void set(std::string_view axis, std::size_t length);
  /// Of a field's axes, 0 for unknown ones.
  std::vector<std::size_t> extents(const Field& field) const;

 private:
  std::vector<std::pair<std::string, std::size_t>> lengths_;
};

/// What a field must hold, for messages and pages: "0 or more s, or NaN where unknown".
std::string text_of(const ValueRule& rule, std::string_view unit, const AxisLengths& axes = {});

/// Whether a number may be there; the axes that the rule names are known.
bool is_allowed(const ValueRule& rule, double value, const AxisLengths& axes);

/// Whether a text is one of the rule's words; any is, if it has none.
bool is_allowed(const ValueRule& rule, std::string_view text);

/// Dense row-major numbers of any rank: a column of matrices or cubes.
template <class T>
struct Stack {
  std::vector<std::size_t> extents{};
  std::vector<T> values{};
};

// What all arrays have: extents, elements in row-major order, and a new shape.
template <class T>
std::vector<std::size_t> extents_of(const std::vector<T>& values) {
  return {values.size()};
}
template <class T>
std::vector<std::size_t> extents_of(const Matrix<T>& matrix) {
  return {matrix.rows(), matrix.columns()};
}
template <class T>
std::vector<std::size_t> extents_of(const Cube<T>& cube) {
  return {cube.planes(), cube.rows(), cube.columns()};
}
template <class T>
std::vector<std::size_t> extents_of(const Stack<T>& stack) {
  return stack.extents;
}
template <class T>
auto& elements_of(std::vector<T>& values) {
  return values;
}
template <class T>
const auto& elements_of(const std::vector<T>& values) {
  return values;
}
template <class Array>
auto& elements_of(Array& array) requires requires {
  array.values();
}
{ return array.values(); }
template <class T>
auto& elements_of(Stack<T>& stack) {
  return stack.values;
}
template <class T>
const auto& elements_of(const Stack<T>& stack) {
  return stack.values;
}
template <class T>
void shape(std::vector<T>& values, std::span<const std::size_t> extents, T fill = T{}) {
  values.assign(extents[0], fill);
}
template <class T>
void shape(Matrix<T>& matrix, std::span<const std::size_t> extents, T fill = T{}) {
  matrix = Matrix<T>(extents[0], extents[1], fill);
}
template <class T>
void shape(Cube<T>& cube, std::span<const std::size_t> extents, T fill = T{}) {
  cube = Cube<T>(extents[0], extents[1], extents[2], fill);
}
template <class T>
void shape(Stack<T>& stack, std::span<const std::size_t> extents, T fill = T{}) {
  std::size_t count = 1;
  for (const std::size_t extent : extents) count *= extent;
  stack = {{extents.begin(), extents.end()}, std::vector<T>(count, fill)};
}

/// A member that isn't kept as it is written: get() gives the written form, set() takes it back. set() throws DataError
/// without the file's name for what can't be.
template <class Value>
concept Encoded = requires(const Value& value) {
  value.get();
};

template <class Value>
concept ArrayValue = requires(const Value& value) {
  extents_of(value);
};

/// One member of every row of a list, as an array: [row], or [row, ...] where the member is an array itself. A list
/// that is set takes the length of what it is set to. The member may be what a function makes of a row, a reference.
template <class Rows, class Member>
class Column {
  using Row = typename std::remove_const_t<Rows>::value_type;
  using Value =
      std::remove_cvref_t<std::invoke_result_t<Member, std::conditional_t<std::is_const_v<Rows>, const Row&, Row&>>>;

 public:
  Column(Rows& rows, Member member) : rows_(&rows), member_(member) {}

  auto get() const {
    if constexpr (ArrayValue<Value>) {
      Stack<typename std::remove_cvref_t<decltype(elements_of(std::declval<Value&>()))>::value_type> stack;
      stack.extents = {rows_->size()};
      for (const Row& row : *rows_) {
        const auto& elements = elements_of(std::invoke(member_, row));
        stack.values.insert(stack.values.end(), elements.begin(), elements.end());
      }
      const auto inner = rows_->empty() ? extents_of(Value{}) : extents_of(std::invoke(member_, rows_->front()));
      stack.extents.insert(stack.extents.end(), inner.begin(), inner.end());
      return stack;
    } else {
      std::vector<Value> values;
      for (const Row& row : *rows_) values.push_back(std::invoke(member_, row));
      return values;
    }
  }

  template <class Written>
  void set(const Written& written) const {
    rows_->resize(extents_of(written)[0]);
    if constexpr (ArrayValue<Value>) {
      auto from = written.values.begin();
      for (Row& row : *rows_) {
        shape(std::invoke(member_, row), std::span(written.extents).subspan(1));
        auto& elements = elements_of(std::invoke(member_, row));
        const auto end = from + static_cast<std::ptrdiff_t>(elements.size());
        std::copy(from, end, elements.begin());
        from = end;
      }
    } else {
      for (std::size_t i = 0; i < written.size(); ++i) std::invoke(member_, (*rows_)[i]) = written[i];
    }
  }

 private:
  Rows* rows_;
  Member member_;
};

/// A choice as a word. The words are those of the field's rule, in the order of the choices.
template <class Choice>
class Word {
 public:
  Word(Choice& choice, std::vector<std::string> words) : choice_(&choice), words_(std::move(words)) {}
  std::string get() const { return words_[static_cast<std::size_t>(*choice_)]; }
  void set(const std::string& word) const {
    for (std::size_t i = 0; i < words_.size(); ++i)
      if (words_[i] == word) *choice_ = static_cast<std::remove_const_t<Choice>>(i);
  }

 private:
  Choice* choice_;
  std::vector<std::string> words_;
};

/// Lengths of all axes of a noun, as its arrays have them; an axis of empty arrays alone has length 0.
template <class Noun>
AxisLengths axis_lengths(const Noun& noun) {
  AxisLengths lengths;
  const auto take = [&](const Field& field, const std::vector<std::size_t>& extents) {
    const auto axes = axes_of(field);
    for (std::size_t i = 0; i < axes.size() && i < extents.size(); ++i)
      if (lengths.length(axes[i]) == 0) lengths.set(axes[i], extents[i]);
  };
  visit_fields(noun, [&](const Field& field, const auto& value) {
    using Value = std::remove_cvref_t<decltype(value)>;
    if constexpr (Encoded<Value>) {
      if constexpr (ArrayValue<decltype(value.get())>) take(field, extents_of(value.get()));
    } else if constexpr (ArrayValue<Value>) {
      take(field, extents_of(value));
    }
  });
  return lengths;
}

/// Visits the fields of two nouns of one type together: function(field, value, other), where `value` can be set and
/// `other` is the second noun's as it is written.
template <class Noun, class Function>
void visit_both(Noun& noun, const Noun& other, const Function& function) {
  std::vector<std::any> others;
  visit_fields(other, [&](const Field&, const auto& value) {
    if constexpr (Encoded<std::remove_cvref_t<decltype(value)>>)
      others.emplace_back(value.get());
    else
      others.emplace_back(&value);
  });
  std::size_t next = 0;
  visit_fields(noun, [&](const Field& field, auto&& value) {
    using Value = std::remove_cvref_t<decltype(value)>;
    const std::any& second = others[next++];
    if constexpr (Encoded<Value>)
      function(field, value, *std::any_cast<decltype(value.get())>(&second));
    else
      function(field, value, **std::any_cast<const Value*>(&second));
  });
}

/// The part of an array with position below `count` along every axis of that name.
template <class Array>
void keep_first(Array& array, const Field& field, std::string_view axis, std::size_t count) {
  const std::vector<std::size_t> before = extents_of(array);
  std::vector<std::size_t> after = before;
  const auto axes = axes_of(field);
  for (std::size_t i = 0; i < axes.size(); ++i)
    if (axes[i] == axis) after[i] = std::min(after[i], count);
  if (after == before) return;
  const auto elements = elements_of(array);
  shape(array, after);
  std::vector<std::size_t> at(after.size(), 0);
  for (auto& element : elements_of(array)) {
    std::size_t from = 0;
    for (std::size_t i = 0; i < at.size(); ++i) from = from * before[i] + at[i];
    element = elements[from];
    for (std::size_t i = at.size(); i-- > 0 && ++at[i] == after[i];) at[i] = 0;
  }
}

/// The same of all fields of a noun.
template <class Noun>
void keep_first(Noun& noun, std::string_view axis, std::size_t count) {
  visit_fields(noun, [&](const Field& field, auto&& value) {
    using Value = std::remove_cvref_t<decltype(value)>;
    if constexpr (Encoded<Value>) {
      auto written = value.get();
      if constexpr (ArrayValue<decltype(written)>) {
        keep_first(written, field, axis, count);
        value.set(written);
      }
    } else if constexpr (ArrayValue<Value>) {
      keep_first(value, field, axis, count);
    }
  });
}

}  // namespace gem
