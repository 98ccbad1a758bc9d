#include "search/redundant_experts.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "base/statistics.hpp"
#include "search/packing.hpp"

namespace gem {
namespace {

/// [device, expert] copies held.
Matrix<std::int32_t> held_copies(const Assignment& assignment, std::span<const std::int32_t> expert_of_copy,
                                 std::size_t device_count) {
  Matrix<std::int32_t> held(device_count, static_cast<std::size_t>(expert_of_copy.back()) + 1);
  for (std::size_t copy = 0; copy < assignment.size(); ++copy)
    ++held(static_cast<std::size_t>(assignment[copy]), static_cast<std::size_t>(expert_of_copy[copy]));
  return held;
}

// Copies of the expert with the least load on all devices, then of the next, until `number` are spent: few tokens
// make few copies active, however many there are.
void copy_lightest(std::span<std::int32_t> counts, std::span<const double> loads, std::size_t number,
                   std::size_t device_count) {
  std::vector<std::size_t> order(counts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return loads[a] < loads[b]; });
  for (const std::size_t expert : order) {
    const std::size_t added = std::min(number, device_count - static_cast<std::size_t>(counts[expert]));
    counts[expert] += static_cast<std::int32_t>(added);
    number -= added;
  }
}

// What an expert's tokens in the steps of a trace come to, [expert].
using LoadOfSteps = double (*)(std::span<const double> tokens);

std::vector<double> loads_by(LoadOfSteps load_of, const LoadTrace& trace, std::size_t layer) {
  std::vector<double> loads, tokens(trace.step_count());
  for (std::size_t expert = 0; expert < trace.expert_count(); ++expert) {
    for (std::size_t step = 0; step < tokens.size(); ++step) tokens[step] = trace.counts(step, layer, expert);
    loads.push_back(load_of(tokens));
  }
  return loads;
}

double peak(std::span<const double> tokens) {
  return quantile(tokens, 0.99);
}

// As FlashLB's choice, a point that a normal distribution is below in three of four steps.
double upper_quartile(std::span<const double> tokens) {
  return mean(tokens) + 0.674 * standard_deviation(tokens);
}

// The copies of one step that have the most tokens.
struct LargestCopies {
  std::size_t expert = 0, second_expert = 0;
  double tokens = -1.0, second_tokens = -1.0;
};

LargestCopies largest_copies(std::span<const std::uint32_t> tokens, std::span<const std::int32_t> counts) {
  LargestCopies largest;
  for (std::size_t expert = 0; expert < counts.size(); ++expert) {
    const double of_a_copy = static_cast<double>(tokens[expert]) / counts[expert];
    if (of_a_copy > largest.tokens)
      largest = {expert, largest.expert, of_a_copy, largest.tokens};
    else if (of_a_copy > largest.second_tokens)
      largest.second_expert = expert, largest.second_tokens = of_a_copy;
  }
  return largest;
}

// One more copy, `number` times, of the expert for which the sum over steps of the largest copy's tokens falls the most
// (as SGLang's policy with a time axis replicates).
void copy_largest(std::span<std::int32_t> counts, const LoadTrace& trace, std::size_t layer, std::size_t number,
                  std::size_t most_copies) {
  std::vector<LargestCopies> largest;
  for (std::size_t step = 0; step < trace.step_count(); ++step)
    largest.push_back(largest_copies(trace.counts.row(step, layer), counts));
  for (std::size_t i = 0; i < number; ++i) {
    std::vector<double> saved(counts.size(), 0.0);
    for (std::size_t step = 0; step < largest.size(); ++step) {
      const LargestCopies& of_step = largest[step];
      const double split =
          static_cast<double>(trace.counts(step, layer, of_step.expert)) / (counts[of_step.expert] + 1);
      saved[of_step.expert] += of_step.tokens - std::max(of_step.second_tokens, split);
    }
    std::size_t best = counts.size();
    for (std::size_t expert = 0; expert < counts.size(); ++expert)
      if (counts[expert] < static_cast<std::int32_t>(most_copies) &&
          (best == counts.size() || saved[expert] > saved[best]))
        best = expert;
    ++counts[best];
    for (std::size_t step = 0; step < largest.size(); ++step)
      if (largest[step].expert == best || largest[step].second_expert == best)
        largest[step] = largest_copies(trace.counts.row(step, layer), counts);
  }
}

// `copy` spends the copies of one layer.
CopyCounts each_layer(const LoadTrace& trace,
                      const std::function<void(std::size_t layer, std::span<std::int32_t> counts)>& copy) {
  CopyCounts counts(trace.layer_count(), trace.expert_count(), 1);
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) copy(layer, counts.row(layer));
  return counts;
}

}  // namespace

void copy_heaviest(std::span<std::int32_t> counts, std::span<const double> loads, std::size_t number,
                   std::size_t most_copies) {
  const auto load_of_a_copy = [&](std::size_t expert) { return loads[expert] / counts[expert]; };
  for (std::size_t i = 0; i < number; ++i) {
    std::size_t heaviest = counts.size();
    for (std::size_t expert = 0; expert < counts.size(); ++expert) {
      if (counts[expert] == static_cast<std::int32_t>(most_copies)) continue;
      if (heaviest == counts.size() || load_of_a_copy(expert) > load_of_a_copy(heaviest)) heaviest = expert;
    }
    ++counts[heaviest];
  }
}

CopyCounts choose_copies(const LoadTrace& trace, std::size_t redundant_experts, std::size_t device_count) {
  return each_layer(trace, [&](std::size_t layer, std::span<std::int32_t> counts) {
    copy_heaviest(counts, mean_loads(trace, layer), redundant_experts, device_count);
  });
}

std::vector<CopyCounts> ways_to_copy(const LoadTrace& trace, std::size_t redundant_experts, std::size_t device_count) {
  std::vector<CopyCounts> ways;
  const auto add = [&](std::size_t quarters, LoadOfSteps load_of) {
    const std::size_t useful = redundant_experts * quarters / 4;
    ways.push_back(each_layer(trace, [&](std::size_t layer, std::span<std::int32_t> counts) {
      copy_heaviest(counts, loads_by(load_of, trace, layer), useful, device_count);
      copy_lightest(counts, mean_loads(trace, layer), redundant_experts - useful, device_count);
    }));
  };
  for (std::size_t quarters = 0; quarters <= 4; ++quarters) add(quarters, mean);
  add(4, peak);
  for (std::size_t quarters = 1; quarters <= 4; ++quarters) add(quarters, standard_deviation);
  add(4, upper_quartile);
  ways.push_back(each_layer(trace, [&](std::size_t layer, std::span<std::int32_t> counts) {
    copy_largest(counts, trace, layer, redundant_experts, device_count);
  }));
  return ways;
}

void separate_copies(Assignment& assignment, std::span<const std::int32_t> expert_of_copy,
                     std::span<const double> loads, std::size_t device_count) {
  Matrix<std::int32_t> held = held_copies(assignment, expert_of_copy, device_count);
  const auto count_on = [&](std::int32_t device, std::int32_t expert) -> std::int32_t& {
    return held(static_cast<std::size_t>(device), static_cast<std::size_t>(expert));
  };
  for (std::size_t copy = 0; copy < assignment.size(); ++copy) {
    const std::int32_t device = assignment[copy], expert = expert_of_copy[copy];
    if (count_on(device, expert) < 2) continue;
    std::size_t partner = assignment.size();
    for (std::size_t other = 0; other < assignment.size(); ++other) {
      if (count_on(assignment[other], expert) > 0 || count_on(device, expert_of_copy[other]) > 0) continue;
      if (partner == assignment.size() || std::abs(loads[other] - loads[copy]) < std::abs(loads[partner] - loads[copy]))
        partner = other;
    }
    if (partner == assignment.size()) {
      // As good as never, where nearly all experts have copies. In turn, no expert's copies meet.
      for (std::size_t c = 0; c < assignment.size(); ++c) assignment[c] = static_cast<std::int32_t>(c % device_count);
      return;
    }
    for (const std::size_t moved : {copy, partner}) --count_on(assignment[moved], expert_of_copy[moved]);
    std::swap(assignment[copy], assignment[partner]);
    for (const std::size_t moved : {copy, partner}) ++count_on(assignment[moved], expert_of_copy[moved]);
  }
}

void order_copies(Assignment& assignment, std::span<const std::int32_t> expert_of_copy) {
  if (expert_of_copy.empty()) return;
  for (std::size_t begin = 0, end; begin < assignment.size(); begin = end) {
    for (end = begin + 1; end < assignment.size() && expert_of_copy[end] == expert_of_copy[begin];) ++end;
    std::sort(assignment.begin() + static_cast<std::ptrdiff_t>(begin),
              assignment.begin() + static_cast<std::ptrdiff_t>(end));
  }
}

CopyCounts copies_of(const Mapping& mapping) {
  if (mapping.redundant_count() == 0) return {};
  CopyCounts counts(mapping.layer_count(), mapping.expert_count(), 1);
  for (std::size_t layer = 0; layer < mapping.layer_count(); ++layer)
    for (const RedundantCopy& copy : mapping.redundant.row(layer))
      ++counts(layer, static_cast<std::size_t>(copy.expert));
  return counts;
}

Assignment assignment_of(const Mapping& mapping, std::size_t layer) {
  const ExpertHomes homes = homes_of(mapping, layer);
  Assignment assignment;
  for (std::size_t expert = 0; expert < homes.expert_count(); ++expert)
    assignment.insert(assignment.end(), homes.of(expert).begin(), homes.of(expert).end());
  return assignment;
}

std::vector<Assignment> assignments_of(const Mapping& mapping) {
  std::vector<Assignment> layers;
  for (std::size_t layer = 0; layer < mapping.layer_count(); ++layer) layers.push_back(assignment_of(mapping, layer));
  return layers;
}

Mapping mapping_of(const std::vector<Assignment>& layers, const CopyCounts& copy_counts, std::size_t device_count) {
  const bool has_copies = copy_counts.rows() > 0;
  const auto size_of = [](const Assignment& assignment) { return assignment.size(); };
  const std::size_t experts = has_copies ? copy_counts.columns() : std::ranges::max(layers, {}, size_of).size();
  Mapping mapping;
  mapping.device_count = device_count;
  mapping.expert_to_device = Matrix<std::int32_t>(layers.size(), experts, -1);
  if (has_copies) mapping.redundant = Matrix<RedundantCopy>(layers.size(), layers.front().size() - experts);
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    std::size_t copy = 0, further = 0;
    const std::size_t own = has_copies ? experts : layers[layer].size();
    mapping.experts_of_layer.push_back(static_cast<std::int32_t>(own));
    for (std::size_t expert = 0; expert < own; ++expert) {
      mapping.expert_to_device(layer, expert) = layers[layer][copy++];
      for (std::int32_t count = has_copies ? copy_counts(layer, expert) : 1; count > 1; --count)
        mapping.redundant(layer, further++) = {static_cast<std::int32_t>(expert), layers[layer][copy++]};
    }
  }
  mapping.experts_of_layer = shortest(std::move(mapping.experts_of_layer), experts);
  return mapping;
}

}  // namespace gem
