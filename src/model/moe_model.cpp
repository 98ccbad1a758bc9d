#include "model/moe_model.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <functional>
#include <map>
#include <optional>

#include "base/error.hpp"
#include "base/text.hpp"
#include "base/text_file.hpp"

namespace gem {

// Defined in models_csv.cpp, which CMake generates from jobs/data/models.csv.
extern const char* const models_csv_text;

namespace {

constexpr std::size_t largest_size = std::size_t{1} << 24;

std::size_t parse_size(const std::string& word, const std::string& where) {
  std::int64_t value = 0;
  try {
    value = parse_integer(word, where);
  } catch (const UsageError& error) {
    throw DataError(error.what());
  }
  if (value < 0 || static_cast<std::size_t>(value) > largest_size)
    throw DataError(fmt::format("{}: {} is out of range (0 to {})", where, value, largest_size));
  return static_cast<std::size_t>(value);
}

/// Columns of attention and head; a model whose cells are empty has none.
DecoderShape parse_decoder(const std::function<std::string(const char*)>& text,
                           const std::function<std::size_t(const char*)>& size, const std::string& where) {
  DecoderShape shape;
  const std::string kind = text("attention");
  if (kind.empty()) return shape;
  if (kind != word_of(AttentionKind::Grouped) && kind != word_of(AttentionKind::Latent))
    throw DataError(where + ", attention: '" + kind + "' is neither gqa nor latent");
  if (kind == word_of(AttentionKind::Latent)) shape.attention = AttentionKind::Latent;
  shape.query_heads = size("query_heads");
  shape.kv_heads = size("kv_heads");
  shape.head_size = size("head_size");
  shape.query_rank = size("query_rank");
  shape.key_rank = size("key_rank");
  shape.rotary_size = size("rotary_size");
  shape.window = size("window");
  shape.full_every = size("full_every");
  shape.vocabulary = size("vocabulary");
  shape.dense_intermediate_size = size("dense_intermediate_size");
  const bool latent = shape.attention == AttentionKind::Latent;
  if (shape.query_heads == 0 || shape.kv_heads == 0 || shape.head_size == 0 || shape.vocabulary == 0 ||
      shape.query_heads % shape.kv_heads != 0 || (latent && (shape.key_rank == 0 || shape.kv_heads != 1)))
    throw DataError(where +
                    ": attention needs query_heads, a divisor of them as kv_heads, head_size and vocabulary; latent "
                    "attention key_rank, too, and kv_heads 1");
  return shape;
}

void check_header(const std::map<std::string, std::size_t>& column_of, const std::string& origin) {
  const std::vector<std::string> needed{"model",      "hidden_size",    "moe_intermediate_size",
                                        "moe_layers", "routed_experts", "top_k"};
  std::vector<std::string> missing;
  for (const std::string& name : needed)
    if (!column_of.contains(name)) missing.push_back(name);
  if (!missing.empty())
    throw DataError(origin + ": the header lacks " + join(missing) + "; a table of models has at least the columns " +
                    join(needed, ","));
}

}  // namespace

std::vector<MoeModel> parse_models(std::string_view csv_text, const std::string& origin) {
  std::vector<MoeModel> models;
  std::map<std::string, std::size_t> column_of;
  std::size_t line_number = 0;
  for (const std::string& raw : split(csv_text, '\n')) {
    ++line_number;
    const std::string line = trim(raw);
    if (line.empty() || line[0] == '#') continue;
    const std::vector<std::string> cells = split(line, ',');
    if (column_of.empty()) {
      for (std::size_t c = 0; c < cells.size(); ++c) column_of[trim(cells[c])] = c;
      check_header(column_of, origin);
      continue;
    }
    const auto text = [&](const char* name, bool required = true) -> std::string {
      const auto found = column_of.find(name);
      if (found == column_of.end() || found->second >= cells.size()) {
        if (!required) return "";
        throw DataError(fmt::format("{}, line {}: no value for column '{}'; give one", origin, line_number, name));
      }
      return trim(cells[found->second]);
    };
    const auto size = [&](const char* name) {
      return parse_size(text(name), fmt::format("{}, line {}, {}", origin, line_number, name));
    };
    const auto optional_size = [&](const char* name) { return column_of.contains(name) ? size(name) : std::size_t{0}; };
    MoeModel model;
    model.name = text("model");
    model.expert = {size("hidden_size"), size("moe_intermediate_size")};
    model.moe_layer_count = size("moe_layers");
    model.layer_count = column_of.contains("num_layers") ? size("num_layers") : model.moe_layer_count;
    model.expert_count = size("routed_experts");
    model.top_k = size("top_k");
    model.shared_expert_count = optional_size("shared_experts");
    model.shared_intermediate_size = optional_size("shared_intermediate_size");
    model.weight_dtype = text("weight_dtype", false);
    const auto empty_or_size = [&](const char* name) {
      return text(name, false).empty() ? std::size_t{0} : size(name);
    };
    model.decoder = parse_decoder([&](const char* name) { return text(name, false); }, empty_or_size,
                                  fmt::format("{}, line {}", origin, line_number));
    model.source = text("source", false);
    if (model.name.empty() || model.expert.weight_count() == 0 || model.moe_layer_count == 0 || model.top_k == 0 ||
        model.expert_count < model.top_k || model.layer_count < model.moe_layer_count)
      throw DataError(
          fmt::format("{}, line {}: a model needs a name, sizes above 0, at least top_k experts and "
                      "no fewer layers than moe_layers",
                      origin, line_number));
    models.push_back(model);
  }
  if (models.empty())
    throw DataError(origin +
                    ": no model found; expected a header line and one line a model, as in jobs/data/models.csv");
  return models;
}

const std::vector<MoeModel>& known_models() {
  static const std::vector<MoeModel> models = parse_models(models_csv_text, "built-in table of models");
  return models;
}

std::optional<MoeModel> known_model(std::string_view name) {
  const std::string wanted = to_lower(name);
  for (const MoeModel& model : known_models())
    if (to_lower(model.name) == wanted) return model;
  return std::nullopt;
}

const MoeModel& find_model(const std::vector<MoeModel>& models, std::string_view name) {
  const std::string wanted = to_lower(name);
  std::vector<std::string> names;
  for (const MoeModel& model : models) {
    // "DeepSeek-V3/R1" answers to the whole name and to its first part.
    const std::string lower = to_lower(model.name);
    if (lower == wanted || lower.substr(0, lower.find('/')) == wanted) return model;
    names.push_back(model.name);
  }
  std::vector<std::string> near = near_words(name, names);
  const std::string hint = near.empty() ? "known names: " + join(names) : "did you mean " + join(near, " or ") + "?";
  throw UsageError("unknown model '" + std::string(name) + "'; " + hint + (near.empty() ? "." : "") +
                   " A CSV file of one's own, with the same header, works too.");
}

std::string model_file_of_option(const std::string& text) {
  const std::size_t extension = to_lower(text).rfind(".csv");
  return extension == std::string::npos ? "" : text.substr(0, extension + 4);
}

MoeModel model_of_option(const std::string& text) {
  const std::string path = model_file_of_option(text);
  if (path.empty()) return find_model(known_models(), text);
  const std::string name = text.substr(path.size());
  const std::vector<MoeModel> models = parse_models(read_needed_text(path), path);
  if (name.starts_with(':')) return find_model(models, name.substr(1));
  if (!name.empty()) throw UsageError("'" + text + "' is neither FILE.csv nor FILE.csv:NAME");
  if (models.size() > 1)
    throw UsageError(
        fmt::format("{} has {} models; choose one as {}:{}", path, models.size(), path, models.front().name));
  return models.front();
}

}  // namespace gem
