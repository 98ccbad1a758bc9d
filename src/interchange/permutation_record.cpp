#include "interchange/permutation_record.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "base/error.hpp"
#include "base/text.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

const char* const format_name = "gem.permutation";
constexpr std::int64_t most_experts = 65536;

Renumbering::Layer layer_of(const std::string& id, const JsonNode& node, std::size_t expert_count) {
  Renumbering::Layer layer;
  layer.id = static_cast<std::int32_t>(JsonDocument::parse(id, "layer number").root().integer(0, 1 << 20));
  const std::size_t own_count = node.size();
  if (own_count == 0 || own_count > expert_count)
    node.reject(fmt::format("has {} experts, but must have 1 to {}", own_count, expert_count));
  layer.old_of_new = node.integers(0, static_cast<std::int32_t>(own_count) - 1);
  std::vector<std::int32_t> sorted = layer.old_of_new;
  std::ranges::sort(sorted);
  if (std::ranges::adjacent_find(sorted) != sorted.end())
    node.reject(fmt::format("must hold each of the {} experts once", own_count));
  return layer;
}

PermutationRecord::Shard shard_of(const JsonNode& node) {
  PermutationRecord::Shard shard{static_cast<std::uint64_t>(node.at("bytes").integer(0, INT64_MAX)),
                                 static_cast<std::uint64_t>(node.at("header_bytes").integer(0, 100'000'000))};
  if (!node.has("fingerprint")) return shard;
  const std::string& text = node.at("fingerprint").text();
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  if (error != std::errc{} || end != text.data() + text.size())
    node.at("fingerprint").reject("must be 16 hexadecimal digits");
  shard.fingerprint = number;
  return shard;
}

std::size_t count_or(const JsonNode& root, const char* key, std::int64_t least, std::size_t fallback) {
  return root.has(key) ? static_cast<std::size_t>(root.at(key).integer(least, most_experts)) : fallback;
}

}  // namespace

std::string text_of(const PermutationRecord& record) {
  std::string text = fmt::format("{{\n\"format\": \"{}\",\n\"format_version\": \"1.1\",\n", format_name);
  text += "\"meaning\": \"experts of this checkpoint are renumbered; layers: at each new number, the old one\",\n";
  text += "\"model\": " + to_json(record.model) + ",\n\"method\": " + to_json(record.method) + ",\n";
  const Renumbering& numbers = record.renumbering;
  text += fmt::format("\"undoing\": {},\n\"device_count\": {},\n\"expert_count\": {},\n", record.undoing,
                      numbers.device_count, numbers.expert_count);
  text += fmt::format("\"group_count\": {},\n\"zero_expert_count\": {},\n\"layers\": {{", numbers.group_count,
                      numbers.zero_expert_count);
  const char* separator = "\n";
  for (const Renumbering::Layer& layer : numbers.layers) {
    text += fmt::format("{}\"{}\": {}", separator, layer.id, to_json(layer.old_of_new));
    separator = ",\n";
  }
  text += "},\n\"shards\": {";
  separator = "\n";
  for (const auto& [name, shard] : record.shards) {
    text += fmt::format("{}{}: {{\"bytes\": {}, \"header_bytes\": {}", separator, to_json(name), shard.bytes,
                        shard.header_bytes);
    text += shard.fingerprint ? fmt::format(", \"fingerprint\": \"{:016x}\"}}", *shard.fingerprint) : "}";
    separator = ",\n";
  }
  return text + "}\n}\n";
}

PermutationRecord read_permutation_record(const std::string& path) {
  const JsonDocument document = JsonDocument::read(path);
  const JsonNode root = document.root();
  if (!root.has("format") || root.at("format").text() != format_name)
    root.reject(std::string("is no ") + format_name + " file, which gem-deploy permute writes");
  const std::string version = root.at("format_version").text();
  if (version != "1.0" && version != "1.1")
    root.reject("format_version is " + to_json(version) +
                ", but this program knows 1.0 and 1.1; use the program that wrote it, or a newer one");
  PermutationRecord record;
  record.model = root.at("model").text();
  record.method = root.at("method").text();
  record.undoing = root.at("undoing").boolean();
  Renumbering& numbers = record.renumbering;
  numbers.expert_count = static_cast<std::size_t>(root.at("expert_count").integer(1, most_experts));
  numbers.device_count = static_cast<std::size_t>(root.at("device_count").integer(1, most_experts));
  numbers.group_count = count_or(root, "group_count", 1, 1);
  numbers.zero_expert_count = count_or(root, "zero_expert_count", 0, 0);
  const JsonNode layers = root.at("layers");
  if (layers.keys().empty()) layers.reject("names no layer, so it says of no expert which one it was");
  for (std::size_t i = 0; i < layers.keys().size(); ++i)
    numbers.layers.push_back(layer_of(layers.keys()[i], layers.member(i), numbers.expert_count));
  std::ranges::sort(numbers.layers, {}, &Renumbering::Layer::id);
  const JsonNode shards = root.at("shards");
  for (std::size_t i = 0; i < shards.keys().size(); ++i) record.shards[shards.keys()[i]] = shard_of(shards.member(i));
  return record;
}

}  // namespace gem
