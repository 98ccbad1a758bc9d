#include "verification/expert_parallel_layer.hpp"

#include <algorithm>
#include <chrono>
#include <limits>

namespace gem {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

std::span<float> row_of(std::vector<float>& rows, std::size_t index, std::size_t size) {
  return {rows.data() + index * size, size};
}

}  // namespace

float token_value(std::size_t step, std::size_t layer, std::uint32_t token, std::size_t column) {
  // A multiplicative hash (Knuth) of all four: neighbours in any of them differ.
  const std::uint64_t key = ((step * 1000003 + layer) * 1000003 + token) * 1000003 + column;
  const std::uint64_t mixed = (key * 0x9e3779b97f4a7c15ull) >> 40;
  return (static_cast<float>(mixed % 17) - 8.0f) / 8.0f;
}

ExpertParallelLayer::ExpertParallelLayer(Communicator communicator, MoeDevice& device, std::size_t hidden_size,
                                         Turns turns)
    : communicator_(communicator), device_(device), hidden_size_(hidden_size), turns_(turns) {}

void ExpertParallelLayer::prepare(std::size_t step, std::size_t layer, const TokenRoutes& routes,
                                  std::span<const std::int32_t> resident) {
  step_ = step;
  layer_ = layer;
  routes_ = routes;
  tokens_per_slot_.clear();
  for (std::int32_t expert : resident)
    tokens_per_slot_.push_back(routes_.tokens_per_expert[static_cast<std::size_t>(expert)]);

  const std::size_t local_count = routes_.home_tokens.size();
  home_rows_.resize(local_count * hidden_size_);
  for (std::size_t local = 0; local < local_count; ++local)
    for (std::size_t column = 0; column < hidden_size_; ++column)
      home_rows_[local * hidden_size_ + column] = token_value(step, layer, routes_.home_tokens[local], column);
  pair_count_.assign(local_count, 0);
  for (std::uint32_t local : routes_.send_tokens) ++pair_count_[local];
  pair_weight_.assign(local_count, 0.0f);
  for (std::size_t local = 0; local < local_count; ++local)
    if (pair_count_[local] > 0) pair_weight_[local] = 1.0f / static_cast<float>(pair_count_[local]);

  sent_rows_.resize(routes_.send_tokens.size() * hidden_size_);
  received_rows_.resize(routes_.expert_row_of_received.size() * hidden_size_);
  expert_rows_.resize(received_rows_.size());
  expert_outputs_.resize(received_rows_.size());
  outputs_.resize(home_rows_.size());
}

void ExpertParallelLayer::dispatch() {
  for (std::size_t i = 0; i < routes_.send_tokens.size(); ++i)
    std::ranges::copy(row_of(home_rows_, routes_.send_tokens[i], hidden_size_), &sent_rows_[i * hidden_size_]);
  communicator_.exchange_rows(sent_rows_, routes_.send_counts, received_rows_, routes_.receive_counts, hidden_size_);
  for (std::size_t i = 0; i < routes_.expert_row_of_received.size(); ++i)
    std::ranges::copy(row_of(received_rows_, i, hidden_size_),
                      &expert_rows_[routes_.expert_row_of_received[i] * hidden_size_]);
}

void ExpertParallelLayer::combine(std::span<const float> pair_weight) {
  for (std::size_t i = 0; i < routes_.expert_row_of_received.size(); ++i)
    std::ranges::copy(row_of(expert_outputs_, routes_.expert_row_of_received[i], hidden_size_),
                      &received_rows_[i * hidden_size_]);
  communicator_.exchange_rows(received_rows_, routes_.receive_counts, sent_rows_, routes_.send_counts, hidden_size_);
  std::ranges::fill(outputs_, 0.0f);
  for (std::size_t i = 0; i < routes_.send_tokens.size(); ++i) {
    const std::size_t local = routes_.send_tokens[i];
    for (std::size_t column = 0; column < hidden_size_; ++column)
      outputs_[local * hidden_size_ + column] += pair_weight[local] * sent_rows_[i * hidden_size_ + column];
  }
}

LayerTimes ExpertParallelLayer::run() {
  LayerTimes times;
  communicator_.barrier();
  const auto begin = Clock::now();
  dispatch();
  const auto dispatched = Clock::now();
  turns_.run([&] { times.compute_s = device_.compute(layer_, tokens_per_slot_, expert_rows_, expert_outputs_); });
  const auto computed = Clock::now();
  combine(pair_weight_);
  const auto combined = Clock::now();
  times.dispatch_s = seconds_between(begin, dispatched);
  times.combine_s = seconds_between(computed, combined);
  times.layer_s = turns_.one_at_a_time() ? std::numeric_limits<double>::quiet_NaN()
                                         : communicator_.max(seconds_between(begin, combined));
  return times;
}

std::uint64_t ExpertParallelLayer::count_wrong(std::uint64_t& checked) {
  std::uint64_t wrong = 0;
  const auto compare = [&](float found, float expected) {
    wrong += found != expected;
    ++checked;
  };
  // Poison what must be written, so that a row that never arrives is seen.
  std::ranges::fill(received_rows_, -77.0f);
  std::ranges::fill(expert_rows_, -77.0f);
  dispatch();
  for (std::size_t row = 0; row < routes_.expert_row_tokens.size(); ++row)
    for (std::size_t column = 0; column < hidden_size_; ++column)
      compare(expert_rows_[row * hidden_size_ + column],
              token_value(step_, layer_, routes_.expert_row_tokens[row], column));
  // Weights of 1 keep sums of few multiples of 1/8 exact: each token must come back as often as it was sent.
  expert_outputs_ = expert_rows_;
  std::ranges::fill(sent_rows_, -77.0f);
  combine(std::vector<float>(pair_weight_.size(), 1.0f));
  for (std::size_t local = 0; local < pair_count_.size(); ++local)
    for (std::size_t column = 0; column < hidden_size_; ++column)
      compare(outputs_[local * hidden_size_ + column],
              static_cast<float>(pair_count_[local]) * token_value(step_, layer_, routes_.home_tokens[local], column));
  return wrong;
}

}  // namespace gem
