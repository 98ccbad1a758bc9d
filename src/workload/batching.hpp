#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/option.hpp"
#include "model/load_trace.hpp"
#include "model/routing.hpp"
#include "model/trace_words.hpp"

namespace gem {

/// How token-level routing becomes steps. The routing was measured; which requests share a step is simulated here.
struct BatchingOptions {
  std::optional<Phase> phase{};  ///< none: the routing's own
  std::size_t batch_size = 0;    ///< decode: slots, so tokens a step; 0: 256
  std::size_t chunk_tokens = 0;  ///< prefill: tokens a step; 0: 512
  std::size_t steps = 0;         ///< 0: as many as one pass over the requests fills, at least one
  RequestPart part = RequestPart::All;
  double split = 0.5;              ///< share of the tokens whose requests are the train part, between 0 and 1
  std::uint64_t split_seed = 0;    ///< which requests are the train part
  std::uint64_t seed = 0;          ///< order of the requests and where the slots start
  bool resample = false;           ///< each step of requests drawn anew: for steps to search on
  std::size_t request_groups = 1;  ///< groups of requests that never share a step
};

/// The same for the part that is scored on, which is not resampled or parted further.
BatchingOptions scored_part(const BatchingOptions& options);

/// All but the part, which is not everybody's choice.
void describe(OptionList& options, BatchingOptions& batching);

/// The phase that batching works in, and the tokens of each of its steps.
struct StepShape {
  Phase phase;
  std::size_t tokens;
};

/// What `options` mean for routing of the given phase. UsageError for an unknown phase or an option that doesn't fit
/// it.
StepShape step_shape(const std::string& routing_phase, const BatchingOptions& options);

/// Requests of one part, ascending, without those that have no token. Train and test part every request between them:
/// requests are taken in an order shuffled by `split_seed` alone, and each goes to the part that is further behind its
/// share of the tokens, so that the parts miss their shares by less than one request. UsageError for a
/// split outside (0, 1), or fewer than two requests to part; DataError for routing without tokens.
std::vector<std::size_t> requests_of_part(const Routing& routing, RequestPart part, double split,
                                          std::uint64_t split_seed);

/// Tokens of these requests together.
std::size_t token_count(const Routing& routing, const std::vector<std::size_t>& requests);

/// Steps of exactly the shape's tokens. Requests come in passes, each pass a new permutation by seed, as many passes as
/// the steps need.
///   decode: continuous batching. Each slot works on one request, a token a step; when a request is done the next one
///     enters at once. Slots start spread over the tokens of the first pass, so that step 0 is a cross-section of
///     requests under way; requests of that pass which no slot starts in come next.
///   prefill: requests are laid one after the other and cut into chunks.
/// With `resample` no step follows from another: each is of requests drawn anew with replacement, half as many draws as
/// there are requests (a bootstrap of requests). A decode step has each slot at a random token of them, a prefill step
/// begins at a random token of one. Steps then differ as much as those of other requests would, and a mapping searched
/// on them holds better on requests never seen (tests/benchmark/search.md); their order means nothing. The test part
/// is never drawn so: its steps are those that a server would run.
///
/// With several `request_groups` step t is made of group t modulo their number alone, as if each were a trace of its
/// own: some can be searched on and others scored on. Errors as for step_shape and requests_of_part; UsageError for the
/// test part with `resample`, or more groups than requests.
LoadTrace batch_routing(const Routing& routing, const BatchingOptions& options);

}  // namespace gem
