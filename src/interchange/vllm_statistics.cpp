// What vLLM records. Load statistics of its EPLB as JSON lines
// {"record_type": "eplb_load_stats", "step", "expert_load": [[tokens of slot]], "p2l_map": [[expert of slot]]}, one row
// a MoE layer; lines of other record types are passed over. Each line is a step of its own, in the order of the file:
// the number "step" begins again whenever vLLM moves experts.
// Routed experts (enable_return_routed_experts) as arrays [token, MoE layer, k] of int16, one a request.
#include <fmt/core.h>
#include <fstream>

#include "base/error.hpp"
#include "base/text.hpp"
#include "interchange/npy.hpp"
#include "interchange/statistics_readers.hpp"
#include "platform/file_system/zip_input.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

constexpr std::size_t longest_line = std::size_t{64} << 20;
constexpr std::int32_t greatest_count = 1 << 30;

void add_record(CountCollector& collector, std::int64_t step, const JsonNode& record, const std::string& origin,
                std::size_t& expert_count) {
  const JsonNode load = record.at("expert_load"), map = record.at("p2l_map");
  if (map.size() != load.size())
    map.reject(fmt::format("has {} layers, but expert_load has {}", map.size(), load.size()));
  for (std::size_t layer = 0; layer < load.size(); ++layer) {
    const std::vector<std::int32_t> tokens = load.item(layer).integers(0, greatest_count);
    const std::vector<std::int32_t> held = map.item(layer).integers(0, greatest_count);
    const std::vector<double> physical(tokens.begin(), tokens.end()), experts(held.begin(), held.end());
    if (expert_count == 0) expert_count = logical_expert_count(experts, experts.size(), origin + ": p2l_map");
    std::vector<double> logical(expert_count, 0.0);
    add_physical(physical, experts, logical, origin + ": p2l_map");
    collector.add(step, static_cast<std::int32_t>(layer), logical);
  }
}

void add_request(Routing& routing, const NumberArray& ids, const std::string& origin) {
  if (ids.extents.size() != 3 || !ids.whole)
    throw DataError(origin + ": has extents " + extents_text(ids.extents) +
                    ", but routed experts are whole numbers [token, layer, k]");
  if (routing.top_k == 0) {
    routing.layer_ids.resize(ids.extents[1]);
    routing.top_k = ids.extents[2];
  }
  if (ids.extents[1] != routing.layer_count() || ids.extents[2] != routing.top_k || ids.values.empty())
    throw DataError(fmt::format("{}: has extents {}, but the requests before have {} layers and {} experts a token",
                                origin, extents_text(ids.extents), routing.layer_count(), routing.top_k));
  for (const double id : ids.values) {
    if (!(id >= 0.0 && id < static_cast<double>(routing.expert_count)))
      throw DataError(
          fmt::format("{}: holds expert {:g}, but experts are 0 to {}", origin, id, routing.expert_count - 1));
    routing.topk_ids.push_back(static_cast<std::uint16_t>(id));
  }
  routing.request_offsets.push_back(routing.request_offsets.back() + static_cast<std::int64_t>(ids.extents[0]));
}

}  // namespace

ImportedCounts read_vllm_load(const std::string& path) {
  { const InputFile readable(path); }  // says what is wrong if it is not
  std::ifstream lines(path);
  ImportedCounts imported;
  CountCollector collector(path);
  std::size_t expert_count = 0, number = 0;
  std::int64_t steps = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (trim(line).empty()) continue;
    const std::string origin = fmt::format("{}, line {}", path, number);
    if (line.size() > longest_line) throw DataError(origin + ": is longer than 64 MiB");
    const JsonDocument document = JsonDocument::parse(line, origin);
    if (document.root().has("record_type") && document.root().at("record_type").text() == "eplb_load_stats")
      add_record(collector, steps++, document.root(), origin, expert_count);
  }
  collector.finish(imported);
  imported.layer_ids.clear();  // counted among the MoE layers
  imported.source = "vLLM EPLB load statistics";
  return imported;
}

Routing read_routed_experts(const std::vector<std::string>& paths, std::size_t expert_count) {
  Routing routing;
  routing.expert_count = expert_count;
  routing.request_offsets = {0};
  for (const std::string& path : paths) {
    if (!path.ends_with(".npz")) {
      add_request(routing, read_npy(path), path);
      continue;
    }
    const ZipInput archive(path);
    for (const ZipInput::Entry& entry : archive.entries()) {
      const std::string bytes = archive.read(entry);
      const std::string origin = path + ": " + entry.name;
      add_request(routing, parse_npy(std::as_bytes(std::span(bytes)), origin), origin);
    }
  }
  if (routing.top_k == 0) throw DataError(paths.front() + ": holds no request");
  return routing;
}

}  // namespace gem
