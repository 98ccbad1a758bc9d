#include "files/routing_file.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "files/header.hpp"
#include "model/routing_fields.hpp"

namespace gem {
namespace {

void check_request_offsets(const Hdf5Input& file, const Routing& routing, std::size_t token_count) {
  const std::vector<std::int64_t>& offsets = routing.request_offsets;
  if (offsets.size() < 2 || offsets.size() > token_count + 1)
    file.reject(fmt::format("/request_offsets has a length of {}, but must have 2 to {}; make the file again",
                            offsets.size(), token_count + 1));
  if (offsets.front() != 0 || offsets.back() != static_cast<std::int64_t>(token_count))
    file.reject(fmt::format("/request_offsets goes from {} to {}, but must go from 0 to the {} tokens of /topk_ids",
                            offsets.front(), offsets.back(), token_count));
  for (std::size_t i = 1; i < offsets.size(); ++i)
    if (offsets[i] < offsets[i - 1])
      file.reject(fmt::format("/request_offsets falls from {} to {} at [{}], but must ascend; make the file again",
                              offsets[i - 1], offsets[i], i));
}

// Ids beyond a layer's own experts, where layers have different numbers of them.
void check_ids(const Hdf5Input& file, const Routing& routing) {
  if (routing.experts_of_layer.empty()) return;
  if (const auto most = std::ranges::max(routing.experts_of_layer);
      static_cast<std::size_t>(most) < routing.expert_count)
    file.reject(
        fmt::format("attribute 'num_experts' is {}, but no layer has more than {} (/experts_of_layer); make the "
                    "file again",
                    routing.expert_count, most));
  for (std::size_t token = 0; token < routing.token_count(); ++token)
    for (std::size_t layer = 0; layer < routing.layer_count(); ++layer)
      for (const std::uint16_t expert : routing.experts(token, layer))
        if (expert >= routing.experts_in(layer) && expert != Routing::no_expert)
          file.reject(fmt::format(
              "/topk_ids names expert {} in layer {} of token {}, but the layer has {} experts (/experts_of_layer); "
              "make the file again",
              expert, layer, token, routing.experts_in(layer)));
}

}  // namespace

Routing read_routing(const std::string& path) {
  const Hdf5Input file = open_gem_file(path, "gem.routing");
  auto routing = read_fields<Routing>(file);
  check_request_offsets(file, routing, routing.topk_ids.size() / (routing.layer_count() * routing.top_k));
  check_ids(file, routing);
  return routing;
}

void write_routing(const std::string& path, const Routing& routing, const Provenance& provenance) {
  write_gem_file(path, "gem.routing", routing, provenance);
}

}  // namespace gem
