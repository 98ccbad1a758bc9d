#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace gem {

/// A Hugging Face checkpoint: the files of one directory, sorted by name.
struct Checkpoint {
  std::string directory;
  std::vector<std::string> shards;   ///< *.safetensors
  std::vector<std::string> indices;  ///< *.safetensors.index.json
  std::vector<std::string> others;   ///< configuration, tokenizer: copied as they are
  std::vector<std::string> skipped;  ///< weights in other formats, subdirectories: they would keep the old numbers

  std::string path(const std::string& name) const { return directory + "/" + name; }
};

/// DataError if there is no such directory, or no safetensors file in it.
Checkpoint find_checkpoint(const std::string& directory);

/// What config.json says of the model's experts.
struct CheckpointConfig {
  std::size_t expert_count = 0;  ///< 0 where it isn't said
  std::size_t group_count = 1;   ///< groups of consecutive experts of which a token uses a few; 1: no such limit
};

/// Reads config.json, the text model's part of it where the model has several. DataError if it is missing or names
/// single experts (quantised ones, say), which renumbering would make wrong.
CheckpointConfig read_checkpoint_config(const Checkpoint& checkpoint);

/// Every tensor of the indices is in the shard that they name. DataError naming tensor and file otherwise.
void check_indices(const Checkpoint& checkpoint);

}  // namespace gem
