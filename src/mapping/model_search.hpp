#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "platform/mpi/mpi.hpp"
#include "search/layer_search.hpp"

namespace gem {

/// How much is searched, and from which random numbers.
struct SearchOptions {
  std::uint64_t seed = 1;
  std::size_t starts = 1;                   ///< assignments that each layer's search starts from
  std::optional<std::size_t> iterations{};  ///< of each start; none: by the experts (iterations_of)
  double time_limit_s = 0.0;                ///< 0: none. With one, the answer may differ from run to run.
  bool rough = false;  ///< for placements that are only compared: large layers leave out moves that bring little
  bool show_progress = false;
  std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();  ///< of the limited time

  double elapsed_s() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); }
  bool out_of_time() const { return time_limit_s > 0.0 && elapsed_s() > time_limit_s; }
};

/// How many iterations a start makes where nothing else is said; in large layers (large_layer) fewer: each takes long
/// and brings next to nothing on requests never seen (tests/benchmark/search.md).
constexpr std::size_t default_iterations = 25, iterations_of_large = 16;
inline std::size_t iterations_of(const SearchOptions& options, const LayerProblem& problem) {
  return options.iterations.value_or(is_large(problem) ? iterations_of_large : default_iterations);
}

/// The best that was found for one layer.
struct LayerAnswer {
  Assignment assignment;
  std::int64_t cost = 0;  ///< ticks summed over steps
  std::size_t start = 0;  ///< which start found it
};

/// A point of one start's history: its best cost from then on.
struct StartPoint {
  std::int32_t layer;
  std::int32_t start;
  double elapsed_s;  ///< since the start began
  std::int64_t cost;
};

/// The best that was found for all layers, and what it took.
struct ModelAnswer {
  std::vector<LayerAnswer> layers;
  std::vector<StartPoint> history;  ///< of all starts, by layer, start and time; on rank 0
  std::size_t starts_run = 0;
  std::size_t iterations_run = 0;
  SearchWork work;
  double elapsed_s = 0.0;
};

/// Searches all layers, start by start, on all ranks. The starts of a layer are `first_starts(layer)` in that order,
/// then random assignments; each has its own random numbers (seed, layer, start), and of a layer's starts the least
/// (cost, start) wins, so that the answer does not depend on the number of ranks. Collective; every rank gets the
/// answer.
ModelAnswer search_model(const Communicator& world, const std::vector<LayerProblem>& problems,
                         const std::function<std::vector<Assignment>(std::size_t layer)>& first_starts,
                         const SearchOptions& options);

}  // namespace gem
