// TensorRT-LLM's expert statistics (EXPERT_STATISTIC_ITER_RANGE; tensorrt_llm/_torch/expert_statistic.py):
// meta_info.json {"num_experts", "num_experts_per_token"} and rank<r>.safetensors, whose
// tensors "<iteration>_<layer>" hold the tokens of each expert, layers by the model's own numbers.
#include <fmt/core.h>
#include <charconv>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "base/error.hpp"
#include "base/text.hpp"
#include "interchange/import.hpp"
#include "interchange/safetensors.hpp"

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

/// The number in "rank3.safetensors"; nothing for other files, such as rank3_raw.safetensors.
std::optional<std::int64_t> rank_of(const std::string& name) {
  constexpr std::string_view begin = "rank", end = ".safetensors";
  if (!name.starts_with(begin) || !name.ends_with(end) || name.size() <= begin.size() + end.size()) return std::nullopt;
  std::int64_t rank = 0;
  const char* const last = name.data() + name.size() - end.size();
  const auto parsed = std::from_chars(name.data() + begin.size(), last, rank);
  if (parsed.ec != std::errc{} || parsed.ptr != last || rank < 0) return std::nullopt;
  return rank;
}

void add_rank(CountCollector& collector, const std::string& path, std::size_t expert_count) {
  const InputFile file(path);
  const SafetensorsHeader header = read_safetensors_header(file);
  for (const SafetensorsTensor& tensor : header.tensors) {
    const auto [iteration, layer] = parse_name(file, tensor.name);
    if (tensor.extents != std::vector<std::size_t>{expert_count})
      file.reject(
          fmt::format("tensor {} has shape {}, but meta_info.json says {} experts: if these are slots of a load "
                      "balancer, record without it",
                      tensor.name, extents_text(tensor.extents), expert_count));
    collector.add(iteration, layer, read_numbers(file, header, tensor).values);
  }
}

void read_directory(CountCollector& collector, const std::string& directory, ImportedCounts& imported,
                    std::set<std::int64_t>& ranks) {
  const JsonDocument meta = JsonDocument::read(directory + "/meta_info.json");
  const auto expert_count = static_cast<std::size_t>(meta.root().at("num_experts").integer(1, 65536));
  const auto top_k = static_cast<std::size_t>(
      meta.root().at("num_experts_per_token").integer(1, static_cast<std::int64_t>(expert_count)));
  if (imported.top_k != 0 && imported.top_k != top_k)
    throw DataError(fmt::format("{}: has {} experts a token, but the directories before have {}", directory, top_k,
                                imported.top_k));
  imported.top_k = top_k;
  std::map<std::int64_t, std::string> files;
  std::vector<std::string> passed_over;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (const auto rank = rank_of(name))
      files.emplace(*rank, entry.path().string());
    else if (name.ends_with(".safetensors"))
      passed_over.push_back(name);
  }
  if (files.empty()) throw DataError(directory + ": has no rank*.safetensors beside meta_info.json");
  for (const auto& [rank, path] : files) {
    if (!ranks.insert(rank).second)
      throw DataError(
          fmt::format("{}: holds rank {}, as a directory before does; import recordings one by one", directory, rank));
    collector.begin_part(fmt::format("rank {}", rank));
    add_rank(collector, path, expert_count);
  }
  if (!passed_over.empty())
    imported.notes.push_back(fmt::format("{} files that hold no counts of a rank were passed over ({}{})",
                                         passed_over.size(), passed_over.front(),
                                         passed_over.size() > 1 ? ", ..." : ""));
}

bool recognises(const std::string& path, const ImportOptions&) {
  std::error_code error;
  return std::filesystem::exists(path + "/meta_info.json", error);
}

Recording read(const std::vector<std::string>& paths, const ImportOptions& options) {
  ImportedCounts imported;
  CountCollector collector(paths.front());
  std::set<std::int64_t> ranks;
  for (const std::string& path : paths) read_directory(collector, path, imported, ranks);
  check_ranks(ranks, options, paths.front(), imported.notes);
  collector.finish(imported, options);
  imported.source = fmt::format("TensorRT-LLM expert statistics of {} ranks", ranks.size());
  return imported;
}

}  // namespace

const ImportFormat tensorrt_llm_recording = {"tensorrt-llm",
                                             "TensorRT-LLM's expert statistics, a directory with meta_info.json",
                                             "TensorRT-LLM 1.0", recognises, read};

}  // namespace gem
