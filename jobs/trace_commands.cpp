#include "trace_commands.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <iostream>

#include "base/statistics.hpp"
#include "base/text.hpp"
#include "files/trace_file.hpp"
#include "platform/command_line/command_line.hpp"
#include "workload/description.hpp"

namespace gem {

void print_shape(const LoadTrace& trace) {
  std::cout << fmt::format("{} steps of {} tokens, {} layers, {} experts, top-{};\nmodel {}, task {}, {}, part {}\n",
                           trace.step_count(), trace.tokens_per_step, trace.layer_count(),
                           experts_text(trace.experts_of_layer, trace.expert_count()), trace.top_k, trace.model,
                           trace.task, trace.phase, trace.part);
  if (trace.sequence == "resampled")
    std::cout << "resampled: each step is of requests drawn anew, for searching alone\n";
  if (!trace.request_groups.empty())
    std::cout << fmt::format("each step is of one of {} groups of requests\n", group_count_of(trace));
}

JsonRecord shape_record(const LoadTrace& trace) {
  JsonRecord record;
  record.add("model", trace.model)
      .add("task", trace.task)
      .add("phase", trace.phase)
      .add("part", trace.part)
      .add("steps", trace.step_count())
      .add("tokens_per_step", trace.tokens_per_step)
      .add("layers", trace.layer_count())
      .add("experts", trace.expert_count())
      .add("top_k", trace.top_k);
  if (!trace.experts_of_layer.empty()) record.add("experts_of_layer", trace.experts_of_layer);
  return record;
}

JsonRecord store_trace(const std::string& path, const LoadTrace& trace, const Arguments& arguments, std::uint64_t seed,
                       const ExpertPairs& pairs) {
  write_trace(path, trace, provenance_now(command_line_text(arguments), trace.model, seed), pairs);
  std::vector<double> skews;
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer)
    if (const double skew = layer_skew(trace, layer); skew > 0.0) skews.push_back(skew);
  print_shape(trace);
  if (!skews.empty())
    std::cout << fmt::format("Skew (busiest expert / mean): {:.2f} in the median layer, {:.2f} in the most skewed\n",
                             median(skews), *std::ranges::max_element(skews));
  std::cout << "Trace written to " << path << "\n";
  JsonRecord record;
  record.add("output", path).add_all(shape_record(trace));
  if (!skews.empty()) record.add("median_skew", median(skews)).add("largest_skew", *std::ranges::max_element(skews));
  return record;
}

}  // namespace gem
