#include "search/step_kernels.hpp"

#include <algorithm>

// GEM_CLONES comes from CMakeLists.txt: the versions to make of a function, nothing where the compiler cannot.

namespace gem {

GEM_CLONES std::int64_t swapped_excess(const SwapSteps& steps, const std::int32_t* key_first,
                                       const std::int32_t* key_second, std::size_t count) {
  const std::int32_t* const load_first = steps.load_first;
  const std::int32_t* const load_second = steps.load_second;
  const std::int32_t* const floor = steps.floor;
  const std::int32_t* const table_first = steps.table_first;
  const std::int32_t* const table_second = steps.table_second;
  std::uint64_t sum = 0;
  for (std::size_t t = 0; t < count; ++t) {
    const std::int32_t moved = key_second[t] - key_first[t];
    const std::int32_t first = table_first[load_first[t] + moved];
    const std::int32_t second = table_second[load_second[t] - moved];
    // 0 or more, so that unsigned sums need no sign extension.
    sum += static_cast<std::uint32_t>(std::max(std::max(first, second), floor[t]) - floor[t]);
  }
  return static_cast<std::int64_t>(sum);
}

GEM_CLONES void add_keys(std::int32_t* __restrict load, const std::int32_t* __restrict key, std::int32_t sign,
                         std::size_t count) {
  for (std::size_t t = 0; t < count; ++t) load[t] += sign * key[t];
}

GEM_CLONES void look_up(std::int32_t* __restrict time, const std::int32_t* __restrict load,
                        const std::int32_t* __restrict table, std::size_t count) {
  for (std::size_t t = 0; t < count; ++t) time[t] = table[load[t]];
}

GEM_CLONES std::int64_t sum_of(const std::int32_t* values, std::size_t count) {
  std::int64_t sum = 0;
  for (std::size_t t = 0; t < count; ++t) sum += values[t];
  return sum;
}

GEM_CLONES void enter_slowest(const SlowestThree<std::int32_t>& slowest, const std::int32_t* __restrict time, std::int32_t device,
                              std::size_t count) {
  std::int32_t* __restrict const time_0 = slowest.time[0];
  std::int32_t* __restrict const time_1 = slowest.time[1];
  std::int32_t* __restrict const time_2 = slowest.time[2];
  std::int32_t* __restrict const device_0 = slowest.device[0];
  std::int32_t* __restrict const device_1 = slowest.device[1];
  for (std::size_t t = 0; t < count; ++t) {
    const std::int32_t value = time[t];
    const bool above_0 = value > time_0[t], above_1 = value > time_1[t];
    time_2[t] = above_1 ? time_1[t] : std::max(value, time_2[t]);
    time_1[t] = above_0 ? time_0[t] : std::max(value, time_1[t]);
    time_0[t] = above_0 ? value : time_0[t];
    device_1[t] = above_0 ? device_0[t] : (above_1 ? device : device_1[t]);
    device_0[t] = above_0 ? device : device_0[t];
  }
}

GEM_CLONES void slowest_of_others(std::int32_t* __restrict out, const SlowestThree<const std::int32_t>& slowest,
                                  std::int32_t first, std::int32_t second, std::size_t count) {
  const std::int32_t* const time_0 = slowest.time[0];
  const std::int32_t* const time_1 = slowest.time[1];
  const std::int32_t* const time_2 = slowest.time[2];
  const std::int32_t* const device_0 = slowest.device[0];
  const std::int32_t* const device_1 = slowest.device[1];
  for (std::size_t t = 0; t < count; ++t) {
    const bool ours_0 = (device_0[t] == first) | (device_0[t] == second);
    const bool ours_1 = (device_1[t] == first) | (device_1[t] == second);
    out[t] = ours_0 ? (ours_1 ? time_2[t] : time_1[t]) : time_0[t];
  }
}

}  // namespace gem
