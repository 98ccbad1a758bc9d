#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/option.hpp"
#include "mapping/mapping_request.hpp"
#include "profile/profile_job.hpp"
#include "verification/replay_request.hpp"
#include "workload/batching.hpp"
#include "workload/synthesis.hpp"

namespace gem {

/// Where the steps of a pair come from: one of routing, trace and synthetic.
struct TraceSource {
  std::string task;
  std::string routing;     ///< file to batch into train and test steps
  std::string trace;       ///< step trace to search on
  std::string test_trace;  ///< step trace to score on; empty: the later half of `trace`
  bool synthetic = false;
  bool plain_steps = false;  ///< of routing in decode: search on steps like those scored on
  BatchingOptions batching;
  SynthesisOptions synthesis;  ///< its shape is the model's
};

void describe(OptionList& options, TraceSource& source);

/// A further mapping of a pair: a method with options of its own.
struct MethodVariant {
  std::string name;  ///< of its file and in tables
  MappingRequest mapping;
};

/// One model under one task, after defaults and overrides.
struct BatchPair {
  std::string name;  ///< "MODEL/TASK", its folder
  std::size_t line = 0;
  MoeModel model;
  ProfileRequest profile;
  TraceSource source;
  MappingRequest mapping;
  std::vector<std::string> methods{"linear", "eplb", "gem"};  ///< a mapping file each
  std::vector<MethodVariant> variants{};                      ///< likewise, behind these
  bool for_traces = false;  ///< the profile is of just the loads of the steps that pairs of its kind have
  bool verify = true;
  ReplayRequest replay;
};

/// Each of its options is a key of manifests; one that several stages have sets all of them.
void describe(OptionList& options, BatchPair& pair);

struct Manifest {
  std::string path;
  std::string output;          ///< directory of all results
  std::size_t rank_count = 0;  ///< of the job; 0: not known
  std::vector<BatchPair> pairs;
};

/// Names of all the pair's mappings: those of its methods, then those of its variants.
std::vector<std::string> mapping_names(const BatchPair& pair);

/// A model's name as that of a folder: some have a slash.
std::string folder_name(std::string model);

/// Reads and checks a manifest for a job of `rank_count` ranks; 0: not known yet, what depends on it isn't checked.
/// File names in it are relative to its own directory. DataError that lists every mistake with its line; UsageError if
/// only the ranks are too few. `overrides`, lines of TOML, holds keys that replace those of all pairs.
Manifest read_manifest(const std::string& path, std::size_t rank_count, const std::string& overrides = "");

/// The same of text; `path` is what the manifest is called and whose directory file names are relative to.
Manifest parse_manifest(std::string_view text, const std::string& path, std::size_t rank_count,
                        const std::string& overrides = "");

}  // namespace gem
