#include "verification/mpi_expert_layer.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <chrono>
#include <limits>

#include "base/error.hpp"

namespace gem {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

std::span<float> row_of(std::vector<float>& rows, std::size_t index, std::size_t size) {
  return {rows.data() + index * size, size};
}

// 1 / copies.
std::vector<float> mean_weights(std::span<const std::uint32_t> copies) {
  std::vector<float> weights;
  for (std::uint32_t count : copies) weights.push_back(count > 0 ? 1.0f / static_cast<float>(count) : 0.0f);
  return weights;
}

}  // namespace

MpiExpertLayer::MpiExpertLayer(Communicator communicator, MoeDevice& device, std::size_t hidden_size, Turns turns)
    : communicator_(communicator), device_(device), hidden_size_(hidden_size), turns_(turns) {}

void MpiExpertLayer::prepare(std::size_t layer, const TokenRoutes& routes, std::span<const std::int32_t> resident) {
  layer_ = layer;
  routes_ = routes;
  tokens_per_slot_ = tokens_per_slot(routes_, resident);
  copies_ = copies_per_token(routes_);
  for (std::size_t local = home_rows_.size() / hidden_size_; local < routes_.home_tokens.size(); ++local)
    for (std::size_t column = 0; column < hidden_size_; ++column)
      home_rows_.push_back(token_value(routes_.home_tokens[local], column));

  sent_rows_.resize(routes_.send_tokens.size() * hidden_size_);
  received_rows_.resize(routes_.expert_row_of_received.size() * hidden_size_);
  expert_rows_.resize(received_rows_.size());
  expert_outputs_.resize(received_rows_.size());
  outputs_.resize(routes_.home_tokens.size() * hidden_size_);
}

void MpiExpertLayer::dispatch() {
  for (std::size_t i = 0; i < routes_.send_tokens.size(); ++i)
    std::ranges::copy(row_of(home_rows_, routes_.send_tokens[i], hidden_size_), &sent_rows_[i * hidden_size_]);
  communicator_.exchange_rows(sent_rows_, routes_.send_counts, received_rows_, routes_.receive_counts, hidden_size_);
  for (std::size_t i = 0; i < routes_.expert_row_of_received.size(); ++i)
    std::ranges::copy(row_of(received_rows_, i, hidden_size_),
                      &expert_rows_[routes_.expert_row_of_received[i] * hidden_size_]);
}

void MpiExpertLayer::combine(std::span<const float> pair_weight) {
  for (std::size_t i = 0; i < routes_.expert_row_of_received.size(); ++i)
    std::ranges::copy(row_of(expert_outputs_, routes_.expert_row_of_received[i], hidden_size_),
                      &received_rows_[i * hidden_size_]);
  communicator_.exchange_rows(received_rows_, routes_.receive_counts, sent_rows_, routes_.send_counts, hidden_size_);
  std::ranges::fill(outputs_, 0.0f);
  for (const std::size_t i : routes_.sum_order) {
    const std::size_t local = routes_.send_tokens[i];
    for (std::size_t column = 0; column < hidden_size_; ++column)
      outputs_[local * hidden_size_ + column] += pair_weight[local] * sent_rows_[i * hidden_size_ + column];
  }
}

LayerTimes MpiExpertLayer::run() {
  LayerTimes times;
  communicator_.barrier();
  const auto begin = Clock::now();
  dispatch();
  const auto dispatched = Clock::now();
  turns_.run([&] { times.compute_s = device_.compute(layer_, tokens_per_slot_, expert_rows_, expert_outputs_); });
  // Waiting for slower ranks must not count as exchange.
  communicator_.barrier();
  const auto computed = Clock::now();
  combine(mean_weights(copies_));
  const auto combined = Clock::now();
  times.dispatch_s = seconds_between(begin, dispatched);
  times.combine_s = seconds_between(computed, combined);
  times.layer_s = turns_.one_at_a_time() ? std::numeric_limits<double>::quiet_NaN()
                                         : communicator_.max(seconds_between(begin, combined));
  return times;
}

double MpiExpertLayer::copy_experts(const ExpertTransfers& transfers, std::size_t expert_bytes) {
  const std::size_t size = (expert_bytes + sizeof(float) - 1) / sizeof(float);
  sent_experts_.resize(transfers.sent.size() * size);
  received_experts_.assign(transfers.received.size() * size, -1.0f);
  for (std::size_t i = 0; i < transfers.sent.size(); ++i)
    std::ranges::fill(row_of(sent_experts_, i, size), static_cast<float>(expert_byte(transfers.sent[i])));
  communicator_.barrier();
  const auto begin = Clock::now();
  communicator_.exchange_rows(sent_experts_, transfers.send_counts, received_experts_, transfers.receive_counts, size);
  const auto end = Clock::now();
  for (std::size_t i = 0; i < transfers.received.size(); ++i) {
    const std::span<float> expert = row_of(received_experts_, i, size);
    const auto wanted = static_cast<float>(expert_byte(transfers.received[i]));
    if (!std::ranges::all_of(expert, [&](float value) { return value == wanted; }))
      throw SystemError(fmt::format("expert {} was copied, but other bytes arrived", transfers.received[i]));
  }
  return transfers.sent.empty() && transfers.received.empty() ? 0.0 : seconds_between(begin, end);
}

std::uint64_t MpiExpertLayer::count_wrong(std::uint64_t& checked) {
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
      compare(expert_rows_[row * hidden_size_ + column], token_value(routes_.expert_row_tokens[row], column));
  // Weights of 1 keep sums of few multiples of 1/8 exact: each token must come back as often as it was sent.
  expert_outputs_ = expert_rows_;
  std::ranges::fill(sent_rows_, -77.0f);
  combine(std::vector<float>(copies_.size(), 1.0f));
  for (std::size_t local = 0; local < copies_.size(); ++local)
    for (std::size_t column = 0; column < hidden_size_; ++column)
      compare(outputs_[local * hidden_size_ + column],
              static_cast<float>(copies_[local]) * token_value(routes_.home_tokens[local], column));
  return wrong;
}

}  // namespace gem
