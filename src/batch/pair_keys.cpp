#include "batch/pair_keys.hpp"

#include "base/text.hpp"

namespace gem {

StageKey trace_key(const BatchPair& pair) {
  StageKey key("trace");
  const TraceSource& source = pair.source;
  key.add("task", source.task);
  key.add_options(source);
  if (!source.routing.empty() && !source.plain_steps) key.add("mixed_steps", most_drawn_steps(pair));
  if (!source.synthetic) return key;
  const SynthesisOptions& synthesis = source.synthesis;
  key.add("model", pair.model.name);
  key.add("experts", synthesis.expert_count);
  key.add("top_k", synthesis.top_k);
  for (std::int32_t layer : synthesis.layer_ids) key.add("layer", static_cast<std::size_t>(layer));
  key.add("tokens", synthesis.tokens_per_step);
  return key;
}

StageKey map_key(const BatchPair& pair, const std::string& profile, const PairTraces& traces) {
  StageKey key("map");
  key.add_file("profile", profile);
  key.add_file("train", traces.train);
  if (!traces.test.empty()) key.add_file("test", traces.test);
  key.add("train_steps", traces.train_steps);
  key.add("methods", join(pair.methods));
  key.add_options(pair.mapping);
  for (const MethodVariant& variant : pair.variants) {
    key.add("variant", variant.name);
    key.add_options(variant.mapping);
  }
  return key;
}

StageKey verify_key(const BatchPair& pair, const PairFiles& files, const std::string& profile,
                    const PairTraces& traces) {
  StageKey key("verify");
  key.add_file("profile", profile);
  key.add_file("trace", traces.scored());
  for (const std::string& name : mapping_names(pair)) key.add_file(name, files.mapping(name));
  key.add_options(pair.replay);
  return key;
}

}  // namespace gem
