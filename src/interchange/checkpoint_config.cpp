#include "interchange/checkpoint_config.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "base/error.hpp"
#include "base/text.hpp"
#include "interchange/checkpoint_layout.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

constexpr std::int64_t max_count = 65536;

// Words that a key is made of that says how many routed experts a layer has: "n_routed_experts", "moe_num_experts".
constexpr std::array<std::string_view, 16> words_of_counts = {"num",   "n",      "nb",      "number", "of",     "local",
                                                              "total", "count",  "routed",  "moe",    "sparse", "mlp",
                                                              "ffn",   "expert", "experts", "router"};

// Models whose configuration class or code routes by groups where config.json doesn't speak of any.
constexpr std::array<std::string_view, 12> grouped_by_default = {
    "deepseek_v2",    "deepseek_v3",    "deepseek_v32",          "kimi_k2",           "axk1",          "beam",
    "bailing_hybrid", "bailing_moe_v2", "bailingmm_moe_v2_lite", "bailing_moe_v3_vl", "pangu_pro_moe", "pangupromoe"};

bool contains_any(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(words, [&](std::string_view word) { return text.find(word) != std::string_view::npos; });
}

bool is_expert_count_key(const std::string& key) {
  const std::vector<std::string> words = split(to_lower(key), '_');
  const auto any_of = [&](std::initializer_list<std::string_view> wanted) {
    return std::ranges::any_of(
        words, [&](const std::string& word) { return std::ranges::find(wanted, word) != wanted.end(); });
  };
  return any_of({"expert", "experts"}) && any_of({"num", "n", "nb", "number", "count", "total", "experts"}) &&
         words.size() > 1 && std::ranges::all_of(words, [](const std::string& word) {
           return std::ranges::find(words_of_counts, word) != words_of_counts.end();
         });
}

/// Parts of a configuration that are about something else than the text model's layers.
bool is_other_part(const std::string& key) {
  return is_other_stack(key) || contains_any(to_lower(key), {"quant", "compress", "rope", "lora"});
}

/// The number of experts in a group.
bool is_group_size_key(const std::string& key) {
  const std::string lower = to_lower(key);
  return lower.find("group") != std::string::npos &&
         (contains_any(lower, {"per_group"}) ||
          (contains_any(lower, {"size"}) && contains_any(lower, {"expert", "moe", "rout"})));
}

/// Devices or nodes to whose experts a token is limited: "moe_router_topk_limited_devices", "num_limited_nodes".
bool is_device_limit_key(const std::string& lower) {
  return contains_any(lower, {"limited", "per_tok"}) && contains_any(lower, {"device", "node", "gpu"});
}

/// A key that may speak of groups of experts: every one with "group" in it, but for what else is known to have groups.
bool may_be_group_key(const std::string& key, bool has_mamba) {
  const std::string lower = to_lower(key);
  if (contains_any(lower, {"expert", "rout"}) &&
      contains_any(lower, {"cluster", "partition", "node", "bucket", "tier", "hierarch"}))
    return true;
  if (is_device_limit_key(lower)) return true;
  if (lower.find("group") == std::string::npos) return false;
  if (is_group_size_key(key)) return true;
  if (contains_any(lower, {"loss", "process_group", "param_group", "optim"})) return false;  // of training
  if (contains_any(lower, {"size", "key_value", "kv_", "query", "attention", "norm", "mamba", "ssm", "conv", "gemm",
                           "_mm", "kernel", "hidden_group", "by_length"}))
    return false;
  if (has_mamba && lower == "n_groups") return false;  // Nemotron-H: Mamba's, beside n_group of the router
  // "o_groups" (DeepSeek-V4's attention), "num_code_groups" (speech): groups of something else than experts.
  return contains_any(lower, {"expert", "rout", "moe", "topk", "top_k", "limit", "select", "token"}) ||
         std::ranges::all_of(split(lower, '_'), [](const std::string& word) {
           return word.starts_with("group") || word == "n" || word == "num" || word == "nb" || word == "number" ||
                  word == "of" || word == "count" || word == "total" || word == "size" || word == "use" ||
                  word == "per";
         });
}

/// The number of groups that a token uses, not of all.
bool is_selection_key(const std::string& key) {
  return contains_any(to_lower(key), {"topk", "top_k", "limited", "per_tok", "select", "active", "used", "chosen"});
}

/// A whole number, also as 8.0 or "8".
std::int64_t whole_number(const JsonNode& node, std::int64_t least) {
  if (node.is_text() && !node.text().empty() && node.text().size() < 6 &&
      node.text().find_first_not_of("0123456789") == std::string::npos)
    return std::stol(node.text());
  if (node.is_number() && !node.is_integer() && node.number() == std::floor(node.number()) &&
      node.number() >= static_cast<double>(least) && node.number() <= static_cast<double>(max_count))
    return static_cast<std::int64_t>(node.number());
  return node.integer(least, max_count);
}

/// A count as configurations write it: a number, the same number for every layer, or false, 0 and -1 for none; nothing
/// for true and null.
std::optional<std::size_t> count_of(const JsonNode& node) {
  if (node.is_null()) return std::nullopt;
  if (node.is_boolean()) return node.boolean() ? std::nullopt : std::optional<std::size_t>(0);
  if (!node.is_array()) return static_cast<std::size_t>(std::max<std::int64_t>(whole_number(node, -1), 0));
  std::optional<std::size_t> count;
  for (std::size_t i = 0; i < node.size(); ++i) {
    const std::optional<std::size_t> item = count_of(node.item(i));
    if (i > 0 && item != count) node.reject("must be the same number for every layer");
    count = item;
  }
  return count;
}

/// Numbers of experts, by layer where they differ.
std::vector<std::size_t> expert_counts_of(const JsonNode& node) {
  if (node.is_null() || node.is_boolean()) return {};
  if (!node.is_array()) return {static_cast<std::size_t>(whole_number(node, 0))};
  std::vector<std::size_t> counts;
  for (const std::int32_t count : node.integers(0, max_count)) counts.push_back(static_cast<std::size_t>(count));
  return counts;
}

/// Reads the objects of configuration files one by one.
class ConfigReader {
 public:
  ConfigReader(std::size_t expert_count, const StatedRouting& stated) : expert_count_(expert_count), stated_(stated) {}

  void read(const JsonNode& node) {
    if (node.is_array()) {
      for (std::size_t i = 0; i < node.size(); ++i) read(node.item(i));
    } else if (node.is_object()) {
      read_object(node);
      for (std::size_t i = 0; i < node.keys().size(); ++i)
        if (!is_other_part(node.keys()[i])) read(node.member(i));
    }
  }

  /// DataError naming `files` for what they don't say.
  RoutingConfig result(const std::string& files) const {
    if (!states_experts_ && !stated_.expert_count) {
      if (!other_count_.empty())
        throw DataError(fmt::format("{}, but the mapping places {} experts a layer; give the mapping of this model",
                                    other_count_, expert_count_));
      throw DataError(fmt::format(
          "{}: states no number of experts (num_experts, n_routed_experts, ...), so that GEM can't tell how "
          "this model routes; if you know it, give {} E and {} G (1: a token may use any experts)",
          files, option_name(&StatedRouting::expert_count), option_name(&StatedRouting::group_count)));
    }
    return routing_;
  }

 private:
  void read_object(const JsonNode& object) {
    if (!read_expert_count(object)) return;
    read_zero_experts(object);
    if (!stated_.group_count) read_groups(object);
    for (std::size_t i = 0; i < object.keys().size(); ++i) refuse_ties(object.keys()[i], object.member(i));
  }

  /// False for a part of another model, with another number of experts.
  bool read_expert_count(const JsonNode& object) {
    bool other = false, same = false;
    for (const std::string& key : object.keys()) {
      if (!is_expert_count_key(key) || object.at(key).is_object()) continue;
      const std::vector<std::size_t> counts = expert_counts_of(object.at(key));
      const std::size_t most = counts.empty() ? 0 : *std::ranges::max_element(counts);
      if (std::ranges::find(counts, expert_count_) != counts.end()) same = true;
      if (same || most <= 1) continue;
      other = true;
      other_count_ = object.at(key).where() + fmt::format(": the model has {} experts a layer", most);
    }
    states_experts_ = states_experts_ || same;
    return same || !other;
  }

  void read_zero_experts(const JsonNode& object) {
    for (std::size_t i = 0; i < object.keys().size(); ++i) {
      const std::string key = to_lower(object.keys()[i]);
      if (!contains_any(key, {"zero_expert"}) || contains_any(key, {"type", "coef", "loss", "bias"})) continue;
      routing_.zero_expert_count = std::max(routing_.zero_expert_count, count_of(object.member(i)).value_or(0));
    }
  }

  void read_groups(const JsonNode& object) {
    const std::vector<std::string>& keys = object.keys();
    const bool has_mamba = std::ranges::any_of(keys, [](const std::string& key) {
      return contains_any(to_lower(key), {"mamba", "ssm"});
    });
    std::optional<std::size_t> groups, selected;
    std::string group_key, limiting_key;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const JsonNode value = object.member(i);
      if (value.is_text() && says_groups(to_lower(value.text()))) limiting_key = keys[i];
      if (value.is_object() && !is_other_part(keys[i])) refuse_object_of_groups(keys[i], value);
      if (!may_be_group_key(keys[i], has_mamba) || is_other_value(value)) continue;
      if (value.is_boolean() && value.boolean()) limiting_key = keys[i];
      const std::optional<std::size_t> count = count_of(value);
      if (is_selection_key(keys[i])) {
        if (count.value_or(0) > 0) limiting_key = keys[i];
        selected = count;
      } else if (!value.is_boolean() || !value.boolean()) {
        const bool by_size = is_group_size_key(keys[i]) && count.value_or(0) > 0;
        if (by_size && expert_count_ % *count != 0)
          value.reject(fmt::format("is {}, which doesn't divide {} experts", *count, expert_count_));
        const std::size_t number = by_size ? expert_count_ / *count : count.value_or(0);
        if (groups && *groups >= number) continue;
        groups = number;
        group_key = keys[i];
      }
    }
    const std::string method = text_or_empty(object, "topk_method");
    if (method == "greedy") return;  // DeepSeek-V2-Lite: groups are there, but not used
    const std::string type = to_lower(text_or_empty(object, "model_type"));
    const bool by_default = std::ranges::find(grouped_by_default, type) != grouped_by_default.end();
    if ((!groups && by_default) || (groups.value_or(0) == 0 && !limiting_key.empty()))
      object.reject((limiting_key.empty() ? "model_type '" + type + "' routes by groups of experts"
                                          : limiting_key + " speaks of groups of experts") +
                    fmt::format(", but no key says how many there are (n_group, ...); give {} G (1: a token may use "
                                "any experts)",
                                option_name(&StatedRouting::group_count)));
    if (!groups || *groups <= 1 || (selected && *selected >= *groups)) return;
    if (expert_count_ % *groups != 0)
      object.at(group_key).reject(
          fmt::format("says that there are {} groups, into which {} experts don't divide; give {} G if it is not about "
                      "experts (1: a token may use any)",
                      *groups, expert_count_, option_name(&StatedRouting::group_count)));
    if (routing_.group_count > 1 && routing_.group_count != *groups)
      object.at(group_key).reject(fmt::format("says that there are {} groups, but {} says {}; give {} G", *groups,
                                              routing_.group_origin, routing_.group_count,
                                              option_name(&StatedRouting::group_count)));
    routing_.group_count = *groups;
    routing_.group_origin = object.at(group_key).where();
  }

  /// "group_limited_greedy", "grouped_topk".
  static bool says_groups(const std::string& text) {
    return contains_any(text, {"group"}) && contains_any(text, {"limit", "topk", "top_k", "top-k"});
  }

  /// {"group_limited_routing": {"n": 8, "k": 4}}: groups whose numbers go by names that say nothing.
  void refuse_object_of_groups(const std::string& key, const JsonNode& value) const {
    const std::string lower = to_lower(key);
    if (contains_any(lower, {"group", "device", "node"}) && contains_any(lower, {"limit", "expert", "rout", "topk"}) &&
        contains_any(lower, {"group", "limit"}) && !lower.starts_with("num_"))
      value.reject(
          fmt::format("speaks of groups of experts, but not under names that are known (n_group, ...); give {} "
                      "G (1: a token may use any experts)",
                      option_name(&StatedRouting::group_count)));
  }

  static std::string text_or_empty(const JsonNode& object, std::string_view key) {
    return object.has(key) && object.at(key).is_text() ? object.at(key).text() : std::string();
  }

  /// Words and parts of a configuration, which are no counts of groups. Numbers in quotes are.
  static bool is_other_value(const JsonNode& value) {
    if (value.is_text()) return value.text().find_first_of("0123456789") != 0;
    return value.is_object() || (value.is_array() && value.size() > 0 && is_other_value(value.item(0)));
  }

  /// Experts that share something with their neighbours by number, or are listed by number.
  void refuse_ties(const std::string& key, const JsonNode& value) const {
    const std::string lower = to_lower(key);
    const bool on = !value.is_null() && !(value.is_boolean() && !value.boolean()) && !value.is_text() &&
                    !(value.is_integer() && value.integer() == 0);
    const bool tied = lower.find("adjugate") != std::string::npos ||
                      (lower.find("chunk") != std::string::npos && lower.find("expert") != std::string::npos);
    if (tied && on)
      value.reject(
          "speaks of experts that neighbours share by their numbers, which renumbering would part; deploy the "
          "mapping with gem-deploy export instead");
    if (value.is_text() && contains_any(lower, {"rout", "gate", "gating", "topk", "moe", "expert"}) &&
        contains_any(to_lower(value.text()), {"hash", "modulo", "round_robin", "round-robin", "token_id"}))
      value.reject("is '" + value.text() +
                   "': experts are chosen by their numbers, so that others would be chosen after renumbering; deploy "
                   "the mapping with gem-deploy export instead");
  }

  std::size_t expert_count_;
  const StatedRouting& stated_;
  RoutingConfig routing_;
  bool states_experts_ = false;
  std::string other_count_;  // a sentence's begin: who states another number of experts
};

}  // namespace

void describe(OptionList& options, StatedRouting& stated) {
  options.group("What the configuration doesn't state");
  options.add("experts", stated.expert_count, "E", "experts of a layer")
      .range(1, 65536)
      .without("as the configuration says");
  options
      .add("expert-groups", stated.group_count, "G",
           "groups of consecutive experts of which a token uses a few; 1: a token may use any experts")
      .range(1, 65536)
      .without("as the configuration says");
}

RoutingConfig read_routing_config(const Checkpoint& checkpoint, std::size_t expert_count, const StatedRouting& stated) {
  if (stated.expert_count && *stated.expert_count != expert_count)
    throw option_error(option_name(&StatedRouting::expert_count),
                       "{} is {}, but the mapping places {} experts a layer; give the mapping of this model",
                       *stated.expert_count, expert_count);
  ConfigReader reader(expert_count, stated);
  std::vector<std::string> files;
  for (const char* name : {"config.json", "params.json"}) {
    if (std::ranges::find(checkpoint.others, name) == checkpoint.others.end()) continue;
    const std::string path = checkpoint.path(name);
    const JsonDocument document = parse_beside_weights(read_text_beside_weights(path), path);
    reader.read(document.root());
    files.push_back(path);
  }
  if (files.empty() && !(stated.expert_count && stated.group_count))
    throw DataError(
        fmt::format("{}: there is no such file, so that GEM can't tell how this model routes; copy it here, or give {} "
                    "E and {} G (1: a token may use any experts)",
                    checkpoint.path("config.json"), option_name(&StatedRouting::expert_count),
                    option_name(&StatedRouting::group_count)));
  RoutingConfig routing = reader.result(join(files));
  if (stated.group_count) {
    routing.group_count = *stated.group_count;
    routing.group_origin = spelled(option_name(&StatedRouting::group_count));
  }
  return routing;
}

}  // namespace gem
