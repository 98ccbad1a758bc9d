#include "interchange/checkpoint.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"
#include "interchange/checkpoint_layout.hpp"
#include "platform/file_system/input_file.hpp"
#include "platform/file_system/temporary_file.hpp"

namespace gem {
namespace {

namespace fs = std::filesystem;

bool is_other_weights(const std::string& name) {
  for (const char* ending : {".bin", ".bin.index.json", ".pt", ".pth", ".ckpt", ".gguf", ".onnx", ".msgpack", ".h5"})
    if (name.ends_with(ending)) return true;
  return false;
}

/// "model-rank-0-part-0", "rank0", "model0-mp8": what engines call the files of one rank.
bool is_of_one_rank(const std::string& name) {
  const std::size_t parallel = name.rfind("-mp");
  if (parallel != std::string::npos && parallel > 0 &&
      std::isdigit(static_cast<unsigned char>(name[parallel - 1])) != 0)
    return true;
  for (std::size_t at = name.find("rank"); at != std::string::npos; at = name.find("rank", at + 1)) {
    std::size_t number = at + 4;
    if (number < name.size() && (name[number] == '-' || name[number] == '_')) ++number;
    const bool word_begins = at == 0 || std::isalpha(static_cast<unsigned char>(name[at - 1])) == 0;
    if (word_begins && number < name.size() && std::isdigit(static_cast<unsigned char>(name[number])) != 0) return true;
  }
  return false;
}

/// A shard's name in three parts: "model-", 2, "-of-00003.safetensors".
struct NumberedName {
  std::string before;
  std::size_t number;
  std::string behind;
  std::size_t total;
  std::size_t digits;  ///< of the number
};

std::optional<NumberedName> numbered_name_of(const std::string& name) {
  const std::size_t of = name.rfind("-of-");
  if (of == std::string::npos) return std::nullopt;
  std::size_t begin = of;
  while (begin > 0 && std::isdigit(static_cast<unsigned char>(name[begin - 1])) != 0) --begin;
  std::size_t end = of + 4;
  while (end < name.size() && std::isdigit(static_cast<unsigned char>(name[end])) != 0) ++end;
  if (begin == of || end == of + 4 || of - begin > 9 || end - of - 4 > 9) return std::nullopt;
  return NumberedName{name.substr(0, begin), std::stoul(name.substr(begin, of - begin)), name.substr(of),
                      std::stoul(name.substr(of + 4, end - of - 4)), of - begin};
}

/// Shards "00001-of-00003" count from 1 or from 0; none may be missing in between or at the end.
void check_numbered_names(const Checkpoint& checkpoint, const std::set<std::string>& strays) {
  std::map<std::pair<std::string, std::string>, std::map<std::size_t, NumberedName>> series;
  for (const std::string& shard : checkpoint.shards)
    if (const auto name = numbered_name_of(shard); name && !strays.contains(shard))
      series[{name->before, name->behind}].emplace(name->number, *name);
  for (const auto& [names, found] : series) {
    const NumberedName& any = found.begin()->second;
    const std::size_t first = found.contains(0) ? 0 : 1;
    for (std::size_t number = first; number < first + any.total; ++number) {
      if (found.contains(number)) continue;
      std::string digits = std::to_string(number);
      digits.insert(0, any.digits - std::min(any.digits, digits.size()), '0');
      throw DataError(
          fmt::format("{}: {}{}{} is missing, of which {} files there are others; copy the checkpoint again",
                      checkpoint.directory, any.before, digits, any.behind, any.total));
    }
  }
}

/// Whether the file is a whole model, or one of a whole series, by its name.
bool is_whole_by_name(const std::string& shard) {
  return shard == "model.safetensors" || shard == "consolidated.safetensors" || numbered_name_of(shard).has_value();
}

struct Index {
  std::string name;
  std::vector<std::pair<std::string, std::string>> weights;  ///< tensor, file
};

Index read_index(const Checkpoint& checkpoint, const std::string& name) {
  const std::string path = checkpoint.path(name);
  const JsonDocument document = JsonDocument::parse(read_text_beside_weights(path), path);
  const JsonNode weights = document.root().at("weight_map");
  Index index{name, {}};
  for (std::size_t i = 0; i < weights.keys().size(); ++i)
    index.weights.emplace_back(weights.keys()[i], weights.member(i).text());
  return index;
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
    if (name.starts_with("gem_mapping.json") || name.ends_with(".partial") || name.ends_with(".permuted") ||
        is_temporary_name(name) || name.starts_with("._"))  // macOS leaves "._NAME" beside files that it copies
      continue;
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
  for (const std::string& shard : checkpoint.shards)
    if (is_of_one_rank(shard))
      throw DataError(directory + "/" + shard +
                      ": holds the tensors of one rank of an engine (a sharded state), which "
                      "is bound to that engine's placement; give the checkpoint that it was "
                      "made from");
  return checkpoint;
}

std::string read_text_beside_weights(const std::string& path) {
  return read_whole_text(path, std::uint64_t{1} << 30);
}

JsonDocument parse_beside_weights(std::string text, const std::string& origin) {
  bool in_string = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '"') in_string = !in_string;
    if (in_string && text[at] == '\\') ++at;
    if (in_string) continue;
    for (const std::string_view word : {"-Infinity", "Infinity", "NaN"})
      if (text.compare(at, word.size(), word) == 0) {
        text.replace(at, word.size(), "null");
        break;
      }
  }
  return JsonDocument::parse(text, origin);
}

namespace {

/// Files of single ranks under names that don't say so hold the same router each, or the same expert's numbers.
void refuse_experts_twice(const Checkpoint& checkpoint, const std::map<std::string, SafetensorsHeader>& headers,
                          const std::set<std::string>& strays) {
  std::map<std::string_view, std::string_view> shard_of;
  for (const auto& [shard, header] : headers) {
    if (strays.contains(shard)) continue;
    for (const SafetensorsTensor& tensor : header.tensors) {
      if (role_of(tensor.name).layer < 0 || role_of(tensor.name).kind == TensorRole::Kind::None) continue;
      const auto [known, is_new] = shard_of.emplace(tensor.name, shard);
      if (!is_new)
        throw DataError(
            fmt::format("{}: tensor {} is in {} and in {}; give a checkpoint that has each tensor once, not "
                        "the files of single ranks, or move one of the two away",
                        checkpoint.directory, tensor.name, known->second, shard));
    }
  }
}

}  // namespace

IndexCheck check_indices(const Checkpoint& checkpoint, const std::map<std::string, SafetensorsHeader>& headers) {
  std::map<std::string, std::set<std::string>> tensors;
  std::set<std::string> all_tensors;
  for (const auto& [shard, header] : headers)
    for (const SafetensorsTensor& tensor : header.tensors) {
      tensors[shard].insert(tensor.name);
      all_tensors.insert(tensor.name);
    }
  IndexCheck check;
  std::set<std::string> named;
  std::vector<Index> stale;
  for (const std::string& name : checkpoint.indices) {
    Index index = read_index(checkpoint, name);
    const bool any_file =
        std::ranges::any_of(index.weights, [&](const auto& entry) { return tensors.contains(entry.second); });
    if (!any_file && !index.weights.empty()) {
      stale.push_back(std::move(index));
      continue;
    }
    for (const auto& [tensor, shard] : index.weights) {
      const auto found = tensors.find(shard);
      if (found == tensors.end() || !found->second.contains(tensor))
        throw DataError(checkpoint.path(name) + ": weight_map: tensor " + tensor + " should be in " + shard +
                        (found == tensors.end() ? ", which is missing" : ", but is not") +
                        "; copy the checkpoint again");
      named.insert(shard);
    }
  }
  for (const Index& index : stale) {
    const auto lost =
        std::ranges::find_if(index.weights, [&](const auto& entry) { return !all_tensors.contains(entry.first); });
    if (named.empty() && !std::ranges::any_of(checkpoint.shards, is_whole_by_name) && lost != index.weights.end())
      throw DataError(checkpoint.path(index.name) + ": weight_map: tensor " + lost->first + " should be in " +
                      lost->second + ", which is missing, and no other file has it; copy the checkpoint again");
    check.notes.push_back(index.name + " names files that are not here (" + index.weights.front().second +
                          "), as if of another build: the files that are here count");
  }
  if (!named.empty())
    for (const std::string& shard : checkpoint.shards)
      if (!named.contains(shard)) check.strays.insert(shard);
  for (const std::string& stray : check.strays)
    check.notes.push_back("No index names " + stray + ": it is renumbered too, as far as it holds experts");
  check_numbered_names(checkpoint, check.strays);
  refuse_experts_twice(checkpoint, headers, check.strays);
  return check;
}

}  // namespace gem
