// gem-trace describe: what a step trace is like.
#include <fmt/core.h>
#include <algorithm>
#include <iostream>
#include <optional>

#include "base/error.hpp"
#include "base/text.hpp"
#include "files/trace_file.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/progress.hpp"
#include "platform/command_line/result_output.hpp"
#include "trace_commands.hpp"
#include "workload/description.hpp"
#include "workload/description_text.hpp"

namespace gem {
namespace {

struct DescribeJob {
  std::string trace;
  std::optional<std::size_t> layer;
  std::size_t pairs = 5;
  HeatMapOptions heat_map;
  DescriptionOptions description;
  bool quiet = false;
};

void describe(OptionList& options, DescribeJob& job) {
  options.group("Files");
  options.add_file("trace", job.trace, "FILE", "step trace (gem.trace)").required();
  options.group("What is shown");
  options.add("layer", job.layer, "ID", "layer of the heat map, by the model's own number").without("the most skewed");
  options.add("rows", job.heat_map.rows, "N", "experts in the heat map, those with the highest peaks").range(0, 65536);
  options.add("pairs", job.pairs, "N", "pairs of experts to list that are most often busy together").range(0, 1e6);
  describe(options, job.description);
}

bool parse(const Arguments& arguments, DescribeJob& job) {
  CommandLine line("gem-trace describe",
                   "shows what a step trace is like: skew, correlations, kinds of experts, heat map.");
  line.add(job);
  line.add_example("gem-trace synthesize --model gpt-oss-20b --output trace.h5");
  line.add_example("gem-trace describe --trace trace.h5 --layer 12 --rows 64 --temporal-burst 2");
  if (!line.parse({arguments.begin() + 1, arguments.end()})) return false;
  job.quiet = line.quiet();
  return true;
}

/// Index of the layer asked for, or of the most skewed one.
std::size_t shown_layer(const DescribeJob& job, const LoadTrace& trace, const std::vector<LayerDescription>& layers) {
  if (!job.layer)
    return static_cast<std::size_t>(std::ranges::max_element(layers, {}, &LayerDescription::skew) - layers.begin());
  const auto found = std::ranges::find(trace.layer_ids, static_cast<std::int64_t>(*job.layer));
  if (found == trace.layer_ids.end())
    throw option_error(option_name(&DescribeJob::layer),
                       "{} {}: the trace has no such layer; its {} layers are numbered {} to {}", *job.layer,
                       trace.layer_count(), trace.layer_ids.front(), trace.layer_ids.back());
  return static_cast<std::size_t>(found - trace.layer_ids.begin());
}

void print_pairs(const std::vector<ExpertPair>& found) {
  std::vector<std::string> pairs;
  for (const ExpertPair& pair : found)
    pairs.push_back(fmt::format("{}-{} {:.2f}", pair.first.value, pair.second.value, pair.correlation));
  std::cout << "\n" << wrap("Most often busy together (correlation): " + join(pairs)) << "\n";
}

std::vector<JsonRecord> pair_records(const std::vector<ExpertPair>& pairs) {
  std::vector<JsonRecord> records;
  for (const ExpertPair& pair : pairs)
    records.push_back(JsonRecord()
                          .add("first", pair.first.value)
                          .add("second", pair.second.value)
                          .add("correlation", pair.correlation));
  return records;
}

// Without a token a layer has no figures.
std::vector<JsonRecord> layer_records(const std::vector<LayerDescription>& layers) {
  std::vector<JsonRecord> records;
  for (const LayerDescription& layer : layers) {
    const auto figure = [&](double value) { return layer.mean_load > 0.0 ? std::optional(value) : std::nullopt; };
    records.push_back(JsonRecord()
                          .add("layer", layer.layer_id)
                          .add("mean_load", layer.mean_load)
                          .add("skew", figure(layer.skew))
                          .add("median_imbalance", figure(layer.median_imbalance))
                          .add("largest_imbalance", figure(layer.largest_imbalance))
                          .add("step_correlation", figure(layer.step_correlation))
                          .add("expert_correlation", figure(layer.expert_correlation))
                          .add("consistent_experts", layer.count(ExpertKind::Consistent))
                          .add("temporal_experts", layer.count(ExpertKind::Temporal))
                          .add("idle_experts", layer.idle_count()));
  }
  return records;
}

void print_terms(const DescriptionOptions& options) {
  std::cout << "\n"
            << wrap(fmt::format(
                   "skew: busiest expert / mean, over all steps; median, worst: the same within a step. next: an "
                   "expert's load with its load one step later, mean over experts. pairs: two experts' loads, "
                   "the pair at the 95 % quantile. busy: above {:g} mean loads; consistent: experts busy in >= "
                   "{:g} % of the steps; temporal: busy in <= {:g} % of them, then with >= {:g} times their own "
                   "mean. idle: never used.",
                   options.busy_factor, 100.0 * options.consistent_share, 100.0 * options.temporal_share,
                   options.temporal_burst))
            << "\n";
}

}  // namespace

int run_describe(const Arguments& arguments) {
  DescribeJob job;
  if (!parse(arguments, job)) return 0;
  const LoadTrace trace = read_trace(job.trace);
  std::vector<LayerDescription> layers;
  {
    Progress progress("describe, layers", trace.layer_count(), !job.quiet);
    layers = describe_trace(trace, job.description, [&](std::size_t layer) { progress.update(layer); });
  }
  const std::size_t layer = shown_layer(job, trace, layers);

  print_shape(trace);
  std::cout << contradiction_warning(trace) << "\n" << description_table(layers);
  if (!job.quiet) print_terms(job.description);
  std::cout << fmt::format("\nLayer {}{}\n", trace.layer_ids[layer], job.layer ? "" : ", the most skewed")
            << heat_map(trace, layer, layers[layer], job.heat_map);
  const std::vector<ExpertPair> pairs =
      job.pairs > 0 ? strongest_pairs(expert_correlations(trace, layer), job.pairs) : std::vector<ExpertPair>();
  if (!pairs.empty()) print_pairs(pairs);
  print_result(shape_record(trace)
                   .add("described_layers", layer_records(layers))
                   .add("shown_layer", trace.layer_ids[layer])
                   .add("pairs", pair_records(pairs)));
  if (!job.quiet) std::cout << drawing_hint(arguments, {job.trace});
  return 0;
}

}  // namespace gem
