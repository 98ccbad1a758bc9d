#include "search/step_kernels.hpp"

#include <algorithm>
#include <cstring>

// GEM_CLONES comes from CMakeLists.txt: the versions to make of a function, nothing where the compiler cannot.

namespace gem {

LoadPlanes planes_of(const CostTables& tables, std::size_t length) {
  return {tables.choices(), tables.plane_units().size(), length};
}

// Inlined into every version of its callers. Without added ticks, or weights, their loads and sums are not compiled at
// all.
template <bool kAdded, bool kWeights = true>
[[gnu::always_inline]] static inline std::uint64_t excess_of(const SwapSteps& steps, const LoadRow& row_first,
                                                             const LoadRow& row_second, std::size_t begin,
                                                             std::size_t end) {
  const std::int32_t* const load_first = steps.first.key;
  const std::int32_t* const load_second = steps.second.key;
  const std::int32_t* const added_first = steps.first.added;
  const std::int32_t* const added_second = steps.second.added;
  const std::int32_t* const key_first = row_first.key;
  const std::int32_t* const key_second = row_second.key;
  const std::int32_t* const own_first = row_first.added;
  const std::int32_t* const own_second = row_second.added;
  const std::int32_t* const floor = steps.floor;
  const std::int32_t* const weight = steps.weight;
  const std::int32_t* const table_first = steps.table_first;
  const std::int32_t* const table_second = steps.table_second;
  std::uint64_t sum = 0;
  for (std::size_t t = begin; t < end; ++t) {
    const std::int32_t moved = key_second[t] - key_first[t];
    std::int32_t first = table_first[load_first[t] + moved];
    std::int32_t second = table_second[load_second[t] - moved];
    if constexpr (kAdded) {
      const std::int32_t moved_added = own_second[t] - own_first[t];
      first += added_first[t] + moved_added;
      second += added_second[t] - moved_added;
    }
    // 0 or more, so that unsigned sums need no sign extension.
    const auto above = static_cast<std::uint32_t>(std::max(std::max(first, second), floor[t]) - floor[t]);
    if constexpr (kWeights)
      sum += std::uint64_t{above} * static_cast<std::uint32_t>(weight[t]);
    else
      sum += above;
  }
  return sum;
}

// Columns that are looked up at a time where there are planes: entries stay in the first cache.
constexpr std::size_t entry_block = 64;

// entries = where `load` + `gained` - `lost` is looked up, of `count` columns from `begin` on.
[[gnu::always_inline]] static inline void choose_entries(std::int32_t* __restrict entries, const LoadPlanes& planes,
                                                         const std::int32_t* load, const std::int32_t* gained,
                                                         const std::int32_t* lost, std::size_t begin,
                                                         std::size_t count) {
  std::int32_t rows[entry_block];
  const std::size_t rows_at = planes.rows_plane * planes.length + begin;
  for (std::size_t i = 0; i < count; ++i) {
    entries[i] = load[begin + i] + gained[begin + i] - lost[begin + i];
    rows[i] = load[rows_at + i] + gained[rows_at + i] - lost[rows_at + i];
  }
  for (const TileChoice& choice : planes.choices) {
    const std::size_t at = static_cast<std::size_t>(choice.plane) * planes.length + begin;
    const std::int32_t above = choice.above_rows, offset = choice.offset;
    for (std::size_t i = 0; i < count; ++i) {
      const std::int32_t entry = load[at + i] + gained[at + i] - lost[at + i] + offset;
      entries[i] = rows[i] > above ? entry : entries[i];
    }
  }
}

// As excess_of, of loads with planes.
template <bool kAdded>
[[gnu::always_inline]] static inline std::uint64_t chosen_excess_of(const SwapSteps& steps, const LoadRow& row_first,
                                                                    const LoadRow& row_second, std::size_t begin,
                                                                    std::size_t end) {
  std::uint64_t sum = 0;
  for (; begin < end; begin += entry_block) {
    const std::size_t count = std::min(entry_block, end - begin);
    std::int32_t entries_first[entry_block], entries_second[entry_block];
    choose_entries(entries_first, steps.planes, steps.first.key, row_second.key, row_first.key, begin, count);
    choose_entries(entries_second, steps.planes, steps.second.key, row_first.key, row_second.key, begin, count);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t t = begin + i;
      std::int32_t first = steps.table_first[entries_first[i]];
      std::int32_t second = steps.table_second[entries_second[i]];
      if constexpr (kAdded) {
        const std::int32_t moved_added = row_second.added[t] - row_first.added[t];
        first += steps.first.added[t] + moved_added;
        second += steps.second.added[t] - moved_added;
      }
      sum += std::uint64_t{static_cast<std::uint32_t>(std::max(std::max(first, second), steps.floor[t]) -
                                                      steps.floor[t])} *
             static_cast<std::uint32_t>(steps.weight[t]);
    }
  }
  return sum;
}

// Calls `excess` with chunks of columns, [begin, end), until the sum is above what is allowed.
template <std::size_t kChunk, class Excess>
[[gnu::always_inline]] static inline std::int64_t sum_until(std::size_t count, std::int64_t allowed,
                                                            std::uint64_t& summed, const Excess& excess) {
  std::int64_t sum = 0;
  for (std::size_t begin = 0; begin < count && sum <= allowed; begin += kChunk) {
    const std::size_t end = std::min(begin + kChunk, count);
    sum += static_cast<std::int64_t>(excess(begin, end));
    summed += end - begin;
  }
  return sum;
}

// Columns between two looks at whether to stop: a few vectors. Of those that differ in weight the largest come first.
constexpr std::size_t weighted_chunk = 32, unweighted_chunk = 64;

template <bool kAdded, bool kWeights>
[[gnu::always_inline]] static inline std::int64_t excess_until(const SwapSteps& steps, const LoadRow& first,
                                                               const LoadRow& second, std::size_t count,
                                                               std::int64_t allowed, std::uint64_t& summed) {
  constexpr std::size_t chunk = kWeights ? weighted_chunk : unweighted_chunk;
  return sum_until<chunk>(
      count, allowed, summed, [&](std::size_t begin, std::size_t end) __attribute__((always_inline)) {
        return excess_of<kAdded, kWeights>(steps, first, second, begin, end);
      });
}

GEM_CLONES std::int64_t swapped_excess_alone(const SwapSteps& steps, const LoadRow& first, const LoadRow& second,
                                             std::size_t count, std::int64_t allowed, std::uint64_t& summed) {
  return excess_until<false, false>(steps, first, second, count, allowed, summed);
}

GEM_CLONES std::int64_t swapped_excess_of_plane(const SwapSteps& steps, const LoadRow& first, const LoadRow& second,
                                                std::size_t count, std::int64_t allowed, std::uint64_t& summed) {
  if (steps.first.added != nullptr) return excess_until<true, true>(steps, first, second, count, allowed, summed);
  return excess_until<false, true>(steps, first, second, count, allowed, summed);
}

template <bool kAdded>
[[gnu::always_inline]] static inline std::int64_t chosen_excess_until(const SwapSteps& steps, const LoadRow& first,
                                                                      const LoadRow& second, std::size_t count,
                                                                      std::int64_t allowed, std::uint64_t& summed) {
  return sum_until<weighted_chunk>(
      count, allowed, summed, [&](std::size_t begin, std::size_t end) __attribute__((always_inline)) {
        return chosen_excess_of<kAdded>(steps, first, second, begin, end);
      });
}

GEM_CLONES std::int64_t swapped_excess_of_planes(const SwapSteps& steps, const LoadRow& first, const LoadRow& second,
                                                 std::size_t count, std::int64_t allowed, std::uint64_t& summed) {
  if (steps.first.added == nullptr) return chosen_excess_until<false>(steps, first, second, count, allowed, summed);
  return chosen_excess_until<true>(steps, first, second, count, allowed, summed);
}

template <bool kAdded, bool kPlanes>
[[gnu::always_inline]] static inline void excesses_of(const SwapSteps& steps, const LoadRow& first,
                                                      std::size_t first_slots, const LoadRow& second,
                                                      std::size_t second_slots, std::size_t count,
                                                      std::int64_t* excess) {
  const std::size_t key_count = kPlanes ? count * (steps.planes.rows_plane + 1) : count;
  const auto row = [&](const LoadRow& rows, std::size_t slot) {
    return LoadRow{rows.key + slot * key_count, kAdded ? rows.added + slot * count : nullptr};
  };
  for (std::size_t i = 0; i < first_slots; ++i)
    for (std::size_t j = 0; j < second_slots; ++j)
      if constexpr (kPlanes)
        excess[i * second_slots + j] =
            static_cast<std::int64_t>(chosen_excess_of<kAdded>(steps, row(first, i), row(second, j), 0, count));
      else
        excess[i * second_slots + j] =
            static_cast<std::int64_t>(excess_of<kAdded>(steps, row(first, i), row(second, j), 0, count));
}

GEM_CLONES void all_swapped_excesses(const SwapSteps& steps, const LoadRow& first, std::size_t first_slots,
                                     const LoadRow& second, std::size_t second_slots, std::size_t count,
                                     std::int64_t* excess) {
  const bool has_added = steps.first.added != nullptr;
  if (!steps.planes.choices.empty())
    has_added ? excesses_of<true, true>(steps, first, first_slots, second, second_slots, count, excess)
              : excesses_of<false, true>(steps, first, first_slots, second, second_slots, count, excess);
  else if (has_added)
    excesses_of<true, false>(steps, first, first_slots, second, second_slots, count, excess);
  else
    excesses_of<false, false>(steps, first, first_slots, second, second_slots, count, excess);
}

// Swaps that are judged at a time in so many columns: what is known of them stays in the first cache.
constexpr std::size_t swaps_at_a_time = 256;

// excess += what the swaps leave in a column, `moved` [count] being what the first device gets.
[[gnu::always_inline]] static inline void add_moved(std::int32_t* __restrict excess,
                                                    const std::int32_t* __restrict moved, std::size_t count,
                                                    const SwapColumn& column) {
  const std::int32_t floor = column.floor, weight = column.weight, most = column.most;
  const std::int32_t* const __restrict table_first = column.table_first;
  const std::int32_t* const __restrict table_second = column.table_second;
  for (std::size_t i = 0; i < count; ++i) {
    // Indices of 32 bits, of which vectors hold twice as many; and values, for std::max gives back a reference, and a
    // choice of two places in memory doesn't become vectors.
    const auto moved_back = static_cast<std::int32_t>(0U - static_cast<std::uint32_t>(moved[i]));
    const std::int32_t first = table_first[moved[i]], second = table_second[moved_back];
    const std::int32_t above = std::max(std::max(first, second), floor) - floor;
    excess[i] += std::min(above, most) * weight;
  }
}

// Some of the swaps: `rows` slots of the first device with `slots` of the second, which follow each other in `excess`.
// What is moved is written for some columns before it is looked up in any: a loop of as few look-ups as a device has
// slots is unrolled before it could become vectors, and a processor waits where it reads as one vector what it has just
// written as several. `kSlots` are written at a time.
template <std::size_t kSlots>
[[gnu::always_inline]] static inline void add_swaps(std::int32_t* excess, std::span<const SwapColumn> columns,
                                                    std::size_t first_row, std::size_t rows, std::size_t first_slot,
                                                    std::size_t slots, bool are_last) {
  using Keys [[gnu::vector_size(kSlots * sizeof(std::int32_t))]] = std::int32_t;
  std::int32_t moved[columns_at_a_time][swaps_at_a_time];
  const std::size_t count = are_last ? padded(rows * slots) : rows * slots;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const std::int32_t* const keys_first = columns[c].keys_first + first_row;
    const std::int32_t* const keys_second = columns[c].keys_second + first_slot;
    std::int32_t* to = moved[c];
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t begin = 0; begin < slots; begin += kSlots, to += kSlots) {
        Keys keys;
        std::memcpy(&keys, keys_second + begin, sizeof(keys));
        keys -= keys_first[i];
        std::memcpy(to, &keys, sizeof(keys));
      }
    std::fill(to, moved[c] + count, 0);
  }
  for (std::size_t c = 0; c < columns.size(); ++c) add_moved(excess, moved[c], count, columns[c]);
}

GEM_CLONES std::size_t add_swap_excesses(std::int32_t* excess, std::span<const SwapColumn> columns,
                                         std::size_t first_slots, std::size_t stride, std::int32_t limit) {
  const std::size_t slots_at_a_time = std::min(stride, swaps_at_a_time),
                    rows_at_a_time = std::max<std::size_t>(1, swaps_at_a_time / stride);
  for (std::size_t i = 0; i < first_slots; i += rows_at_a_time) {
    const std::size_t rows = std::min(rows_at_a_time, first_slots - i);
    for (std::size_t begin = 0; begin < stride; begin += slots_at_a_time) {
      const std::size_t slots = std::min(slots_at_a_time, stride - begin);
      const bool are_last = i + rows == first_slots && begin + slots == stride;
      if (stride % 8 > 0)
        add_swaps<4>(excess + i * stride + begin, columns, i, rows, begin, slots, are_last);
      else
        add_swaps<8>(excess + i * stride + begin, columns, i, rows, begin, slots, are_last);
    }
  }
  std::int32_t below = 0;
  for (std::size_t i = 0; i < first_slots * stride; ++i) below += excess[i] < limit;
  return static_cast<std::size_t>(below);
}

GEM_CLONES void add_keys(std::int32_t* __restrict load, const std::int32_t* __restrict key, std::int32_t sign,
                         std::size_t count) {
  for (std::size_t t = 0; t < count; ++t) load[t] += sign * key[t];
}

GEM_CLONES void look_up(std::int32_t* __restrict time, const LoadRow& load, const std::int32_t* __restrict table,
                        std::size_t count, const LoadPlanes& planes) {
  const std::int32_t* const key = load.key;
  const std::int32_t* const added = load.added;
  if (planes.choices.empty()) {
    for (std::size_t t = 0; t < count; ++t) time[t] = table[key[t]];
  } else {
    const std::int32_t* const rows = key + planes.rows_plane * planes.length;
    for (std::size_t t = 0; t < count; ++t) {
      std::int32_t entry = key[t];
      for (const TileChoice& choice : planes.choices)
        if (rows[t] > choice.above_rows)
          entry = key[static_cast<std::size_t>(choice.plane) * planes.length + t] + choice.offset;
      time[t] = table[entry];
    }
  }
  if (added == nullptr) return;
  for (std::size_t t = 0; t < count; ++t) time[t] += added[t];
}

// Divides whole numbers of 31 bits, 0 or more, as (number * magic) >> shift, which vectors can. With 2^b the least
// power of two that is no less than the divisor, shift = 31 + b and magic = ceil(2^shift / divisor), magic * divisor is
// above 2^shift by less than the divisor, and so number * magic / 2^shift above number / divisor by less than number /
// 2^shift < 1 / divisor: both have the same whole part.
struct Divisor {
  explicit Divisor(std::int32_t divisor) {
    while ((std::int64_t{1} << (shift - 31)) < divisor) ++shift;
    magic = static_cast<std::uint32_t>(((std::uint64_t{1} << shift) + static_cast<std::uint32_t>(divisor) - 1) /
                                       static_cast<std::uint32_t>(divisor));
  }
  std::int32_t quotient(std::int32_t number) const {
    return static_cast<std::int32_t>((std::uint64_t{static_cast<std::uint32_t>(number)} * magic) >> shift);
  }
  std::uint32_t shift = 31, magic;
};

GEM_CLONES void add_units(std::int32_t* __restrict units, const std::int32_t* __restrict keys, std::int32_t radix,
                          std::size_t count) {
  const Divisor divisor(radix);
  for (std::size_t t = 0; t < count; ++t) units[t] += divisor.quotient(keys[t]);
}

GEM_CLONES void add_units_and_active(std::int32_t* __restrict units, std::int32_t* __restrict active,
                                     const std::int32_t* __restrict keys, std::int32_t radix, std::size_t count) {
  const Divisor divisor(radix);
  for (std::size_t t = 0; t < count; ++t) {
    const std::int32_t quotient = divisor.quotient(keys[t]);
    units[t] += quotient;
    active[t] += keys[t] - quotient * radix;
  }
}

GEM_CLONES void raise_to_entries(std::int32_t* __restrict values, const std::int32_t* __restrict keys,
                                 const std::int32_t* __restrict table, std::size_t count) {
  for (std::size_t t = 0; t < count; ++t) {
    const std::int32_t entry = table[keys[t]];
    values[t] = std::max(values[t], entry);
  }
}

GEM_CLONES void raise_to_weighted(std::int32_t* __restrict values, const std::int32_t* __restrict units,
                                  const std::int32_t* __restrict active, std::uint32_t unit_weight,
                                  std::uint32_t active_weight, const std::int32_t* __restrict table, std::size_t last,
                                  std::size_t count) {
  for (std::size_t t = 0; t < count; ++t) {
    const std::uint64_t load = std::uint64_t{static_cast<std::uint32_t>(units[t])} * unit_weight +
                               std::uint64_t{static_cast<std::uint32_t>(active[t])} * active_weight;
    const std::int32_t entry = table[load < last ? load : last];
    values[t] = std::max(values[t], entry);
  }
}

GEM_CLONES std::int64_t weighted_sum(const std::int32_t* values, const std::int32_t* weights, std::size_t count) {
  std::int64_t sum = 0;
  for (std::size_t t = 0; t < count; ++t) sum += std::int64_t{values[t]} * weights[t];
  return sum;
}

GEM_CLONES std::int64_t merge_slowest(std::int32_t* __restrict out, const std::int32_t* first,
                                      const std::int32_t* second, const std::int32_t* floor, std::size_t count) {
  std::uint64_t sum = 0;
  for (std::size_t t = 0; t < count; ++t) {
    out[t] = std::max(first[t], second[t]);
    sum += static_cast<std::uint32_t>(std::max(out[t], floor[t]));
  }
  return static_cast<std::int64_t>(sum);
}

GEM_CLONES std::int64_t merge_above(std::int32_t* __restrict out, const std::int32_t* first, const std::int32_t* second,
                                    const std::int32_t* floor, std::size_t count, std::int64_t limit) {
  std::int64_t sum = 0;
  for (std::size_t begin = 0; begin < count && sum < limit; begin += weighted_chunk) {
    std::uint64_t above = 0;
    for (std::size_t t = begin; t < std::min(begin + weighted_chunk, count); ++t) {
      out[t] = std::max(first[t], second[t]);
      above += static_cast<std::uint32_t>(std::max(out[t], floor[t]) - floor[t]);
    }
    sum += static_cast<std::int64_t>(above);
  }
  return sum;
}

// Of `kLanes` of the others; how many are below the limit.
template <std::size_t kLanes>
[[gnu::always_inline]] static inline std::size_t sum_merged_in(std::int32_t* sums, const std::int32_t* row,
                                                               const std::int32_t* others, std::size_t columns,
                                                               std::size_t stride, std::int32_t limit) {
  using Ticks [[gnu::vector_size(kLanes * sizeof(std::int32_t))]] = std::int32_t;
  constexpr std::size_t between_looks = 32;
  const Ticks most = Ticks{} + limit;
  Ticks sum{};
  std::size_t below = kLanes;
  for (std::size_t t = 0; t < columns && below > 0;) {
    for (const std::size_t end = std::min(columns, t + between_looks); t < end; ++t) {
      Ticks other;
      std::memcpy(&other, others + t * stride, sizeof(other));
      const Ticks own = Ticks{} + row[t];
      sum += own > other ? own : other;
      sum = sum > most ? most : sum;
    }
    std::memcpy(sums, &sum, sizeof(sum));
    below = 0;
    for (std::size_t i = 0; i < kLanes; ++i) below += sums[i] < limit ? 1 : 0;
  }
  return below;
}

GEM_CLONES std::size_t sum_merged(std::int32_t* sums, const std::int32_t* row, const std::int32_t* others,
                                  std::size_t columns, std::size_t stride, std::int32_t limit) {
  std::size_t below = 0, at = 0;
  for (; at + 64 <= stride; at += 64) below += sum_merged_in<64>(sums + at, row, others + at, columns, stride, limit);
  for (; at + 16 <= stride; at += 16) below += sum_merged_in<16>(sums + at, row, others + at, columns, stride, limit);
  return below;
}

// Columns that stay in registers while the devices pass by: a vector of the widest kind.
constexpr std::size_t slowest_block = 16;

// Of `length` columns from `begin` on, at most slowest_block.
[[gnu::always_inline]] static inline void find_slowest_in(const SlowestThree<std::int32_t>& slowest,
                                                          const std::int32_t* floor, const std::int32_t* times,
                                                          std::size_t stride, std::size_t device_count,
                                                          std::size_t begin, std::size_t length) {
  using Ticks [[gnu::vector_size(slowest_block * sizeof(std::int32_t))]] = std::int32_t;
  const std::size_t bytes = length * sizeof(std::int32_t);
  const Ticks none = Ticks{} - 1;
  Ticks time_0{}, time_1{}, time_2{}, device_0 = none, device_1 = none, device{}, time{};
  std::memcpy(&time_0, floor + begin, bytes);
  for (std::size_t d = 0; d < device_count; ++d, device += 1) {
    std::memcpy(&time, times + d * stride + begin, bytes);
    // Whoever is above the first is above the second, too.
    const Ticks above_0 = time > time_0, above_1 = time > time_1, above_2 = time > time_2;
    time_2 = above_1 ? time_1 : above_2 ? time : time_2;
    time_1 = above_0 ? time_0 : above_1 ? time : time_1;
    device_1 = above_0 ? device_0 : above_1 ? device : device_1;
    time_0 = above_0 ? time : time_0;
    device_0 = above_0 ? device : device_0;
  }
  std::memcpy(slowest.time[0] + begin, &time_0, bytes);
  std::memcpy(slowest.time[1] + begin, &time_1, bytes);
  std::memcpy(slowest.time[2] + begin, &time_2, bytes);
  std::memcpy(slowest.device[0] + begin, &device_0, bytes);
  std::memcpy(slowest.device[1] + begin, &device_1, bytes);
}

GEM_CLONES void find_slowest(const SlowestThree<std::int32_t>& slowest, const std::int32_t* floor,
                             const std::int32_t* times, std::size_t stride, std::size_t device_count,
                             std::size_t count) {
  std::size_t begin = 0;
  for (; begin + slowest_block <= count; begin += slowest_block)
    find_slowest_in(slowest, floor, times, stride, device_count, begin, slowest_block);
  if (begin < count) find_slowest_in(slowest, floor, times, stride, device_count, begin, count - begin);
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
