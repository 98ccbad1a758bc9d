#include "adaptation/change_search.hpp"

#include <algorithm>
#include <functional>

#include "base/statistics.hpp"
#include "cost/cost_model.hpp"
#include "model/device_selection.hpp"
#include "search/placement.hpp"
#include "search/remap.hpp"

namespace gem {
namespace {

// Seconds of the slowest device, [step].
std::vector<double> step_seconds(const LayerProblem& problem, const Assignment& assignment) {
  const Placement placement(problem, assignment);
  std::vector<double> seconds(problem.step_count(), 0.0);
  for (std::size_t step = 0; step < seconds.size(); ++step)
    for (std::size_t stage = 0; stage < problem.stage_count(); ++stage)
      seconds[step] += placement.column_cost()[problem.first_column(stage) + step] * problem.tables().tick_s();
  return seconds;
}

// That the mean is above, at 95 % confidence, with blocks of so many steps as observations.
double lower_bound(const std::vector<double>& values, std::size_t block) {
  std::vector<double> blocks;
  for (std::size_t begin = 0; begin + block <= values.size(); begin += block)
    blocks.push_back(mean(std::span(values).subspan(begin, block)));
  return mean_lower_bound(blocks, 0.95);
}

// Layers that are searched in a piece of so much work, at least one.
std::size_t piece(const LoadTrace& trace, std::size_t work, std::size_t left) {
  return std::clamp<std::size_t>(work / (trace.step_count() * trace.expert_count()), 1, left);
}

void take_off(std::size_t& work, const LoadTrace& trace, std::size_t layers) {
  work -= std::min(work, layers * trace.step_count() * trace.expert_count());
}

}  // namespace

ChangeSearch::ChangeSearch(const LatencyProfile& profile, const AdaptationOptions& options, ChangeQuestion question)
    : options_(options),
      question_(std::move(question)),
      profile_(slowed_down(profile, question_.slowdowns)),
      gains_s_(question_.judged.step_count(), 0.0) {}

Assignment ChangeSearch::best_on(const LayerProblem& problem, std::size_t layer) const {
  const std::int64_t price = move_price(problem, options_.move_s, question_.horizon_steps);
  return best_remap(problem, device_contents(question_.present[layer], profile_.device_count()),
                    {.max_moves = options_.max_moves, .move_ticks = price, .seed = options_.seed}, question_.iterations)
      .assignment;
}

void ChangeSearch::judge(std::size_t first, std::size_t count) {
  std::vector<std::size_t> layers;
  for (std::size_t layer = first; layer < first + count; ++layer) layers.push_back(layer);
  const CostModel model(profile_);
  const std::vector<LayerProblem> searched = layer_problems(model, chosen_layers(question_.searched, layers)),
                                  judged = layer_problems(model, chosen_layers(question_.judged, layers));
  for (std::size_t i = 0; i < count; ++i) {
    const Assignment& present = question_.present[layers[i]];
    Assignment found = best_on(searched[i], layers[i]);
    std::size_t moves = 0;
    for (std::size_t expert = 0; expert < found.size(); ++expert) moves += found[expert] != present[expert] ? 1 : 0;
    if (moves == 0) continue;
    const std::vector<double> now_s = step_seconds(judged[i], present), then_s = step_seconds(judged[i], found);
    const double own_price_s = static_cast<double>(moves) * options_.move_s / question_.horizon_steps;
    const double gain_s = mean(now_s) - mean(then_s) - own_price_s;
    if (gain_s <= 0.0) continue;
    for (std::size_t t = 0; t < gains_s_.size(); ++t) gains_s_[t] += now_s[t] - then_s[t];
    price_s_ += own_price_s;
    candidates_.push_back({layers[i], gain_s, std::move(found)});
  }
}

void ChangeSearch::search_on_all(std::size_t first, std::size_t count) {
  std::vector<std::size_t> layers;
  for (std::size_t c = first; c < first + count; ++c) layers.push_back(candidates_[c].layer);
  const CostModel model(profile_);
  const std::vector<LayerProblem> problems = layer_problems(model, chosen_layers(question_.all, layers));
  for (std::size_t i = 0; i < count; ++i) candidates_[first + i].assignment = best_on(problems[i], layers[i]);
}

bool ChangeSearch::pays() const {
  return !candidates_.empty() && lower_bound(gains_s_, question_.block_steps) > price_s_;
}

bool ChangeSearch::advance(std::size_t& work) {
  while (judged_ < question_.present.size() && work > 0) {
    const std::size_t count = piece(question_.searched, work, question_.present.size() - judged_);
    judge(judged_, count);
    judged_ += count;
    take_off(work, question_.searched, count);
  }
  if (judged_ < question_.present.size()) return false;
  if (!pays() || question_.all.step_count() == 0) return true;
  while (searched_ < candidates_.size() && work > 0) {
    const std::size_t count = piece(question_.all, work, candidates_.size() - searched_);
    search_on_all(searched_, count);
    searched_ += count;
    take_off(work, question_.all, count);
  }
  return searched_ == candidates_.size();
}

std::vector<LayerChange> ChangeSearch::changes() const {
  if (!pays()) return {};
  std::vector<Candidate> best = candidates_;
  std::ranges::stable_sort(best, std::greater<>(), &Candidate::gain_s);
  std::vector<LayerChange> changes;
  for (Candidate& candidate : best)
    if (candidate.assignment != question_.present[candidate.layer])
      changes.push_back({candidate.layer, std::move(candidate.assignment)});
  return changes;
}

}  // namespace gem
