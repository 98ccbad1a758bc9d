#include "interchange/shard_plan.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"
#include "interchange/tensor_role.hpp"

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

std::string padded(std::string text, std::uint64_t header_bytes) {
  text.erase(text.find_last_not_of(' ') + 1);
  if (header_bytes < text.size()) header_bytes = (text.size() + 7) / 8 * 8;
  text.append(static_cast<std::size_t>(header_bytes) - text.size(), ' ');
  return text;
}

void add_part(std::vector<ShardPlan::Part>& parts, std::uint64_t offset, std::uint64_t byte_count) {
  if (byte_count == 0) return;
  if (!parts.empty() && parts.back().offset + parts.back().byte_count == offset)
    parts.back().byte_count += byte_count;
  else
    parts.push_back({offset, byte_count});
}

/// The layer's new numbers if the tensor's first dimension must be permuted, else null.
const Renumbering::Layer* permuted_layer(const InputFile& file, const SafetensorsTensor& tensor,
                                         const Renumbering& renumbering, Coverage& coverage) {
  const TensorRole role = role_of(tensor.name);
  const Renumbering::Layer* layer = role.kind == TensorRole::Kind::None ? nullptr : renumbering.find(role.layer);
  if (layer == nullptr) return nullptr;
  const bool by_expert = !tensor.extents.empty() && tensor.extents[0] == renumbering.expert_count;
  if (role.kind == TensorRole::Kind::OneExpert) {
    coverage[role.layer].experts.insert(role.expert);
    return nullptr;
  }
  if (role.kind == TensorRole::Kind::Unclear) {
    // A router's unknown tensor may hold numbers of experts (a table from tokens to experts, say), whatever its shape.
    const bool of_router =
        tensor.name.find(".gate.") != std::string::npos || tensor.name.find(".router.") != std::string::npos;
    const bool has_experts = std::ranges::find(tensor.extents, renumbering.expert_count) != tensor.extents.end();
    if (!of_router && !has_experts) return nullptr;
    file.reject(
        fmt::format("tensor {} is in an MoE block and may go by expert, but its name is of no layout that GEM knows; "
                    "deploy the mapping with gem-deploy export instead",
                    tensor.name));
  }
  if (!by_expert || (tensor.end - tensor.begin) % renumbering.expert_count != 0)
    file.reject(fmt::format("tensor {} has shape {}, but its first dimension must be the {} experts of the mapping",
                            tensor.name, tensor.extents.empty() ? "[]" : fmt::format("[{}, ...]", tensor.extents[0]),
                            renumbering.expert_count));
  coverage[role.layer].all_experts_tensor = true;
  return layer;
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
        fmt::format("{}: there is a tensor {}, but the mapping has experts 0 to {}; give the mapping of this model",
                    origin, name, layer->old_of_new.size() - 1));
  const auto place = std::ranges::find(layer->old_of_new, role.expert) - layer->old_of_new.begin();
  return name.substr(0, role.number_begin) + std::to_string(place) + name.substr(role.number_end);
}

ShardPlan plan_shard(const InputFile& file, const SafetensorsHeader& header, const Renumbering& renumbering,
                     std::uint64_t header_bytes, Coverage& coverage) {
  std::vector<const SafetensorsTensor*> by_place;
  std::vector<JsonKeySpan> spans;
  for (const SafetensorsTensor& tensor : header.tensors) {
    by_place.push_back(&tensor);
    spans.push_back(tensor.name_span);
  }
  std::ranges::sort(by_place, {}, &SafetensorsTensor::begin);
  ShardPlan plan;
  plan.prefix = safetensors_prefix(padded(with_new_names(header.text, spans, renumbering, file.path()), header_bytes));
  for (const SafetensorsTensor* tensor : by_place) {
    const std::uint64_t begin = header.data_begin() + tensor->begin, bytes = tensor->end - tensor->begin;
    const Renumbering::Layer* layer = permuted_layer(file, *tensor, renumbering, coverage);
    if (layer == nullptr) {
      add_part(plan.parts, begin, bytes);
      continue;
    }
    const std::uint64_t block = bytes / renumbering.expert_count;
    for (const std::int32_t old : layer->old_of_new)
      add_part(plan.parts, begin + static_cast<std::uint64_t>(old) * block, block);
  }
  return plan;
}

std::string renumbered_index(const std::string& text, const Renumbering& renumbering, const std::string& origin) {
  return with_new_names(text, json_key_spans(text, "weight_map"), renumbering, origin);
}

}  // namespace gem
