#include "interchange/listed_experts.hpp"

#include <algorithm>
#include <initializer_list>
#include <set>
#include <string_view>
#include <vector>

#include "base/text.hpp"
#include "interchange/number_place.hpp"

namespace gem {
namespace {

using Words = std::initializer_list<std::string_view>;

bool has_any(std::string_view text, Words parts) {
  return std::ranges::any_of(parts, [&](std::string_view part) { return text.find(part) != std::string_view::npos; });
}

/// Whether a key that speaks of experts says how many or how large, not which.
bool is_count_of_experts(const std::string& key) {
  if (has_any(key, {"experts"}) && has_any(key, {"layers."})) return false;  // "model.layers.3.mlp.experts": [1, 5]
  const std::size_t layer = key.find("layer");
  return (has_any(key, {"num"}) && !has_any(key, {"number"})) || key.starts_with("n_") ||
         has_any(key, {"size", "per_tok", "topk", "top_k", "count", "share", "dim", "capacity"}) ||
         (layer != std::string::npos && layer > key.find("expert"));
}

/// Whether a key speaks of experts, or is one under which engines keep a map of them.
bool speaks_of_experts(const std::string& key) {
  return has_any(key, {"expert", "_exps", "to_logical", "to_physical", "phy2log", "log2phy"});
}

/// Whether a number under the key is one expert's, not a quantity: "expert", "skipped_expert", "expert_id".
bool is_of_one_expert(const std::string& key) {
  if (!speaks_of_experts(key) || is_count_of_experts(key)) return false;
  if (has_any(key, {"skip", "drop", "prune", "exclu", "ignore", "keep", "kept", "mask", "frozen"})) return true;
  return std::ranges::any_of(Words{"expert", "expert_id", "expert_idx", "expert_index"},
                             [&](std::string_view ending) { return key.ends_with(ending); });
}

/// Whether a list under the key holds numbers of experts even where it has one: "experts", "fp8_experts", "expert_ids".
bool lists_experts(const std::string& key) {
  return key.ends_with("experts") || key.ends_with("expert_ids") || key.ends_with("expert_indices") ||
         is_of_one_expert(key);
}

/// Whether a list under the key has a value for each expert, if it has as many. Not "delegate", and none by layer.
bool may_go_by_expert(const std::string& key) {
  if (has_any(key, {"layer", "freq", "size", "dim", "num"})) return false;
  std::string parts = key;
  std::ranges::replace(parts, '.', '_');
  const std::vector<std::string> words = split(parts, '_');
  return has_any(key, {"router", "routing", "moe", "expert"}) ||
         std::ranges::any_of(words, [](const std::string& word) { return word == "gate" || word == "gating"; });
}

/// The name of the file that `origin` says the way to, in lower case.
std::string file_name_of(const std::string& origin) {
  return to_lower(origin.substr(origin.find_last_of('/') + 1));
}

bool is_called_after_experts(const std::string& file) {
  return has_any(file, {"expert", "router", "routing"});
}

/// What the keys above a value say of it.
struct Above {
  std::string key;  ///< the last, in lower case
  bool of_experts = false;
  bool by_expert = false;
};

class JsonNumbers {
 public:
  explicit JsonNumbers(const ExpertNames& names) : names_(names) {}

  void look_at(const JsonNode& node, const Above& above) const {
    if (node.is_array()) look_at_array(node, above);
    if (node.is_number() && is_of_one_expert(above.key)) names_.refuse(node.where());
    if (!node.is_object()) return;
    for (std::size_t i = 0; i < node.keys().size(); ++i) {
      const std::string name = to_lower(node.keys()[i]);
      if (above.of_experts && is_all_digits(name)) names_.refuse(node.where() + ": " + name);
      const bool of_layer = is_all_digits(name) || name.find("layer") != std::string::npos;
      look_at(node.member(i),
              {name, speaks_of_experts(name) ? !is_count_of_experts(name) : above.of_experts && of_layer,
               above.by_expert || may_go_by_expert(name)});
    }
  }

 private:
  void look_at_array(const JsonNode& node, const Above& above) const {
    std::set<double> numbers;
    bool named = false;  // ["model.layers.1.mlp.experts", 3]
    for (std::size_t i = 0; i < node.size(); ++i) {
      const JsonNode item = node.item(i);
      if (item.is_number()) numbers.insert(item.number());
      if (item.is_text()) named = named || lists_experts(to_lower(item.text()));
      look_at(item, above);
    }
    const bool one = above.of_experts && numbers.size() == 1 && node.size() == 1 && lists_experts(above.key) &&
                     *numbers.begin() < static_cast<double>(names_.expert_count());
    const bool by_expert = above.by_expert && node.size() == names_.expert_count() && !is_by_layer(above.key);
    if (one || (named && !numbers.empty()) ||
        ((above.of_experts || by_expert) && numbers.size() > 1 && !names_.are_all_experts(numbers)))
      names_.refuse(node.where());
  }
  static bool is_by_layer(const std::string& key) { return has_any(key, {"layer", "freq", "size", "dim", "num"}); }

  const ExpertNames& names_;
};

class PlainNumbers {
 public:
  explicit PlainNumbers(const ExpertNames& names)
      : names_(names), file_(file_name_of(names.origin())), in_table_(has_any(file_, {".csv", ".tsv"})) {}

  void look_at(std::string_view line) {
    line = line.substr(0, line.find('#'));
    const std::size_t indent = line.find_first_not_of(" \t\r");
    if (indent == std::string_view::npos) return;
    const std::string content = to_lower(trim(line));
    if (is_note_of_experts(content)) names_.refuse(content);
    look_at_row(content);
    if (content.starts_with("[") && content.ends_with("]")) return begin_section(content);
    const bool is_item = content.starts_with("-");
    if (!block_.empty() && (in_section_ || indent > indent_ || (indent == indent_ && is_item)))
      return look_into_block(content);
    block_.clear();
    const std::size_t colon = content.find_first_of(":=");
    if (colon == std::string::npos) return;
    const std::string key = without_quotes(content.substr(is_item ? 1 : 0, colon - (is_item ? 1 : 0)));
    if (is_all_digits(key) && is_called_after_experts(file_)) names_.refuse(content);
    if (!speaks_of_experts(key) || is_count_of_experts(key)) return;
    const std::string value = trim(content.substr(colon + 1));
    if (value.empty()) {
      block_ = key;
      indent_ = indent;
    } else {
      look_at_value(key, value, content);
    }
  }

 private:
  static std::string without_quotes(std::string text) {
    std::erase_if(text, [](char letter) { return letter == '"' || letter == '\''; });
    return trim(text);
  }
  static std::vector<std::string> cells_of(const std::string& content) {
    std::vector<std::string> cells;
    for (std::size_t at = 0; at <= content.size();) {
      const std::size_t end = std::min(content.find_first_of(",;\t |", at), content.size());
      if (end > at) cells.push_back(without_quotes(content.substr(at, end - at)));
      at = end + 1;
    }
    return cells;
  }
  static std::vector<std::string> numbers_in(std::string_view text) {
    std::vector<std::string> numbers;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find_first_of(" ,[]{}()'\":=", at), text.size());
      if (is_all_digits(text.substr(at, end - at))) numbers.emplace_back(text.substr(at, end - at));
      at = end + 1;
    }
    return numbers;
  }

  /// A row of a table with a column of experts, or of nothing but numbers in a file that is called after them.
  void look_at_row(const std::string& content) {
    const std::vector<std::string> cells = cells_of(content);
    const bool has_number = std::ranges::any_of(cells, is_all_digits);
    if (has_number && has_expert_column_) names_.refuse(content);
    if (is_called_after_experts(file_) || (in_table_ && has_any(file_, {"moe"}))) {
      const bool all_numbers = !cells.empty() && std::ranges::all_of(cells, [](const std::string& cell) {
        return cell.find_first_not_of("0123456789.-+e") == std::string::npos;
      });
      if (has_number && all_numbers) names_.refuse(content);
    }
    if (in_table_ && !has_number)
      has_expert_column_ = has_expert_column_ || std::ranges::any_of(cells, [](const std::string& cell) {
                             return speaks_of_experts(cell) && !is_count_of_experts(cell);
                           });
  }

  /// "[experts]" of TOML and INI: its lines follow to the next section.
  void begin_section(const std::string& content) {
    const std::string name = trim(content.substr(1, content.size() - 2));
    in_section_ = speaks_of_experts(name) && !is_count_of_experts(name) && numbers_in(name).empty();
    block_ = in_section_ ? name : "";
    indent_ = 0;
  }

  void look_at_value(const std::string& key, const std::string& value, const std::string& content) const {
    const std::vector<std::string> numbers = numbers_in(value);
    const std::set<std::string> distinct(numbers.begin(), numbers.end());
    const bool is_list = value.find_first_of(",[{ ") != std::string::npos;
    const bool one = numbers.size() == 1 && (is_list ? lists_experts(key) : is_of_one_expert(key));
    if (one || (is_list && distinct.size() > 1)) names_.refuse(content);
  }
  /// "- 3", "3: 8", "1: [0, 3]".
  void look_into_block(const std::string& content) const {
    const std::string text = without_quotes(content.substr(content.starts_with("-") ? 1 : 0));
    if (is_all_digits(text.substr(0, text.find_first_of(" :=,")))) names_.refuse(block_ + ": " + content);
  }

  const ExpertNames& names_;
  std::string file_;
  bool in_table_;                   // a CSV file
  bool has_expert_column_ = false;  // by its header
  bool in_section_ = false;         // the block is one of TOML
  std::string block_;               // the key whose lines follow
  std::size_t indent_ = 0;
};

}  // namespace

void refuse_listed_experts(const JsonNode& root, const ExpertNames& names) {
  Above above{file_name_of(names.origin()), false, false};
  above.key = above.key.substr(0, above.key.find('.'));
  if (is_called_after_experts(above.key)) {
    above.of_experts = !is_count_of_experts(above.key);
    above.by_expert = true;
  }
  JsonNumbers(names).look_at(root, above);
}

void refuse_listed_experts(const std::string& text, const ExpertNames& names) {
  PlainNumbers numbers(names);
  for (const std::string& line : split(text, '\n')) numbers.look_at(line);
}

}  // namespace gem
