#pragma once

#include <string>
#include <vector>

#include "interchange/imported_counts.hpp"
#include "model/routing.hpp"

namespace gem {

// Readers of what serving engines record. Each throws a DataError naming file, field, what was found and what to do.

/// SGLang's expert distribution recorder, files that it dumps (modes stat, per_pass and per_token).
ImportedCounts read_sglang_statistics(const std::vector<std::string>& paths);

/// TensorRT-LLM's expert statistics: a directory with meta_info.json and rank*.safetensors.
ImportedCounts read_tensorrt_llm_statistics(const std::string& directory);

/// vLLM's EPLB load statistics: JSON lines with record_type eplb_load_stats.
ImportedCounts read_vllm_load(const std::string& path);

/// Counts in plain form: NPY, NPZ (one array), JSON arrays, CSV, or a tensor that torch.save wrote; [step, layer,
/// expert], or [layer, expert] without a time axis (vllm-ascend's expert_load, popularity tables).
ImportedCounts read_plain_counts(const std::string& path);

/// vLLM's routed experts, [token, layer, k] a request: NPY files of one request each, or NPZ with one array a request.
/// The routing's names and layer numbers are left to the caller. DataError for an id of expert_count or more.
Routing read_routed_experts(const std::vector<std::string>& paths, std::size_t expert_count);

}  // namespace gem
