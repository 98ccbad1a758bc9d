#include <fmt/core.h>
#include <algorithm>
#include <filesystem>

#include "base/error.hpp"
#include "base/text.hpp"
#include "interchange/import.hpp"
#include "interchange/npy.hpp"
#include "interchange/statistics_readers.hpp"
#include "interchange/torch_file.hpp"

namespace gem {
namespace {

namespace fs = std::filesystem;

bool is_torch(const std::string& path) {
  return path.ends_with(".pt") || path.ends_with(".pth");
}

bool is_array(const std::string& path) {
  return path.ends_with(".npy") || path.ends_with(".npz");
}

/// A directory stands for the recordings in it, in the order of their names; TensorRT-LLM's is read as a whole.
std::vector<std::string> files_of(const std::string& input) {
  std::error_code error;
  if (!fs::exists(input, error)) throw DataError(input + ": there is no such file or directory; check the name");
  if (!fs::is_directory(input, error) || fs::exists(input + "/meta_info.json")) return {input};
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(input, error)) {
    const std::string path = entry.path().string();
    if (is_torch(path) || is_array(path) || path.ends_with(".jsonl")) files.push_back(path);
  }
  if (files.empty())
    throw DataError(input + ": holds no recordings (.pt, .npy, .npz, .jsonl, or meta_info.json of TensorRT-LLM)");
  std::ranges::sort(files);
  return files;
}

std::string detected_format(const std::string& path) {
  if (fs::exists(path + "/meta_info.json")) return "tensorrt-llm";
  if (path.ends_with(".jsonl")) return "vllm-load";
  if (path.ends_with(".csv") || path.ends_with(".json")) return "counts";
  if (is_torch(path)) {
    const TorchFile file(path);
    const Pickle::Index root = file.pickle().root();
    return file.find(root, "logical_count") || file.find(root, "records") ? "sglang" : "counts";
  }
  if (path.ends_with(".npy") && read_npy(path).extents.size() == 2) return "counts";
  if (is_array(path))
    throw UsageError(path +
                     ": may hold counts [step, layer, expert] or routed experts [token, layer, k]; say which with "
                     "--format counts or --format vllm-routed");
  throw UsageError(path + ": its format is not known by its name; say it with --format");
}

}  // namespace

const std::vector<ImportFormat>& import_formats() {
  static const std::vector<ImportFormat> all = {
      {"sglang", "SGLang's expert distribution recorder, .pt files (stat, per_pass, per_token)"},
      {"tensorrt-llm", "TensorRT-LLM's expert statistics, a directory with meta_info.json"},
      {"vllm-load", "vLLM's EPLB load statistics, .jsonl"},
      {"vllm-routed", "vLLM's routed experts [token, layer, k] a request, .npy or .npz; becomes gem.routing"},
      {"counts",
       "counts [step, layer, expert], or [layer, expert] without a time axis (vllm-ascend's expert_load, "
       "popularity tables): .csv, .json, .npy, .npz, .pt"},
  };
  return all;
}

ImportSources find_sources(const std::vector<std::string>& inputs, const std::string& format) {
  ImportSources sources;
  for (const std::string& input : inputs) {
    const std::vector<std::string> files = files_of(input);
    sources.paths.insert(sources.paths.end(), files.begin(), files.end());
  }
  sources.format = format.empty() ? detected_format(sources.paths.front()) : format;
  std::vector<std::string> names;
  for (const ImportFormat& known : import_formats()) names.push_back(known.name);
  if (std::ranges::find(names, sources.format) == names.end())
    throw UsageError("--format '" + format + "' is unknown; it is one of " + join(names));
  const bool many = sources.format == "sglang" || sources.format == "vllm-routed";
  if (!many && sources.paths.size() > 1)
    throw UsageError("format " + sources.format + " is read from one input, but there are " +
                     std::to_string(sources.paths.size()) + "; import them one by one");
  return sources;
}

namespace {

ImportedCounts read_counts_of_format(const ImportSources& sources) {
  if (sources.format == "sglang") return read_sglang_statistics(sources.paths);
  if (sources.format == "tensorrt-llm") return read_tensorrt_llm_statistics(sources.paths.front());
  if (sources.format == "vllm-load") return read_vllm_load(sources.paths.front());
  return read_plain_counts(sources.paths.front());
}

}  // namespace

ImportedCounts read_counts(const ImportSources& sources) {
  ImportedCounts imported = read_counts_of_format(sources);
  imported.origin = sources.paths.front();
  if (sources.paths.size() > 1) imported.origin += fmt::format(" and {} more", sources.paths.size() - 1);
  return imported;
}

}  // namespace gem
