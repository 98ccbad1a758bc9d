#pragma once

#include <functional>
#include <string>
#include <vector>

#include "batch/manifest.hpp"
#include "platform/text_formats/toml.hpp"

namespace gem {

/// A pair under construction: what its keys said, level by level.
struct PairDraft {
  std::string directory;  ///< of the manifest
  std::string name;       ///< the task's
  std::string model;
  std::size_t seed = 1;
  std::vector<std::size_t> batch_sizes;   ///< one pair each; empty: the default
  std::vector<std::size_t> chunk_tokens;  ///< likewise
  BatchPair pair;
};

/// A key of a manifest that can stand in [defaults], [[model]] and [[task]] alike; the later level wins.
struct ManifestKey {
  std::string name;
  std::string expected;                                    ///< "a whole number", for messages
  std::string help;                                        ///< what it says
  std::function<bool(PairDraft&, const TomlValue&)> take;  ///< false if the value is of another kind
  std::function<std::string(PairDraft&)> value;            ///< of the draft, for people; empty for none
  std::string group{};                                     ///< title of the keys that it stands with
};

const std::vector<ManifestKey>& manifest_keys();

/// A pair of which no key has said anything.
PairDraft default_draft();

/// All keys by group, with kind and default, for people.
std::string describe_keys();

}  // namespace gem
