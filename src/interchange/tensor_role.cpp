#include "interchange/tensor_role.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace gem {
namespace {

// Before "layers.N." of the decoder. Other stacks (vision towers, multi-token prediction) number their layers anew.
constexpr std::array<std::string_view, 5> decoder_prefixes = {"", "model.", "language_model.", "language_model.model.",
                                                              "model.language_model."};
constexpr std::array<std::string_view, 3> moe_blocks = {"mlp.", "block_sparse_moe.", "feed_forward."};
constexpr std::array<std::string_view, 11> by_expert = {
    "gate.expert_bias",        "gate.weight",         "gate.bias",           "gate.e_score_correction_bias",
    "e_score_correction_bias", "gate.wg.weight",      "router.weight",       "router.bias",
    "router.layer.weight",     "input_linear.weight", "output_linear.weight"};
constexpr std::array<std::string_view, 3> shared = {"shared_expert", "shared_mlp", "shared_experts"};

bool contains(const auto& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

/// Takes `prefix` away from the front of `text`, if it stands there.
bool consume(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// Takes a number and the dot after it away from the front of `text`, if they stand there.
bool consume_number(std::string_view& text, std::int32_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto length = static_cast<std::size_t>(end - text.data());
  if (error != std::errc{} || number < 0 || length >= text.size() || text[length] != '.') return false;
  text.remove_prefix(length + 1);
  return true;
}

}  // namespace

TensorRole role_of(std::string_view tensor_name) {
  TensorRole role;
  std::string_view rest = tensor_name;
  const std::size_t layers = rest.find("layers.");
  if (layers == std::string_view::npos || !contains(decoder_prefixes, rest.substr(0, layers))) return role;
  rest.remove_prefix(layers);
  consume(rest, "layers.");
  if (!consume_number(rest, role.layer)) return role;
  const bool in_block = std::ranges::any_of(moe_blocks, [&](std::string_view block) { return consume(rest, block); });
  if (!in_block || std::ranges::any_of(shared, [&](std::string_view name) { return rest.starts_with(name); }))
    return role;

  role.kind = contains(by_expert, rest) ? TensorRole::Kind::AllExperts : TensorRole::Kind::Unclear;
  if (!consume(rest, "experts.")) return role;
  role.kind = TensorRole::Kind::AllExperts;
  role.number_begin = tensor_name.size() - rest.size();
  if (!consume_number(rest, role.expert)) return role;
  role.kind = TensorRole::Kind::OneExpert;
  role.number_end = tensor_name.size() - rest.size() - 1;
  return role;
}

}  // namespace gem
