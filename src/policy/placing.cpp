#include "policy/placing.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"
#include "model/expert_copies.hpp"
#include "policy/slot_map.hpp"
#include "search/layer_search.hpp"
#include "search/packing.hpp"
#include "search/redundant_experts.hpp"
#include "search/remap.hpp"

namespace gem {
namespace {

// Judged costs are compared in whole nanoseconds.
constexpr double judging_tick_s = 1e-9;

// A layer's problems, one for each way to spend its copies.
using Ways = std::vector<LayerProblem>;

struct CopiedLayer {
  std::size_t layer;
  std::vector<std::int32_t> copies;  // [expert]
};

// [layer] what is made of it. In one go, since the tables of latencies take long to make.
std::vector<Ways> with_copies(const CostModel& model, const LoadTrace& trace, const std::vector<CopiedLayer>& layers) {
  LoadTrace chosen = without_steps(trace);
  chosen.counts = Cube<std::uint32_t>(trace.step_count(), layers.size(), trace.expert_count());
  CopyCounts copies(layers.size(), trace.expert_count());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    std::ranges::copy(layers[i].copies, copies.row(i).begin());
    for (std::size_t step = 0; step < trace.step_count(); ++step)
      std::ranges::copy(trace.counts.row(step, layers[i].layer), chosen.counts.row(step, i).begin());
  }
  std::vector<Ways> ways(trace.layer_count());
  std::vector<LayerProblem> problems = layer_problems(model, split_over_copies(chosen, copies));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    problems[i].set_copies(experts_of_copies(copies.row(i)));
    ways[layers[i].layer].push_back(std::move(problems[i]));
  }
  return ways;
}

// As many copies of each expert as there are now; an expert with more than there are devices gives some to the first
// that have room.
CopyCounts present_copies(const PlacingQuestion& question, std::size_t device_count) {
  const auto most = static_cast<std::int32_t>(device_count);
  CopyCounts copies(question.searched.layer_count(), question.searched.expert_count());
  for (std::size_t layer = 0; layer < copies.rows(); ++layer) {
    std::vector<std::int32_t> counts = slot_counts(question.present.row(layer), copies.columns());
    for (std::size_t from = 0, to = 0; from < counts.size(); ++from)
      while (counts[from] > most) {
        while (counts[to] >= most) ++to;
        --counts[from];
        ++counts[to];
      }
    std::ranges::copy(counts, copies.row(layer).begin());
  }
  return copies;
}

// Takes copies from where they relieve least and gives them to the experts whose copies carry the most, as long as that
// lowers the greatest load of a copy; each costs a move at least.
void shift_copies(std::span<std::int32_t> counts, std::span<const double> loads, std::size_t max_shifts,
                  std::size_t device_count) {
  const auto load_with = [&](std::size_t expert, std::int32_t copies) { return loads[expert] / copies; };
  for (std::size_t shift = 0; shift < max_shifts; ++shift) {
    const std::size_t none = counts.size();
    std::size_t from = none, to = none;
    for (std::size_t e = 0; e < counts.size(); ++e) {
      if (counts[e] > 1 && (from == none || load_with(e, counts[e] - 1) < load_with(from, counts[from] - 1))) from = e;
      if (counts[e] < static_cast<std::int32_t>(device_count) &&
          (to == none || load_with(e, counts[e]) > load_with(to, counts[to])))
        to = e;
    }
    if (from == none || to == none || load_with(from, counts[from] - 1) >= load_with(to, counts[to])) return;
    --counts[from];
    ++counts[to];
  }
}

std::vector<Ways> ways_of(const CostModel& model, const PlacingQuestion& question) {
  const LoadTrace& trace = question.searched;
  const std::size_t devices = model.device_count();
  const std::size_t redundant = question.slots_per_device * devices - trace.expert_count();
  if (redundant == 0) {
    std::vector<Ways> ways;
    for (LayerProblem& problem : layer_problems(model, trace)) ways.push_back({std::move(problem)});
    return ways;
  }
  const bool is_first = question.present.rows() == 0;
  const CopyCounts given = is_first ? choose_copies(trace, redundant, devices) : present_copies(question, devices);
  // Half of the moves for other copies, the rest to place them.
  const std::size_t shifts = is_first || question.max_moves == 0 ? 0 : std::max<std::size_t>(1, question.max_moves / 2);
  std::vector<CopiedLayer> layers;
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    CopiedLayer copied{layer, {given.row(layer).begin(), given.row(layer).end()}};
    layers.push_back(copied);
    shift_copies(copied.copies, mean_loads(trace, layer), shifts, devices);
    if (copied.copies != layers.back().copies) layers.push_back(std::move(copied));
  }
  return with_copies(model, trace, layers);
}

/// What a layer may become: by ascending moves, each cheaper in the judged steps than all before it. The first is the
/// present row.
struct LayerChoice {
  std::vector<RemapPoint> points;  // without assignments
  std::vector<std::vector<std::int32_t>> rows;
};

class Judge {
 public:
  Judge(const CostModel& model, const PlacingQuestion& question) : model_(&model), question_(&question) {}

  /// Of a layer's placements, most of which is that of `row`.
  SlotSeconds seconds(std::size_t layer, SlotRow row) const {
    return {*model_, question_->judged, layer, row, question_->slots_per_device};
  }
  std::int64_t ticks(std::size_t layer, double seconds) const {
    // Three years; sums of ticks stay in 64 bits.
    constexpr double max_s = 1e8;
    if (!(seconds < max_s))
      throw UsageError(fmt::format(
          "the judged steps of layer {} would take {:.3g} s, which can't be reckoned with; give latencies in seconds",
          layer, seconds));
    return std::llround(seconds / judging_tick_s);
  }
  /// Of a move, beside costs summed over the judged steps.
  std::int64_t move_ticks() const {
    return move_price(judging_tick_s, question_->judged.step_count(), question_->move_s, question_->horizon_steps);
  }
  double mean_seconds(std::int64_t ticks) const {
    return static_cast<double>(ticks) * judging_tick_s / static_cast<double>(question_->judged.step_count());
  }

 private:
  const CostModel* model_;
  const PlacingQuestion* question_;
};

LayerChoice choice_of(const PlacingQuestion& question, const Ways& ways, const Judge& judge, std::size_t layer) {
  const SlotRow present = question.present.row(layer);
  const DeviceContents contents = contents_of(present, question.slots_per_device);
  const SlotSeconds seconds = judge.seconds(layer, present);
  struct Candidate {
    RemapPoint point;
    std::vector<std::int32_t> row;
  };
  std::vector<Candidate> candidates;
  for (const LayerProblem& problem : ways) {
    const RemapRule rule{.max_moves = question.max_moves,
                         .move_ticks = move_price(problem, question.move_s, question.horizon_steps),
                         .iterations = question.iterations,
                         .seed = question.seed};
    for (const RemapPoint& point : remap_front(problem, contents, rule)) {
      std::vector<std::int32_t> row =
          arranged(present, point.assignment, problem.expert_of_copy(), question.slots_per_device);
      const std::size_t moves = moves_between(present, row, question.slots_per_device);
      if (moves == 0 || moves > question.max_moves) continue;
      const std::int64_t cost = judge.ticks(layer, seconds.sum_of(row));
      candidates.push_back({{moves, cost, {}}, std::move(row)});
    }
  }
  std::ranges::stable_sort(candidates, [](const Candidate& a, const Candidate& b) {
    return a.point.moves != b.point.moves ? a.point.moves < b.point.moves : a.point.cost < b.point.cost;
  });
  LayerChoice choice;
  choice.points.push_back({0, judge.ticks(layer, seconds.sum()), {}});
  choice.rows.emplace_back(present.begin(), present.end());
  for (Candidate& candidate : candidates) {
    if (candidate.point.cost >= choice.points.back().cost) continue;
    choice.points.push_back(candidate.point);
    choice.rows.push_back(std::move(candidate.row));
  }
  return choice;
}

// Nothing is there yet: the best that a search from linear placement finds, copies included.
std::vector<std::int32_t> first_row(const PlacingQuestion& question, const LayerProblem& problem, SlotRow linear,
                                    std::size_t layer) {
  Assignment start(problem.expert_count());
  for (std::size_t placed = 0; placed < start.size(); ++placed)
    start[placed] = static_cast<std::int32_t>(placed / question.slots_per_device);
  if (problem.has_copies())
    separate_copies(start, problem.expert_of_copy(), std::vector<double>(start.size(), 0.0), problem.device_count());
  StartResult found =
      run_start(problem, start, RandomStream{question.seed, layer}, StartRule{.iterations = question.iterations});
  order_copies(found.assignment, problem.expert_of_copy());
  return arranged(linear, found.assignment, problem.expert_of_copy(), question.slots_per_device);
}

// Expert s % E in slot s, as engines begin.
Matrix<std::int32_t> linear_map(std::size_t layers, std::size_t slots, std::size_t experts) {
  Matrix<std::int32_t> map(layers, slots);
  for (std::size_t layer = 0; layer < layers; ++layer)
    for (std::size_t slot = 0; slot < slots; ++slot) map(layer, slot) = static_cast<std::int32_t>(slot % experts);
  return map;
}

PlacingAnswer place_first(const CostModel& model, const PlacingQuestion& question) {
  const std::size_t layers = question.searched.layer_count();
  const std::size_t slots = question.slots_per_device * model.device_count();
  const Matrix<std::int32_t> linear = linear_map(layers, slots, question.searched.expert_count());
  const std::vector<Ways> ways = ways_of(model, question);
  const Judge judge(model, question);
  PlacingAnswer answer{.map = Matrix<std::int32_t>(layers, slots), .changed_layers = layers};
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const std::vector<std::int32_t> row = first_row(question, ways[layer].front(), linear.row(layer), layer);
    const SlotSeconds seconds = judge.seconds(layer, linear.row(layer));
    answer.present_s += judge.mean_seconds(judge.ticks(layer, seconds.sum()));
    answer.placed_s += judge.mean_seconds(judge.ticks(layer, seconds.sum_of(row)));
    std::ranges::copy(row, answer.map.row(layer).begin());
  }
  return answer;
}

}  // namespace

PlacingAnswer place_experts(const CostModel& model, const PlacingQuestion& question) {
  if (question.present.rows() == 0) return place_first(model, question);
  const std::size_t layers = question.searched.layer_count();
  for (std::size_t layer = 0; layer < layers; ++layer)
    check_slots(question.present.row(layer), layer, question.searched.expert_count());
  const std::vector<Ways> ways = ways_of(model, question);
  const Judge judge(model, question);
  std::vector<LayerChoice> choices;
  std::vector<std::vector<RemapPoint>> fronts;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    choices.push_back(choice_of(question, ways[layer], judge, layer));
    fronts.push_back(choices.back().points);
  }
  const std::vector<std::size_t> chosen = choose_points(fronts, judge.move_ticks(), question.max_total_moves);
  PlacingAnswer answer{.map = question.present};
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const RemapPoint& point = fronts[layer][chosen[layer]];
    answer.present_s += judge.mean_seconds(fronts[layer].front().cost);
    answer.placed_s += judge.mean_seconds(point.cost);
    answer.moves += point.moves;
    answer.changed_layers += chosen[layer] > 0;
    std::ranges::copy(choices[layer].rows[chosen[layer]], answer.map.row(layer).begin());
  }
  return answer;
}

}  // namespace gem
