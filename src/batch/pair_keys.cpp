#include "batch/pair_keys.hpp"

#include "base/text.hpp"

namespace gem {

StageKey trace_key(const BatchPair& pair) {
  StageKey key("trace");
  const TraceSource& source = pair.source;
  const BatchingOptions& batching = source.batching;
  key.add("task", source.task);
  key.add("phase", batching.phase);
  key.add("steps", batching.steps);
  key.add("seed", std::size_t{batching.seed});
  if (!source.synthetic) {
    key.add_file("routing", source.routing);
    key.add("batch_size", batching.batch_size);
    key.add("chunk_tokens", batching.chunk_tokens);
    key.add("split", batching.split);
    return key;
  }
  const SynthesisOptions& synthesis = source.synthesis;
  key.add("model", pair.model.name);
  key.add("experts", synthesis.expert_count);
  key.add("top_k", synthesis.top_k);
  for (std::int32_t layer : synthesis.layer_ids) key.add("layer", static_cast<std::size_t>(layer));
  key.add("tokens", synthesis.tokens_per_step);
  for (double value : {synthesis.skew, synthesis.temporal_share, synthesis.burstiness, synthesis.burst_share,
                       synthesis.burst_steps, synthesis.correlation})
    key.add("parameter", value);
  return key;
}

StageKey map_key(const BatchPair& pair, const std::string& profile, const PairTraces& traces) {
  StageKey key("map");
  const MappingRequest& request = pair.mapping;
  key.add_file("profile", profile);
  key.add_file("train", traces.train);
  if (!traces.test.empty()) key.add_file("test", traces.test);
  key.add("train_steps", traces.train_steps);
  key.add("methods", join(pair.methods));
  key.add("effort", word_of(request.effort));
  key.add("features", word_of(request.cost.features));
  key.add("objective", word_of(request.objective));
  if (request.cost.exchange_row_ns > 0.0) key.add("exchange_row_ns", request.cost.exchange_row_ns);
  key.add("mixed_steps", request.mixed_steps);
  key.add("expert_groups", request.expert_groups);
  key.add("redundant_experts", request.redundant_experts);
  key.add("starts", request.starts);
  key.add("iterations", request.iterations);
  key.add("seed", request.seed);
  return key;
}

StageKey verify_key(const BatchPair& pair, const PairFiles& files, const std::string& profile,
                    const PairTraces& traces) {
  StageKey key("verify");
  const ReplayRequest& request = pair.replay;
  key.add_file("profile", profile);
  key.add_file("trace", traces.scored());
  for (const std::string& method : pair.methods) key.add_file(method, files.mapping(method));
  key.add("steps", request.steps);
  key.add("rounds", request.replay.rounds);
  for (std::int32_t layer : request.layer_ids) key.add("layer", static_cast<std::size_t>(layer));
  key.add("transport", request.transport);
  key.add("compute_only", std::size_t{request.compute_only ? 1u : 0u});
  key.add("turns", request.share_gpu);
  key.add("seed", request.seed);
  return key;
}

}  // namespace gem
