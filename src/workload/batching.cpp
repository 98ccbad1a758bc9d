#include "workload/batching.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <deque>
#include <span>
#include <utility>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "workload/trace_size.hpp"

namespace gem {
namespace {

// What random streams are for: the second word of their keys.
constexpr std::uint64_t split_stream = 1;
constexpr std::uint64_t pass_stream = 2;
constexpr std::uint64_t start_stream = 3;
constexpr std::uint64_t step_stream = 4;
constexpr std::uint64_t group_stream = 5;

/// Tokens token .. end of a request are still to run.
struct Slot {
  std::size_t token = 0;
  std::size_t end = 0;
};

Slot slot_of(const Routing& routing, std::size_t request) {
  return {static_cast<std::size_t>(routing.request_offsets[request]),
          static_cast<std::size_t>(routing.request_offsets[request + 1])};
}

std::size_t length(const Routing& routing, std::size_t request) {
  const Slot whole = slot_of(routing, request);
  return whole.end - whole.token;
}

/// The endless line of requests: pass after pass, each in an order of its own.
class RequestLine {
 public:
  RequestLine(std::vector<std::size_t> requests, std::uint64_t seed) : requests_(std::move(requests)), seed_(seed) {}

  std::size_t next() {
    if (waiting_.empty()) waiting_ = next_pass();
    const std::size_t request = waiting_.front();
    waiting_.pop_front();
    return request;
  }

  /// All requests in the order of the next pass.
  std::deque<std::size_t> next_pass() {
    std::vector<std::size_t> order = requests_;
    RandomStream{seed_, pass_stream, pass_++}.shuffle(std::span(order));
    return {order.begin(), order.end()};
  }

  void append(std::size_t request) { waiting_.push_back(request); }

 private:
  std::vector<std::size_t> requests_;
  std::uint64_t seed_;
  std::uint64_t pass_ = 0;
  std::deque<std::size_t> waiting_;
};

/// Takes the first pass off the line and starts slot s of n at a random place within the s-th of n equal stretches of
/// its tokens; requests without a slot go back into line. Long requests are met as often as their length deserves.
std::vector<Slot> start_slots(const Routing& routing, RequestLine& line, std::size_t tokens_of_pass,
                              std::size_t slot_count, std::uint64_t seed) {
  RandomStream random{seed, start_stream};
  const double stretch = static_cast<double>(tokens_of_pass) / static_cast<double>(slot_count);
  std::vector<std::size_t> places;  // ascending
  for (std::size_t s = 0; s < slot_count; ++s) {
    const auto place = static_cast<std::size_t>((static_cast<double>(s) + random.uniform()) * stretch);
    places.push_back(std::min(place, tokens_of_pass - 1));  // rounding may touch the end
  }
  std::vector<Slot> slots;
  std::size_t begin = 0;
  for (const std::size_t request : line.next_pass()) {
    const Slot whole = slot_of(routing, request);
    const std::size_t end = begin + whole.end - whole.token;
    if (slots.size() == slot_count || places[slots.size()] >= end) line.append(request);
    while (slots.size() < slot_count && places[slots.size()] < end)
      slots.push_back({whole.token + places[slots.size()] - begin, whole.end});
    begin = end;
  }
  return slots;
}

/// Requests drawn with replacement, half as many as there are, for one step.
std::vector<std::size_t> draw_requests(const std::vector<std::size_t>& requests, RandomStream& random) {
  std::vector<std::size_t> drawn;
  for (std::size_t i = 0; i < (requests.size() + 1) / 2; ++i) drawn.push_back(requests[random.below(requests.size())]);
  return drawn;
}

/// Each slot at a random token of the requests, long ones as often as their length deserves.
void scatter_slots(const Routing& routing, const std::vector<std::size_t>& requests, RandomStream& random,
                   std::vector<Slot>& slots) {
  std::vector<std::size_t> ends;  // tokens of the requests up to each
  for (const std::size_t request : requests)
    ends.push_back((ends.empty() ? 0 : ends.back()) + length(routing, request));
  for (Slot& slot : slots) {
    const std::size_t place = random.below(ends.back());
    const auto at = static_cast<std::size_t>(std::ranges::upper_bound(ends, place) - ends.begin());
    slot = slot_of(routing, requests[at]);
    slot.token = slot.end - (ends[at] - place);
  }
}

/// Requests in groups of nearly as many tokens each, every one ascending: in an order shuffled by `seed` each request
/// goes to the group that has the fewest tokens so far.
std::vector<std::vector<std::size_t>> part_requests(const Routing& routing, std::vector<std::size_t> requests,
                                                    std::size_t group_count, std::uint64_t seed) {
  RandomStream{seed, group_stream}.shuffle(std::span(requests));
  std::vector<std::vector<std::size_t>> groups(group_count);
  std::vector<std::size_t> tokens(group_count, 0);
  for (const std::size_t request : requests) {
    const auto group = static_cast<std::size_t>(std::ranges::min_element(tokens) - tokens.begin());
    groups[group].push_back(request);
    tokens[group] += length(routing, request);
  }
  for (std::vector<std::size_t>& group : groups) std::ranges::sort(group);
  return groups;
}

/// The steps first, first + stride, ... of a trace.
struct StepChoice {
  std::size_t first;
  std::size_t stride;
};

/// Fills these steps of the trace, whose counts are 0, with tokens of the requests.
void add_steps(const Routing& routing, const BatchingOptions& options, const StepShape& shape,
               const std::vector<std::size_t>& requests, StepChoice choice, LoadTrace& trace) {
  const std::uint64_t seed = options.seed + choice.first;  // of each group its own
  RequestLine line(requests, seed);
  const bool decode = shape.phase == Phase::Decode;
  std::vector<Slot> slots = decode ? start_slots(routing, line, token_count(routing, requests), shape.tokens, seed)
                                   : std::vector<Slot>(1);  // all tokens of a chunk come from one line
  for (std::size_t step = choice.first; step < trace.step_count(); step += choice.stride) {
    if (options.resample) {
      RandomStream random{seed, step_stream, step};
      const std::vector<std::size_t> drawn = draw_requests(requests, random);
      scatter_slots(routing, drawn, random, slots);
      line = RequestLine(drawn, random.next());
    }
    for (std::size_t i = 0; i < shape.tokens; ++i) {
      Slot& slot = slots[decode ? i : 0];
      if (slot.token == slot.end) slot = slot_of(routing, line.next());
      for (std::size_t layer = 0; layer < routing.layer_count(); ++layer)
        for (const std::uint16_t expert : routing.experts(slot.token, layer))
          if (expert < routing.expert_count) ++trace.counts(step, layer, expert);
      ++slot.token;
    }
  }
}

}  // namespace

void describe(OptionList& options, BatchingOptions& batching) {
  options.group("Steps");
  options.add("phase", batching.phase, "how tokens are batched, whatever the routing's own phase")
      .without("the routing's own");
  options
      .add("batch-size", batching.batch_size, "N",
           "decode: slots of continuous batching, so tokens a step; a request leaves when done, the next one enters at "
           "once")
      .range(0, most_tokens_of_step)
      .without("256");
  options
      .add("chunk-tokens", batching.chunk_tokens, "N",
           "prefill: tokens a step, cut from requests laid one after the other")
      .range(0, most_tokens_of_step)
      .without("512");
  Option& steps =
      options
          .add("steps", batching.steps, "N",
               "steps to make, all of them full; requests are drawn again, in shuffled passes, as often as needed")
          .range(0, 1e8);
  if (batching.steps == 0) steps.without("as many as the requests fill once");
  options.add(
      "resample", batching.resample,
      "steps to search on only: each is of requests drawn anew with replacement, half as many draws as there "
      "are requests. On requests never seen, a mapping searched on 512 of them took 0.3 to 2.3 % of linear's time less "
      "in decode steps of 256 tokens, up to 0.5 % less in smaller ones, and in prefill as much or up to 1.3 % more");
  options
      .add("request-groups", batching.request_groups, "N",
           "part the requests into N groups; each step is made of one group's alone, so that some steps can be "
           "searched on and others, of other requests, scored on")
      .range(1, 1000);
  options.add("split", batching.split, "F", "the train part's share of the tokens").above(0, 0.9999);
  options.add("split-seed", batching.split_seed, "N",
              "seed of which requests are the train part; keep it the same for train and test");
  options.add("seed", batching.seed, "N", "seed of the order of the requests and the start of the slots");
}

StepShape step_shape(const std::string& routing_phase, const BatchingOptions& options) {
  const OptionName asked = option_name(&BatchingOptions::phase), batch_size = option_name(&BatchingOptions::batch_size),
                   chunk_tokens = option_name(&BatchingOptions::chunk_tokens);
  if (!options.phase && !says(routing_phase, Phase::Decode) && !says(routing_phase, Phase::Prefill))
    throw option_error(asked, "phase '{1}' is unknown; say {0} decode or {0} prefill", routing_phase);
  const Phase own = says(routing_phase, Phase::Decode) ? Phase::Decode : Phase::Prefill;
  const Phase phase = options.phase.value_or(own);
  const std::string whose = options.phase ? spelled(asked) : "the routing's phase";
  if (phase == Phase::Decode && options.chunk_tokens > 0)
    throw option_error(chunk_tokens,
                       "{} is for prefill, but {} is decode; use {}, or {} prefill to batch the tokens as prefill",
                       whose, batch_size, asked);
  if (phase == Phase::Prefill && options.batch_size > 0)
    throw option_error(batch_size,
                       "{} is for decode, but {} is prefill; use {}, or {} decode to batch the tokens as decode", whose,
                       chunk_tokens, asked);
  if (phase == Phase::Decode) return {phase, options.batch_size > 0 ? options.batch_size : 256};
  return {phase, options.chunk_tokens > 0 ? options.chunk_tokens : 512};
}

std::vector<std::size_t> requests_of_part(const Routing& routing, RequestPart part, double split,
                                          std::uint64_t split_seed) {
  if (!(split > 0.0 && split < 1.0))
    throw UsageError(
        fmt::format("a split of {:g} is not between 0 and 1; it is the train part's share of the tokens", split));
  std::vector<std::size_t> requests;
  for (std::size_t request = 0; request < routing.request_count(); ++request)
    if (length(routing, request) > 0) requests.push_back(request);
  if (requests.empty()) throw DataError("the routing of task '" + routing.task + "' has no request with a token");
  if (part == RequestPart::All) return requests;

  if (requests.size() < 2)
    throw UsageError("the routing of task '" + routing.task +
                     "' has one request only, which cannot be parted into train and test; use " +
                     on_command_line("part") + " all");
  RandomStream{split_seed, split_stream}.shuffle(std::span(requests));
  std::vector<std::size_t> chosen;
  double train_tokens = 0.0;
  double test_tokens = 0.0;
  for (const std::size_t request : requests) {
    const bool to_train = train_tokens * (1.0 - split) <= test_tokens * split;
    (to_train ? train_tokens : test_tokens) += static_cast<double>(length(routing, request));
    if (to_train == (part == RequestPart::Train)) chosen.push_back(request);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

std::size_t token_count(const Routing& routing, const std::vector<std::size_t>& requests) {
  std::size_t tokens = 0;
  for (const std::size_t request : requests) tokens += length(routing, request);
  return tokens;
}

LoadTrace batch_routing(const Routing& routing, const BatchingOptions& options) {
  if (options.resample && options.part == RequestPart::Test)
    throw option_error(option_name(&BatchingOptions::resample),
                       "{} is for steps to search on; the test part is what a server would run, leave the option out");
  const StepShape shape = step_shape(routing.phase, options);
  const std::vector<std::size_t> requests = requests_of_part(routing, options.part, options.split, options.split_seed);
  const std::size_t group_count = options.request_groups;
  if (group_count > requests.size())
    throw option_error(option_name(&BatchingOptions::request_groups), "{} {} is more than the {} requests (part {})",
                       group_count, requests.size(), word_of(options.part));
  const std::size_t whole_steps = token_count(routing, requests) / shape.tokens;
  const std::size_t steps = options.steps > 0 ? options.steps : std::max(group_count, whole_steps);
  check_trace_size({steps, routing.layer_count(), routing.expert_count, shape.tokens});

  LoadTrace trace;
  trace.model = routing.model;
  trace.task = routing.task;
  trace.phase = word_of(shape.phase);
  trace.part = word_of(options.part);
  if (options.resample) trace.sequence = "resampled";
  trace.top_k = routing.top_k;
  trace.tokens_per_step = shape.tokens;
  trace.layer_ids = routing.layer_ids;
  trace.experts_of_layer = routing.experts_of_layer;
  trace.counts = Cube<std::uint32_t>(steps, routing.layer_count(), routing.expert_count);
  if (group_count == 1) {
    add_steps(routing, options, shape, requests, {0, 1}, trace);
    return trace;
  }
  const std::vector<std::vector<std::size_t>> groups =
      part_requests(routing, requests, group_count, options.split_seed);
  for (std::size_t group = 0; group < group_count; ++group)
    add_steps(routing, options, shape, groups[group], {group, group_count}, trace);
  for (std::size_t step = 0; step < steps; ++step)
    trace.request_groups.push_back(static_cast<std::int32_t>(step % group_count));
  return trace;
}

BatchingOptions scored_part(const BatchingOptions& options) {
  BatchingOptions scored = options;
  scored.part = RequestPart::Test;
  scored.resample = false;
  scored.request_groups = 1;
  return scored;
}

}  // namespace gem
