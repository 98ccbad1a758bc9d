#include "verification/replay.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "cost/device_loads.hpp"
#include "cost/prediction.hpp"

namespace gem {
namespace {

// One quantity of one mapping as this rank measured it: [round][step, layer, local device].
struct LocalTimes {
  std::vector<std::vector<double>> compute, dispatch, combine;
  std::vector<std::vector<double>> layer;  // [round][step, layer]
  // [part], empty but for whole steps; of the parts behind the last layer [round][step, local device]
  std::array<std::vector<std::vector<double>>, step_part_count> parts;

  LocalTimes(std::size_t rounds, std::size_t cells, std::size_t devices)
      : compute(rounds, std::vector<double>(cells * devices)),
        dispatch(compute),
        combine(compute),
        layer(rounds, std::vector<double>(cells)) {}

  void add_parts(std::size_t steps, std::size_t devices) {
    for (const StepPart part : attention_parts) parts[index_of(part)] = compute;
    parts[index_of(StepPart::SharedExperts)] = compute;
    for (const StepPart part : tail_parts)
      parts[index_of(part)].assign(compute.size(), std::vector<double>(steps * devices));
  }

  void keep(std::size_t round, std::size_t cell, std::span<const LayerTimes> times) {
    for (std::size_t d = 0; d < times.size(); ++d) {
      const std::size_t place = cell * times.size() + d;
      compute[round][place] = times[d].compute_s;
      dispatch[round][place] = times[d].dispatch_s;
      combine[round][place] = times[d].combine_s;
    }
    keep_parts(attention_parts, round, cell, times);
    keep_parts(shared_part, round, cell, times);
    layer[round][cell] = times.empty() ? std::numeric_limits<double>::quiet_NaN() : times[0].layer_s;
  }

  void keep_parts(std::span<const StepPart> which, std::size_t round, std::size_t cell,
                  std::span<const LayerTimes> times) {
    for (const StepPart part : which) {
      const std::size_t index = index_of(part);
      if (parts[index].empty()) continue;
      for (std::size_t d = 0; d < times.size(); ++d)
        parts[index][round][cell * times.size() + d] = times[d].parts[index];
    }
  }
};

// [round] on rank 0: the rows of all ranks as one [step, layer, device].
std::vector<Cube<double>> gather_rounds(const Communicator& communicator, const std::vector<std::vector<double>>& local,
                                        std::size_t steps, std::size_t layers, std::size_t local_devices) {
  const std::vector<std::int32_t> devices_of = communicator.all_gather(static_cast<std::int32_t>(local_devices));
  const auto total = static_cast<std::size_t>(std::accumulate(devices_of.begin(), devices_of.end(), 0));
  std::vector<Cube<double>> rounds;
  for (const std::vector<double>& mine : local) {
    const std::vector<double> all = communicator.gather(std::span<const double>(mine));
    if (!communicator.is_root()) continue;
    Cube<double>& cube = rounds.emplace_back(steps, layers, total);
    std::size_t position = 0;
    std::size_t first_device = 0;
    for (std::int32_t count : devices_of) {
      for (std::size_t cell = 0; cell < steps * layers; ++cell)
        for (std::size_t d = 0; d < static_cast<std::size_t>(count); ++d)
          cube(cell / layers, cell % layers, first_device + d) = all[position++];
      first_device += static_cast<std::size_t>(count);
    }
  }
  return rounds;
}

template <class Container>
Container median_of_rounds(const std::vector<Container>& rounds) {
  Container result = rounds.front();
  std::vector<double> values(rounds.size());
  for (std::size_t i = 0; i < result.values().size(); ++i) {
    for (std::size_t r = 0; r < rounds.size(); ++r) values[r] = rounds[r].values()[i];
    result.values()[i] = median(values);
  }
  return result;
}

Matrix<double> mean_raw_straggler(const std::vector<Cube<double>>& rounds) {
  Matrix<double> raw(rounds[0].planes(), rounds[0].rows());
  for (const Cube<double>& round : rounds)
    for (std::size_t step = 0; step < raw.rows(); ++step)
      for (std::size_t layer = 0; layer < raw.columns(); ++layer) {
        const auto devices = round.row(step, layer);
        raw(step, layer) += *std::max_element(devices.begin(), devices.end()) / static_cast<double>(rounds.size());
      }
  return raw;
}

void collect(const Communicator& communicator, const LocalTimes& local, std::size_t steps, std::size_t layers,
             std::size_t local_devices, MappingReplay& replay) {
  const auto gathered = [&](const std::vector<std::vector<double>>& values) {
    return gather_rounds(communicator, values, steps, layers, local_devices);
  };
  const auto compute = gathered(local.compute);
  const auto dispatch = gathered(local.dispatch);
  const auto combine = gathered(local.combine);
  for (std::size_t part = 0; part < step_part_count; ++part) {
    if (local.parts[part].empty()) continue;
    const std::size_t part_layers = is_tail(static_cast<StepPart>(part)) ? 1 : layers;
    const auto rounds = gather_rounds(communicator, local.parts[part], steps, part_layers, local_devices);
    if (communicator.is_root()) replay.part_s[part] = median_of_rounds(rounds);
  }
  if (!communicator.is_root()) return;
  replay.compute_s = median_of_rounds(compute);
  replay.dispatch_s = median_of_rounds(dispatch);
  replay.combine_s = median_of_rounds(combine);
  replay.raw_straggler_s = mean_raw_straggler(compute);
  std::vector<Matrix<double>> layer_rounds;
  for (const std::vector<double>& round : local.layer) {
    layer_rounds.emplace_back(steps, layers);
    layer_rounds.back().values() = round;
  }
  replay.layer_s = median_of_rounds(layer_rounds);
}

// Copies experts as a step wants them and adds what that takes to the devices' times of the layer, and to `made`.
void add_copies(const Communicator& communicator, ReplayTarget& target, std::size_t layer,
                const std::vector<ExpertShare>& shares, const CopyTimes& predicted, std::span<LayerTimes> times,
                CopiesMade& made) {
  std::vector<CopyRun> runs(times.size());
  target.copy_experts(layer, shares, predicted.there_s, runs);
  double there_s = 0.0, before_s = 0.0, after_s = 0.0;
  for (std::size_t d = 0; d < times.size(); ++d) {
    there_s = std::max(there_s, runs[d].there_s);
    before_s = std::max(before_s, times[d].compute_s);
    times[d].compute_s = seconds_with_copies(times[d].compute_s, runs[d].home_s, runs[d].there_s);
    after_s = std::max(after_s, times[d].compute_s);
  }
  const double exposed_s = communicator.max(after_s) - communicator.max(before_s);
  for (LayerTimes& own : times) own.layer_s += exposed_s;
  made.count += static_cast<double>(predicted.count);
  made.there_s += communicator.max(there_s);
  made.predicted_there_s += std::ranges::max(predicted.there_s);
  made.exposed_s += exposed_s;
}

// See balanced_trace(); what shared experts take is told from what the steps without them take by the model.
LoadTrace force_balanced(const LoadTrace& trace, const std::vector<ExpertHomes>& homes, const CostModel& model,
                         const ReplayOptions& options) {
  LoadTrace balanced = balanced_trace(trace, homes, options.speeds, options.rules);
  if (options.shared_s.empty()) return balanced;
  const Cube<double> routed_s = predict(model, profiled_stage, balanced, homes);
  double layer_s = 0.0;  // of all routed experts of a mean layer on a device of speed 1
  for (std::size_t step = 0; step < routed_s.planes(); ++step)
    for (std::size_t layer = 0; layer < routed_s.rows(); ++layer)
      for (std::size_t d = 0; d < options.speeds.size(); ++d)
        layer_s +=
            options.speeds[d] * routed_s(step, layer, d) / static_cast<double>(routed_s.planes() * routed_s.rows());
  if (layer_s <= 0.0) return balanced;
  std::vector<double> shared = options.shared_s;
  for (double& part : shared) part /= layer_s;
  return balanced_trace(trace, homes, options.speeds, options.rules, shared);
}

}  // namespace

std::vector<ExpertHomes> homes_for(const Mapping& mapping, const LoadTrace& trace) {
  if (mapping.expert_count() != trace.expert_count())
    throw DataError(fmt::format(
        "mapping '{}' places {} experts a layer, but the trace of task '{}' has {}; both must be of one model",
        mapping.method, mapping.expert_count(), trace.task, trace.expert_count()));
  std::vector<ExpertHomes> homes;
  for (std::int32_t id : trace.layer_ids) {
    const auto found = std::find(mapping.layer_ids.begin(), mapping.layer_ids.end(), id);
    if (found == mapping.layer_ids.end())
      throw DataError(
          fmt::format("mapping '{}' has no layer {}, which the trace has; map the same layers, or replay those it has",
                      mapping.method, id));
    const auto layer = static_cast<std::size_t>(found - mapping.layer_ids.begin());
    if (mapping.experts_in(layer) != trace.experts_in(homes.size()))
      throw DataError(fmt::format(
          "mapping '{}' places {} experts of layer {}, but the trace of task '{}' has {}; both must be of one model",
          mapping.method, mapping.experts_in(layer), id, trace.task, trace.experts_in(homes.size())));
    homes.push_back(homes_of(mapping, layer));
  }
  return homes;
}

VerificationReport replay(const Communicator& communicator, ReplayTarget& target, const LoadTrace& trace,
                          const std::vector<Mapping>& mappings, const CostModel& model, const ReplayOptions& options,
                          const ReplayProgress& progress) {
  const std::size_t steps = trace.step_count();
  const std::size_t layers = trace.layer_count();
  VerificationReport report;
  report.model = trace.model;
  report.task = trace.task;
  report.part = trace.part;
  report.tokens_per_step = trace.tokens_per_step;
  report.rounds = options.rounds;
  report.layer_ids = trace.layer_ids;

  std::vector<std::vector<ExpertHomes>> homes;
  std::vector<StepHomes> placements;
  for (const Mapping& mapping : mappings) {
    homes.push_back(homes_for(mapping, trace));
    const RunTimeOptions decided = options.decided.empty() ? RunTimeOptions{} : options.decided[placements.size()];
    StepHomes& placed = placements.emplace_back(homes.back(), decided, model, trace, options.copy_price);
    MappingReplay& replay = report.mappings.emplace_back();
    replay.name = mapping.method;
    replay.predicted_s = placed.predict();
    replay.most_rows = max_rows(trace, placed.homes_at(), model.device_count());
    if (placed.sends_experts()) replay.copies.emplace();
  }
  // The force-balanced steps are run like one more mapping, the first one's without copies.
  std::vector<const LoadTrace*> traces(mappings.size(), &trace);
  LoadTrace balanced;
  std::vector<ExpertHomes> balanced_homes;
  if (options.whole_step) {
    balanced_homes = first_homes(homes[0]);
    balanced = force_balanced(trace, balanced_homes, model, options);
    traces.push_back(&balanced);
    placements.emplace_back(balanced_homes, RunTimeOptions{}, model, balanced, options.copy_price);
    MappingReplay& replay = report.balanced.emplace_back();
    replay.name = force_balanced_name;
    replay.predicted_s = predict(model, profiled_stage, balanced, balanced_homes);
    replay.most_rows = max_rows(balanced, balanced_homes, model.device_count());
  }
  report.mappings[0].move_s = 0.0;
  for (std::size_t m = 1; m < homes.size(); ++m) {
    if (placements[m].is_decided()) continue;  // the same weights as before, or none that stay
    target.place({homes[0]});
    report.mappings[m].move_s = target.place({homes[m]});
  }
  // All that any mapping needs, so that the mappings can take turns step by step.
  std::vector<std::vector<ExpertHomes>> ever;
  for (std::size_t m = 0; m < homes.size(); ++m) ever.push_back(placements[m].ever());
  target.place(ever);

  const std::size_t checks = std::min(options.checked_steps, steps);
  for (std::size_t i = 0; i < checks; ++i) {
    // The first and the last step and layer, and evenly between.
    const std::size_t step = checks == 1 ? 0 : i * (steps - 1) / (checks - 1);
    const std::size_t layer = checks == 1 ? 0 : i * (layers - 1) / (checks - 1);
    std::vector<ExpertHomes> of_layer;
    for (std::size_t m = 0; m < homes.size(); ++m) of_layer.push_back(placements[m].at(step, layer));
    target.check(layer, trace.counts.row(step, layer), of_layer, report.mappings);
  }

  const std::size_t local_devices = target.local_device_count();
  std::vector<LocalTimes> local(traces.size(), LocalTimes(options.rounds, steps * layers, local_devices));
  if (options.whole_step)
    for (LocalTimes& times : local) times.add_parts(steps, local_devices);
  std::vector<LayerTimes> times(local_devices);
  std::vector<std::size_t> order(traces.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  RandomStream random({options.seed, 0x0de5});  // the same on every rank
  // One untimed step first: caches, page faults and communication buffers settle.
  for (std::size_t layer = 0; layer < layers; ++layer)
    target.run(layer, trace.counts.row(0, layer), homes[0][layer], times);
  for (std::size_t round = 0; round < options.rounds; ++round)
    for (std::size_t step = 0; step < steps; ++step) {
      random.shuffle(std::span<std::size_t>(order));
      for (std::size_t m : order) {
        for (std::size_t layer = 0; layer < layers; ++layer) {
          target.run(layer, traces[m]->counts.row(step, layer), placements[m].at(step, layer), times);
          if (placements[m].sends_experts())
            add_copies(communicator, target, layer, placements[m].shares_at(step, layer),
                       placements[m].copies_at(step, layer), times, *report.mappings[m].copies);
          local[m].keep(round, step * layers + layer, times);
        }
        target.run_tail(times);
        local[m].keep_parts(tail_parts, round, step, times);
      }
      progress(round * steps + step + 1, options.rounds * steps);
    }
  for (std::size_t m = 0; m < mappings.size(); ++m)
    collect(communicator, local[m], steps, layers, local_devices, report.mappings[m]);
  const auto runs = static_cast<double>(options.rounds * steps * layers);
  for (MappingReplay& replay : report.mappings)
    if (replay.copies)
      for (double* sum : {&replay.copies->count, &replay.copies->there_s, &replay.copies->predicted_there_s,
                          &replay.copies->exposed_s})
        *sum /= runs;
  for (MappingReplay& replay : report.balanced)
    collect(communicator, local.back(), steps, layers, local_devices, replay);
  return report;
}

}  // namespace gem
