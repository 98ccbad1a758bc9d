#include "batch/pair_traces.hpp"

#include <algorithm>
#include <optional>
#include <span>

#include "batch/pair_keys.hpp"
#include "batch/stamp.hpp"
#include "files/routing_file.hpp"
#include "files/trace_file.hpp"
#include "mapping/mixed_steps.hpp"
#include "platform/file_system/file_lock.hpp"

namespace gem {
namespace {

/// Steps that a pair of this routing is searched on. The search adds mixtures up to the pair's number of mixed steps,
/// so that as many steps drawn anew cost no more, except in layers that are filled up less.
BatchingOptions searched_part(const BatchPair& pair, const Routing& routing) {
  BatchingOptions searched = pair.source.batching;
  searched.part = RequestPart::Train;
  if (pair.source.plain_steps || searched.resample || step_shape(routing.phase, searched).phase != Phase::Decode)
    return searched;
  searched.resample = true;
  searched.steps = std::max(searched.steps, std::min(4 * searched.steps, most_drawn_steps(pair)));
  return searched;
}

/// Writes them and returns their files.
std::vector<std::string> write_traces(const BatchPair& pair, const PairTraces& traces, const Provenance& provenance) {
  const TraceSource& source = pair.source;
  if (source.synthetic) {
    LoadTrace trace = synthesize_trace(source.synthesis);
    trace.model = pair.model.name;
    trace.task = source.task;
    trace.phase = word_of(source.batching.phase.value_or(Phase::Decode));
    write_trace(traces.train, trace, provenance);
    return {traces.train};
  }
  const Routing routing = read_routing(source.routing);
  write_trace(traces.train, batch_routing(routing, searched_part(pair, routing)), provenance);
  write_trace(traces.test, batch_routing(routing, scored_part(source.batching)), provenance);
  return {traces.train, traces.test};
}

}  // namespace

std::size_t most_drawn_steps(const BatchPair& pair) {
  return pair.mapping.mixed_steps.value_or(default_mixed_steps);
}

PairTraces traces_of(const BatchPair& pair, const PairFiles& files) {
  const TraceSource& source = pair.source;
  if (source.synthetic) return {files.trace(), "", source.batching.steps};
  if (source.trace.empty()) return {files.train(), files.test(), 0};
  PairTraces given{source.trace, source.test_trace, 0};
  if (given.test.empty()) given.train_steps = std::max<std::size_t>(1, read_trace(given.train).step_count() / 2);
  return given;
}

bool make_traces(const BatchPair& pair, const PairFiles& files, const std::string& command_line,
                 const std::function<void()>& on_missing) {
  if (!pair.source.trace.empty()) return false;
  const StageKey key = trace_key(pair);
  if (is_fresh(files.stamp("trace"), key)) return false;
  on_missing();
  std::optional<FileLock> lock;
  if (pair.for_traces) lock.emplace(files.trace_lock(), FileLock::Kind::Exclusive, true, files.folder());
  if (pair.for_traces && is_fresh(files.stamp("trace"), key)) return true;
  const Provenance provenance = provenance_now(command_line, pair.model.name, pair.profile.seed);
  write_stamp(files.stamp("trace"), key, write_traces(pair, traces_of(pair, files), provenance));
  return true;
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
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer)
      cells += static_cast<double>(trace.step_count() * trace.experts_in(layer));
  }
  return {(most_rows + pair.model.top_k - 1) / pair.model.top_k, rows / cells};
}

}  // namespace gem
