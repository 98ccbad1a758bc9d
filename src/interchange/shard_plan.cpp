#include "interchange/shard_plan.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "interchange/checkpoint_layout.hpp"
#include "interchange/expert_references.hpp"

namespace gem {
namespace {

/// Renumbers the names at `spans` of a JSON text and leaves every other byte.
std::string with_new_names(const std::string& text, const std::vector<JsonKeySpan>& spans,
                           const Renumbering& renumbering, const std::string& origin) {
  std::string renamed;
  std::size_t copied = 0;
  for (const JsonKeySpan& span : spans) {
    renamed.append(text, copied, span.begin - copied);
    renamed += renumbered_name(text.substr(span.begin, span.end - span.begin), renumbering, origin);
    copied = span.end;
  }
  return renamed.append(text, copied, std::string::npos);
}

/// The brace that ends the object in which `at` stands, outside names.
std::size_t end_of_object(std::string_view text, std::size_t at) {
  int depth = 0;
  for (bool in_string = false; at < text.size(); ++at) {
    if (text[at] == '"') in_string = !in_string;
    if (in_string && text[at] == '\\') ++at;
    if (in_string) continue;
    if (text[at] == '{') ++depth;
    if (text[at] == '}' && --depth < 0) break;
  }
  return std::min(at, text.size());
}

std::string padded(std::string text, std::uint64_t header_bytes) {
  text.erase(text.find_last_not_of(' ') + 1);
  if (header_bytes < text.size()) header_bytes = (text.size() + 7) / 8 * 8;
  text.append(static_cast<std::size_t>(header_bytes) - text.size(), ' ');
  return text;
}

void add_part(std::vector<ShardPlan::Part>& parts, std::uint64_t offset, std::uint64_t byte_count) {
  if (byte_count == 0) return;
  if (!parts.empty() && !parts.back().rewrite && parts.back().offset + parts.back().byte_count == offset)
    parts.back().byte_count += byte_count;
  else
    parts.push_back({offset, byte_count});
}

std::string shape_text(const SafetensorsTensor& tensor) {
  std::string text;
  for (const std::size_t extent : tensor.extents) text += (text.empty() ? "" : ", ") + std::to_string(extent);
  return "[" + text + "]";
}

/// Bytes of the block of each expert in the first dimension of the tensor; 0 if one value holds for all experts.
std::uint64_t block_bytes(const InputFile& file, const SafetensorsTensor& tensor, const TensorRole& role,
                          std::size_t expert_count, std::size_t zero_expert_count) {
  const std::vector<std::size_t>& extents = tensor.extents;
  const auto not_one = std::ranges::find_if(extents, [](std::size_t extent) { return extent != 1; });
  if (not_one == extents.end() || role.tail == "weight_shape") return 0;
  const bool is_scale = role.tail.find("scale") != std::string_view::npos;
  // The scales of blocks of rows: one block holds all experts. A vector [1, experts] is none.
  if (is_scale && extents[0] == 1 && std::ranges::find(extents, expert_count) == extents.end()) return 0;
  const std::uint64_t bytes = tensor.end - tensor.begin, rows = *not_one;
  const bool fits = role.kind == TensorRole::Kind::Stacked ? rows % expert_count == 0
                    : role.kind == TensorRole::Kind::Router
                        ? rows == expert_count || rows == expert_count + zero_expert_count
                        : rows == expert_count;
  const std::uint64_t blocks = role.kind == TensorRole::Kind::Stacked ? expert_count : rows;
  if (!fits || (is_scale && extents[0] == 1) || bytes % blocks != 0)
    file.reject(fmt::format(
        "tensor {} has shape {}, but its first dimension must be the {} experts of the layer{}; deploy the mapping "
        "with gem-deploy export instead, or copy the checkpoint again if it is damaged",
        tensor.name, shape_text(tensor), expert_count,
        zero_expert_count == 0 ? "" : fmt::format(" (and {} zero-computation experts)", zero_expert_count)));
  return bytes / blocks;
}

std::size_t bytes_of_whole_number(const std::string& dtype) {
  static const std::map<std::string, std::size_t> bytes = {{"U8", 1},  {"I8", 1},  {"U16", 2}, {"I16", 2},
                                                           {"U32", 4}, {"I32", 4}, {"U64", 8}, {"I64", 8}};
  const auto found = bytes.find(dtype);
  return found == bytes.end() ? 0 : found->second;
}

/// Plans a tensor whose values are numbers of experts, after a look at all of them: none may fail when files are
/// being replaced.
void add_expert_ids(std::vector<ShardPlan::Part>& parts, const InputFile& file, std::uint64_t begin,
                    const SafetensorsTensor& tensor, const Renumbering::Layer& layer) {
  const std::size_t element_bytes = bytes_of_whole_number(tensor.dtype);
  if (element_bytes == 0)
    file.reject("tensor " + tensor.name + " is of type " + tensor.dtype + ", but numbers of experts are whole numbers");
  PartRewrite rewrite{element_bytes, new_of_old(layer)};
  constexpr std::uint64_t step_bytes = std::uint64_t{16} << 20;
  const std::uint64_t end = begin + (tensor.end - tensor.begin);
  std::vector<std::byte> bytes;
  for (std::uint64_t at = begin; at < end; at += step_bytes) {
    bytes.resize(static_cast<std::size_t>(std::min(step_bytes, end - at)));
    file.read_at(at, bytes);
    rewrite_numbers(rewrite, bytes, file.path() + ": tensor " + tensor.name);
  }
  parts.push_back({begin, end - begin, std::move(rewrite)});
}

/// Whether a tensor whose name no layout has may have values by expert, going by its shape.
bool may_go_by_expert(const SafetensorsTensor& tensor, const TensorRole& role, std::size_t expert_count) {
  const std::vector<std::size_t>& extents = tensor.extents;
  const auto dimensions = std::ranges::count_if(extents, [](std::size_t extent) { return extent != 1; });
  if (tensor.begin == tensor.end || dimensions == 0) return false;
  return static_cast<std::size_t>(dimensions) > role.max_dimensions ||
         (!role.may_have_expert_count && std::ranges::find(extents, expert_count) != extents.end());
}

void add_tensor(std::vector<ShardPlan::Part>& parts, const InputFile& file, std::uint64_t begin,
                const SafetensorsTensor& tensor, const Renumbering& renumbering) {
  using Kind = TensorRole::Kind;
  const TensorRole role = role_of(tensor.name);
  const Renumbering::Layer* layer = renumbering.find(role.layer);
  const std::uint64_t bytes = tensor.end - tensor.begin;
  const bool of_all_layers = role.kind == Kind::Unlisted && role.layer < 0;
  if ((layer == nullptr && !of_all_layers) || role.kind == Kind::None || role.kind == Kind::OneExpert ||
      role.kind == Kind::OtherStack)
    return add_part(parts, begin, bytes);
  const std::size_t experts = of_all_layers ? renumbering.expert_count : layer->old_of_new.size();
  if (role.kind == Kind::Unlisted && may_go_by_expert(tensor, role, experts))
    file.reject(
        fmt::format("tensor {} with shape {} stands where routed experts do, but GEM knows no layout with that name, "
                    "and it may go by expert; deploy the mapping with gem-deploy export instead",
                    tensor.name, shape_text(tensor)));
  if (role.kind == Kind::Unlisted) return add_part(parts, begin, bytes);
  if (role.kind == Kind::ExpertIds) return add_expert_ids(parts, file, begin, tensor, *layer);
  const std::uint64_t block = block_bytes(file, tensor, role, experts, renumbering.zero_expert_count);
  if (block == 0) return add_part(parts, begin, bytes);
  for (const std::int32_t old : layer->old_of_new)
    add_part(parts, begin + static_cast<std::uint64_t>(old) * block, block);
  add_part(parts, begin + experts * block, bytes - experts * block);
}

}  // namespace

std::uint64_t ShardPlan::part_bytes() const {
  std::uint64_t bytes = 0;
  for (const Part& part : parts) bytes += part.byte_count;
  return bytes;
}

std::string renumbered_name(const std::string& name, const Renumbering& renumbering, const std::string& origin) {
  const TensorRole role = role_of(name);
  if (role.kind != TensorRole::Kind::OneExpert) return name;
  const Renumbering::Layer* layer = renumbering.find(role.layer);
  if (layer == nullptr) return name;
  if (static_cast<std::size_t>(role.expert) >= layer->old_of_new.size())
    throw DataError(
        fmt::format("{}: there is a tensor {}, but the layer has experts 0 to {}; give the mapping of this model",
                    origin, name, layer->old_of_new.size() - 1));
  const auto place = std::ranges::find(layer->old_of_new, role.expert) - layer->old_of_new.begin();
  return name.substr(0, role.number_begin) + std::to_string(place) + name.substr(role.number_end);
}

ShardPlan plan_shard(const InputFile& file, const SafetensorsHeader& header, const Renumbering& renumbering,
                     std::uint64_t header_bytes) {
  std::vector<const SafetensorsTensor*> by_place;
  std::vector<JsonKeySpan> spans;
  for (const SafetensorsTensor& tensor : header.tensors) {
    by_place.push_back(&tensor);
    spans.push_back(tensor.name_span);
  }
  std::ranges::sort(by_place, {}, &SafetensorsTensor::begin);
  for (const std::string& note : header.notes)
    if (renumbered_references(note, renumbering, file.path() + ": __metadata__") != note)
      file.reject(
          "__metadata__ names single experts, which would be others after renumbering; deploy the mapping with "
          "gem-deploy export instead");
  ShardPlan plan;
  plan.source = file.version();
  plan.prefix = safetensors_prefix(padded(with_new_names(header.text, spans, renumbering, file.path()), header_bytes));
  for (const SafetensorsTensor* tensor : by_place)
    add_tensor(plan.parts, file, header.data_begin() + tensor->begin, *tensor, renumbering);
  return plan;
}

void rewrite_numbers(const PartRewrite& rewrite, std::span<std::byte> bytes, const std::string& origin) {
  const std::uint64_t none = ~std::uint64_t{0} >> (64 - 8 * rewrite.element_bytes);
  for (std::size_t at = 0; at + rewrite.element_bytes <= bytes.size(); at += rewrite.element_bytes) {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < rewrite.element_bytes; ++i)
      number |= std::to_integer<std::uint64_t>(bytes[at + i]) << (8 * i);
    if (number == none) continue;
    if (number >= rewrite.number_of_old.size())
      throw DataError(
          fmt::format("{} holds the number {}, but the layer has experts 0 to {}; it may mean something "
                      "else here, so deploy the mapping with gem-deploy export instead",
                      origin, number, rewrite.number_of_old.size() - 1));
    const auto renumbered = static_cast<std::uint64_t>(rewrite.number_of_old[static_cast<std::size_t>(number)]);
    for (std::size_t i = 0; i < rewrite.element_bytes; ++i)
      bytes[at + i] = static_cast<std::byte>(renumbered >> (8 * i) & 0xff);
  }
}

std::string renumbered_index(const std::string& text, const Renumbering& renumbering, const std::string& origin) {
  const std::vector<JsonKeySpan> old_names = json_key_spans(text, "weight_map");
  std::string whole = with_new_names(text, old_names, renumbering, origin);
  // The other members are a configuration like any, read without the map.
  const std::vector<JsonKeySpan> names = json_key_spans(whole, "weight_map");
  if (names.empty()) return renumbered_references(whole, renumbering, origin);
  const std::size_t begin = names.front().begin - 1;
  const std::string map = whole.substr(begin, end_of_object(whole, names.back().end + 1) - begin);
  std::string others = renumbered_references(whole.erase(begin, map.size()), renumbering, origin);
  for (const JsonKeySpan& span : json_key_spans(others)) {
    if (others.compare(span.begin, span.end - span.begin, "weight_map") != 0) continue;
    return others.insert(others.find('}', span.end), map);
  }
  throw DataError(origin + ": its weight_map stands under a name with escapes; write it in plain letters");
}

}  // namespace gem
