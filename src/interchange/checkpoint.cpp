#include "interchange/checkpoint.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "base/error.hpp"
#include "base/text.hpp"
#include "interchange/safetensors.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

namespace fs = std::filesystem;

bool is_other_weights(const std::string& name) {
  for (const char* ending : {".bin", ".bin.index.json", ".pt", ".pth", ".ckpt", ".gguf", ".onnx", ".msgpack", ".h5"})
    if (name.ends_with(ending)) return true;
  return false;
}

/// "experts.12" anywhere in the configuration: a list of layers that are quantised or not, say.
bool names_single_experts(const std::string& text) {
  for (std::size_t at = text.find("experts."); at != std::string::npos; at = text.find("experts.", at + 1))
    if (at + 8 < text.size() && text[at + 8] >= '0' && text[at + 8] <= '9') return true;
  return false;
}

std::size_t group_count_of(const JsonNode& config) {
  const auto text_or = [&](const char* key) {
    return config.has(key) && !config.at(key).is_null() ? config.at(key).text() : std::string();
  };
  const auto count_or = [&](const char* key, std::int64_t fallback) {
    return config.has(key) && !config.at(key).is_null() ? config.at(key).integer(1, 65536) : fallback;
  };
  if (text_or("topk_method") == "greedy") return 1;  // DeepSeek-V2-Lite: groups are there, but not used
  const std::string type = text_or("model_type");
  if ((type == "deepseek_v2" || type == "deepseek_v3") && !config.has("n_group"))
    config.reject("model_type '" + type + "' needs n_group, the groups that routing is limited to");
  const std::int64_t groups = count_or("n_group", 1);
  return count_or("topk_group", groups) >= groups ? 1 : static_cast<std::size_t>(groups);
}

}  // namespace

Checkpoint find_checkpoint(const std::string& directory) {
  std::error_code error;
  if (!fs::is_directory(directory, error))
    throw DataError(directory + ": is not a directory; give the directory of a Hugging Face checkpoint");
  Checkpoint checkpoint;
  checkpoint.directory = directory;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("gem_mapping.json") || name.ends_with(".partial") || name.ends_with(".permuted")) continue;
    std::error_code broken_link;
    if (!entry.is_regular_file(broken_link) || is_other_weights(name)) {
      if (name[0] != '.') checkpoint.skipped.push_back(name);
    } else if (name.ends_with(".safetensors")) {
      checkpoint.shards.push_back(name);
    } else if (name.ends_with(".safetensors.index.json")) {
      checkpoint.indices.push_back(name);
    } else {
      checkpoint.others.push_back(name);
    }
  }
  if (error) throw SystemError("cannot read " + directory + ": " + error.message());
  if (checkpoint.shards.empty())
    throw DataError(directory + ": has no .safetensors file; give a checkpoint in that format");
  for (auto* names : {&checkpoint.shards, &checkpoint.indices, &checkpoint.others, &checkpoint.skipped})
    std::ranges::sort(*names);
  return checkpoint;
}

CheckpointConfig read_checkpoint_config(const Checkpoint& checkpoint) {
  const std::string path = checkpoint.path("config.json");
  const std::string text = read_whole_text(path, std::uint64_t{64} << 20);
  const JsonDocument document = JsonDocument::parse(text, path);
  if (names_single_experts(text))
    document.root().reject(
        "names single experts (\"experts.N\"), which would be others after renumbering; deploy the "
        "mapping with gem-deploy export instead");
  const JsonNode config = document.root().has("text_config") ? document.root().at("text_config") : document.root();
  CheckpointConfig found;
  for (const char* key : {"num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"})
    if (found.expert_count == 0 && config.has(key) && !config.at(key).is_null())
      found.expert_count = static_cast<std::size_t>(config.at(key).integer(1, 65536));
  found.group_count = group_count_of(config);
  return found;
}

void check_indices(const Checkpoint& checkpoint) {
  std::map<std::string, std::set<std::string>> tensors;
  for (const std::string& shard : checkpoint.shards)
    for (const SafetensorsTensor& tensor : read_safetensors_header(InputFile(checkpoint.path(shard))).tensors)
      tensors[shard].insert(tensor.name);
  for (const std::string& index : checkpoint.indices) {
    const JsonDocument document = JsonDocument::read(checkpoint.path(index));
    const JsonNode weights = document.root().at("weight_map");
    for (std::size_t i = 0; i < weights.keys().size(); ++i) {
      const std::string shard = weights.member(i).text();
      const auto found = tensors.find(shard);
      if (found == tensors.end() || !found->second.contains(weights.keys()[i]))
        weights.reject("tensor " + weights.keys()[i] + " should be in " + shard +
                       (found == tensors.end() ? ", which is missing" : ", but is not") +
                       "; copy the checkpoint again");
    }
  }
}

}  // namespace gem
