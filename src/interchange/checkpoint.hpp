#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "interchange/safetensors.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {

/// A Hugging Face checkpoint: the files of one directory, sorted by name.
struct Checkpoint {
  std::string directory;
  std::vector<std::string> shards;   ///< *.safetensors
  std::vector<std::string> indices;  ///< *.safetensors.index.json
  std::vector<std::string> others;   ///< configuration, tokenizer
  std::vector<std::string> skipped;  ///< weights in other formats, subdirectories: they would keep the old numbers

  std::string path(const std::string& name) const { return directory + "/" + name; }
};

/// DataError if there is no such directory, or no safetensors file in it, or files of another kind: those that an
/// engine has saved rank by rank.
Checkpoint find_checkpoint(const std::string& directory);

/// What the indices say of the files.
struct IndexCheck {
  std::set<std::string> strays;    ///< shards that no index names, though there is one
  std::vector<std::string> notes;  ///< sentences for the user
};

/// Every shard is there, by the names' "00001-of-00003" and by the indices, and every tensor of an index in the shard
/// that it names. An index of which no shard is there is of another build: the files count. DataError naming file and
/// tensor otherwise, also for a tensor of the experts that two files have, unless an index decides. headers: of each
/// shard.
IndexCheck check_indices(const Checkpoint& checkpoint, const std::map<std::string, SafetensorsHeader>& headers);

/// The text of an index or another JSON file beside the weights. DataError above 1 GiB.
std::string read_text_beside_weights(const std::string& path);

/// JSON as Python writes it: NaN, Infinity and -Infinity, which JSON doesn't know, are read as null. `origin` names the
/// text in messages. DataError for anything else that is no JSON.
JsonDocument parse_beside_weights(std::string text, const std::string& origin);

}  // namespace gem
