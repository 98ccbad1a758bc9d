#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "interchange/number_place.hpp"
#include "interchange/renumbering.hpp"

namespace gem {

/// Renumbers experts in names of tensors and modules and in patterns of such, and refuses what names single experts in
/// another way. Lives no longer than what it was made of.
class ExpertNames {
 public:
  ExpertNames(const Renumbering& renumbering, const std::string& origin) : renumbering_(renumbering), origin_(origin) {}

  /// The words with the experts renumbered that they name. DataError naming the origin if that can't be done.
  std::string renumbered(std::string_view words) const;

  /// Whether these are the numbers of all experts of a layer.
  bool are_all_experts(const std::set<double>& numbers) const;
  std::size_t expert_count() const { return renumbering_.expert_count; }
  const std::string& origin() const { return origin_; }

  /// DataError for a text that speaks of experts in two bytes a letter (UTF-16), in which no name would be found.
  void refuse_wide_letters(std::string_view text) const;

  /// DataError: the words name single experts.
  [[noreturn]] void refuse(std::string_view words) const;

 private:
  std::optional<std::string> renumbered_by_layout(std::string_view words) const;
  std::optional<std::string> renumbered_place(std::string_view words, std::size_t word, std::size_t begin) const;
  std::string with_new_numbers(std::string_view place, const Renumbering::Layer& layer, std::string_view words) const;
  std::int32_t new_number(std::size_t number, const Renumbering::Layer& layer, std::string_view words) const;
  std::set<std::int32_t> with_longer_numbers(std::set<std::int32_t> numbers) const;
  bool may_mean_experts(std::string_view words) const;
  bool is_expert_at(std::string_view words, std::size_t at) const;
  bool may_hide_numbers(std::string_view words, std::size_t word, std::size_t behind) const;
  bool has_number_further(std::string_view words, std::size_t begin) const;
  bool is_of_renumbered_layer(std::string_view words, std::size_t place) const;

  const Renumbering& renumbering_;
  const std::string& origin_;
};

/// "layer 1: experts 3,5" in words, in lower case.
bool is_note_of_experts(std::string_view words);

}  // namespace gem
