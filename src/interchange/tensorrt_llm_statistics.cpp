// TensorRT-LLM's expert statistics (EXPERT_STATISTIC_ITER_RANGE; tensorrt_llm/_torch/modules/fused_moe, class
// ExpertStatistic, version 1.0): meta_info.json {"num_experts", "num_experts_per_token"} and rank<r>.safetensors, whose
// tensors "<iteration>_<layer>" hold the tokens of each expert, layers by the model's own numbers.
#include <fmt/core.h>
#include <charconv>
#include <filesystem>

#include "base/error.hpp"
#include "base/text.hpp"
#include "interchange/safetensors.hpp"
#include "interchange/statistics_readers.hpp"

namespace gem {
namespace {

struct IterationAndLayer {
  std::int64_t iteration = 0;
  std::int32_t layer = 0;
};

IterationAndLayer parse_name(const InputFile& file, const std::string& name) {
  IterationAndLayer parsed;
  const std::size_t bar = name.find('_');
  const char* const end = name.data() + name.size();
  if (bar != std::string::npos) {
    const auto iteration = std::from_chars(name.data(), name.data() + bar, parsed.iteration);
    const auto layer = std::from_chars(name.data() + bar + 1, end, parsed.layer);
    if (iteration.ec == std::errc{} && iteration.ptr == name.data() + bar && layer.ec == std::errc{} &&
        layer.ptr == end && parsed.layer >= 0)
      return parsed;
  }
  file.reject("has a tensor '" + name.substr(0, 60) + "', but tensors must be named ITERATION_LAYER");
}

void add_rank(CountCollector& collector, const std::string& path, std::size_t expert_count) {
  const InputFile file(path);
  const SafetensorsHeader header = read_safetensors_header(file);
  for (const SafetensorsTensor& tensor : header.tensors) {
    const auto [iteration, layer] = parse_name(file, tensor.name);
    if (tensor.extents != std::vector<std::size_t>{expert_count})
      file.reject(fmt::format("tensor {} has shape {}, but meta_info.json says {} experts", tensor.name,
                              extents_text(tensor.extents), expert_count));
    collector.add(iteration, layer, read_numbers(file, header, tensor).values);
  }
}

}  // namespace

ImportedCounts read_tensorrt_llm_statistics(const std::string& directory) {
  const JsonDocument meta = JsonDocument::read(directory + "/meta_info.json");
  const auto expert_count = static_cast<std::size_t>(meta.root().at("num_experts").integer(1, 65536));
  ImportedCounts imported;
  imported.top_k = static_cast<std::size_t>(
      meta.root().at("num_experts_per_token").integer(1, static_cast<std::int64_t>(expert_count)));
  CountCollector collector(directory);
  std::size_t ranks = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("rank") || !name.ends_with(".safetensors")) continue;
    add_rank(collector, entry.path().string(), expert_count);
    ++ranks;
  }
  if (ranks == 0) throw DataError(directory + ": has no rank*.safetensors beside meta_info.json");
  collector.finish(imported);
  imported.source = fmt::format("TensorRT-LLM expert statistics of {} ranks", ranks);
  return imported;
}

}  // namespace gem
