#pragma once

#include <map>
#include <optional>
#include <string>

#include "interchange/renumbering.hpp"

namespace gem {

/// The file gem_mapping.json beside a permuted checkpoint: what was renumbered, and what it takes to undo it to the
/// byte.
struct PermutationRecord {
  struct Shard {
    std::uint64_t bytes = 0;         ///< of the file before
    std::uint64_t header_bytes = 0;  ///< of its header before, padding included
    /// Of the file before (shard_fingerprint.hpp); records of earlier versions have none.
    std::optional<std::uint64_t> fingerprint = {};
    bool operator==(const Shard&) const = default;
  };
  std::string model;
  std::string method;
  bool undoing = false;  ///< the record of a run that undoes a permutation, kept only until it is done
  Renumbering renumbering;
  std::map<std::string, Shard> shards;
  bool operator==(const PermutationRecord&) const = default;
};

/// The text of the file, JSON.
std::string text_of(const PermutationRecord& record);

/// DataError if the file is something else, or not one permutation a layer.
PermutationRecord read_permutation_record(const std::string& path);

}  // namespace gem
