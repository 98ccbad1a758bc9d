#include "batch/pair_traces.hpp"

#include <algorithm>
#include <span>

#include "files/trace_file.hpp"

namespace gem {

PairTraces traces_of(const BatchPair& pair, const PairFiles& files) {
  const TraceSource& source = pair.source;
  if (source.synthetic) return {files.trace(), "", source.batching.steps};
  if (source.trace.empty()) return {files.train(), files.test(), 0};
  PairTraces given{source.trace, source.test_trace, 0};
  if (given.test.empty()) given.train_steps = std::max<std::size_t>(1, read_trace(given.train).step_count() / 2);
  return given;
}

StepSize step_size_of(const BatchPair& pair, const PairTraces& traces) {
  std::size_t most_rows = 0;
  double rows = 0.0, cells = 0.0;
  for (const std::string& path : {traces.train, traces.test}) {
    if (path.empty()) continue;
    const LoadTrace trace = read_trace(path);
    const std::span<const std::uint32_t> counts(trace.counts.values());
    for (std::size_t first = 0; first < counts.size(); first += trace.expert_count()) {
      const std::size_t rows_of_layer = row_count(counts.subspan(first, trace.expert_count()));
      most_rows = std::max(most_rows, rows_of_layer);
      rows += static_cast<double>(rows_of_layer);
    }
    cells += static_cast<double>(counts.size());
  }
  return {(most_rows + pair.model.top_k - 1) / pair.model.top_k, rows / cells};
}

}  // namespace gem
