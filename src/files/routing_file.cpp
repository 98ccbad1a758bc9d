#include "files/routing_file.hpp"

#include <fmt/core.h>

#include "files/header.hpp"

namespace gem {
namespace {

const char* const file_format = "gem.routing";
constexpr std::size_t most_experts = 65536;  // ids are u16

std::vector<std::int64_t> read_request_offsets(const Hdf5Input& file, std::size_t token_count) {
  const std::size_t count = file.extents("/request_offsets", 1)[0];
  checked_count(file, "length of /request_offsets", count, 2, token_count + 1);
  const auto offsets = file.read<std::int64_t>("/request_offsets", {count});
  const auto tokens = static_cast<std::int64_t>(token_count);
  if (offsets.front() != 0 || offsets.back() != tokens)
    file.reject(fmt::format("/request_offsets goes from {} to {}, but must go from 0 to the {} tokens of /topk_ids",
                            offsets.front(), offsets.back(), token_count));
  for (std::size_t i = 1; i < count; ++i)
    if (offsets[i] < offsets[i - 1])
      file.reject(fmt::format("/request_offsets falls from {} to {} at [{}], but must ascend; make the file again",
                              offsets[i - 1], offsets[i], i));
  return offsets;
}

}  // namespace

Routing read_routing(const std::string& path) {
  const Hdf5Input file = open_gem_file(path, file_format);
  Routing routing;
  routing.model = file.text_attribute("model");
  routing.task = file.text_attribute("task");
  routing.phase = file.text_attribute("phase");
  routing.expert_count =
      checked_count(file, "attribute 'num_experts'", file.count_attribute("num_experts"), 1, most_experts);
  routing.top_k = checked_count(file, "attribute 'top_k'", file.count_attribute("top_k"), 1, routing.expert_count);

  const Extents extents = file.extents("/topk_ids", 3);
  if (extents[0] == 0 || extents[1] == 0 || extents[2] != routing.top_k)
    file.reject(
        fmt::format("/topk_ids has extents {}, but must be [token, layer, {}] with a token and a layer at least",
                    to_string(extents), routing.top_k));
  routing.layer_ids = read_layer_ids(file, extents[1]);
  routing.request_offsets = read_request_offsets(file, extents[0]);
  const std::size_t expert_count = routing.expert_count;
  routing.topk_ids = read_checked<std::uint16_t>(
      file, "/topk_ids", extents, [=](std::uint16_t id) { return id < expert_count; },
      fmt::format("ids below the {} of attribute 'num_experts'", expert_count));
  return routing;
}

void write_routing(const std::string& path, const Routing& routing, const Provenance& provenance) {
  Hdf5Output file(path);
  write_header(file, file_format, provenance);
  file.attribute("task", routing.task);
  file.attribute("phase", routing.phase);
  file.attribute("num_experts", routing.expert_count);
  file.attribute("top_k", routing.top_k);
  file.write({"/layer_ids", "1", "layer"}, routing.layer_ids, {routing.layer_count()});
  file.write({"/request_offsets", "token", "request + 1"}, routing.request_offsets, {routing.request_offsets.size()});
  const FieldLabel label = {"/topk_ids", "1", "token, layer, k"};
  const Extents extents = {routing.token_count(), routing.layer_count(), routing.top_k};
  if (routing.expert_count <= 256)
    file.write(label, std::vector<std::uint8_t>(routing.topk_ids.begin(), routing.topk_ids.end()), extents);
  else
    file.write(label, routing.topk_ids, extents);
  file.commit();
}

}  // namespace gem
