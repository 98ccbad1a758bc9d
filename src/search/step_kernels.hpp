#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "cost/layer_cost.hpp"

namespace gem {

// The loops over columns where the search spends its time. Plain pointers, because the compiler makes several versions
// of each (AVX-512, AVX2, baseline) and picks one when the program starts; integers, so that all give equal bits.

/// How loads of several planes (TileChoice) are looked up; of one plane there is nothing to choose.
struct LoadPlanes {
  std::span<const TileChoice> choices{};
  std::size_t rows_plane = 0;
  std::size_t length = 0;  ///< columns of a plane
};

/// Of a layer's loads, packed into planes of `length` columns.
LoadPlanes planes_of(const CostTables& tables, std::size_t length);

/// What a swap of one expert of each of two devices is judged from, column by column (LayerCost).
struct SwapSteps {
  LoadRow first;  ///< load of the first device
  LoadRow second;
  const std::int32_t* floor;        ///< ticks that the column costs at least, whatever the two devices hold
  const std::int32_t* weight;       ///< how often the column counts, 0 or more
  const std::int32_t* table_first;  ///< ticks by key (CostTables::of)
  const std::int32_t* table_second;
  LoadPlanes planes{};
  bool are_plain = false;  ///< known: one plane, nothing added, each weight 1
};

// Of plain steps, of loads with one plane, and with several; see swapped_excess.
std::int64_t swapped_excess_alone(const SwapSteps& steps, const LoadRow& first, const LoadRow& second,
                                  std::size_t count, std::int64_t allowed, std::uint64_t& summed);
std::int64_t swapped_excess_of_plane(const SwapSteps& steps, const LoadRow& first, const LoadRow& second,
                                     std::size_t count, std::int64_t allowed, std::uint64_t& summed);
std::int64_t swapped_excess_of_planes(const SwapSteps& steps, const LoadRow& first, const LoadRow& second,
                                      std::size_t count, std::int64_t allowed, std::uint64_t& summed);

/// Weighted sum over columns of max(floor, time of first, time of second) - floor after an expert `first` went from the
/// first device to the second and `second` the other way. Once the sum is above `allowed` it may stop short; `summed`
/// counts the columns that were summed.
inline std::int64_t swapped_excess(const SwapSteps& steps, const LoadRow& first, const LoadRow& second,
                                   std::size_t count, std::int64_t allowed, std::uint64_t& summed) {
  if (steps.are_plain) return swapped_excess_alone(steps, first, second, count, allowed, summed);
  return steps.planes.choices.empty() ? swapped_excess_of_plane(steps, first, second, count, allowed, summed)
                                      : swapped_excess_of_planes(steps, first, second, count, allowed, summed);
}

/// The same, in full, for every expert of the first device with every one of the second: `first` and `second` are
/// [slots of the device, count], keys [slots, plane, count], `excess` is [slots of the first, slots of the second].
void all_swapped_excesses(const SwapSteps& steps, const LoadRow& first, std::size_t first_slots, const LoadRow& second,
                          std::size_t second_slots, std::size_t count, std::int64_t* excess);

/// A column of two devices, of loads with one plane to which nothing is added.
struct SwapColumn {
  const std::int32_t* table_first;  ///< ticks by key, from the first device's load on
  const std::int32_t* table_second;
  const std::int32_t* keys_first;   ///< [slot] of its experts
  const std::int32_t* keys_second;  ///< [slot, padded to slot_stride]
  std::int32_t floor;               ///< ticks that the column costs at least
  std::int32_t weight;
  std::int32_t most;  ///< ticks above the floor from which on more makes no difference
};

/// Slots rounded up to what `add_swap_excesses` takes at a time.
constexpr std::size_t slot_stride(std::size_t slots) {
  return (slots + 3) / 4 * 4;
}

/// How many columns add_swap_excesses takes at most.
constexpr std::size_t columns_at_a_time = 8;
/// Values behind the last swap that it may write to.
constexpr std::size_t swap_padding = padded(1);

/// excess [slots of the first, stride] += what the two devices are above the floor of each column, at most its `most`,
/// times its weight, after an expert of the first went to the second and one of the second the other way. Returns how
/// many are below the limit then. Behind `excess` there is room for swap_padding more.
std::size_t add_swap_excesses(std::int32_t* excess, std::span<const SwapColumn> columns, std::size_t first_slots,
                              std::size_t stride, std::int32_t limit);

/// load += sign * key.
void add_keys(std::int32_t* load, const std::int32_t* key, std::int32_t sign, std::size_t count);

/// time = table[load] and what is added.
void look_up(std::int32_t* time, const LoadRow& load, const std::int32_t* table, std::size_t count,
             const LoadPlanes& planes = {});

/// units += key / radix, for `radix` of 1 or more.
void add_units(std::int32_t* units, const std::int32_t* keys, std::int32_t radix, std::size_t count);

/// The same, and active += key % radix.
void add_units_and_active(std::int32_t* units, std::int32_t* active, const std::int32_t* keys, std::int32_t radix,
                          std::size_t count);

/// values = max(values, table[key]).
void raise_to_entries(std::int32_t* values, const std::int32_t* keys, const std::int32_t* table, std::size_t count);

/// values = max(values, table[min(units * unit_weight + active * active_weight, last)]), none of these below 0.
void raise_to_weighted(std::int32_t* values, const std::int32_t* units, const std::int32_t* active,
                       std::uint32_t unit_weight, std::uint32_t active_weight, const std::int32_t* table,
                       std::size_t last, std::size_t count);

/// Sum of values, each times its weight, 0 or more.
std::int64_t weighted_sum(const std::int32_t* values, const std::int32_t* weights, std::size_t count);

/// out = max(first, second); returns the sum of max(out, floor).
std::int64_t merge_slowest(std::int32_t* out, const std::int32_t* first, const std::int32_t* second,
                           const std::int32_t* floor, std::size_t count);

/// out = max(first, second); returns the sum of max(out, floor) - floor, but may stop short, with `out` unfinished,
/// once it is `limit` or more.
std::int64_t merge_above(std::int32_t* out, const std::int32_t* first, const std::int32_t* second,
                         const std::int32_t* floor, std::size_t count, std::int64_t limit);

/// The most that sum_merged can tell.
constexpr std::int32_t most_of_merged = 1 << 30;

/// sums [stride] = sum over columns of max(row, other), or `limit` where it would be more, of each of the others
/// [column, stride], a multiple of padded(1). Values are 0 to `limit`, which is most_of_merged or less. Returns how
/// many sums are below the limit.
std::size_t sum_merged(std::int32_t* sums, const std::int32_t* row, const std::int32_t* others, std::size_t columns,
                       std::size_t stride, std::int32_t limit);

/// The three slowest devices of each column, slowest first: their times [3][column] and, of the first two, which they
/// are (-1 for the floor, which counts as a device). `Ticks` is std::int32_t or const std::int32_t.
template <class Ticks>
struct SlowestThree {
  Ticks* time[3];
  Ticks* device[2];
};

/// Finds them from `floor` [column] and `times` [device, stride]; ties go to the floor, then to the lower device.
void find_slowest(const SlowestThree<std::int32_t>& slowest, const std::int32_t* floor, const std::int32_t* times,
                  std::size_t stride, std::size_t device_count, std::size_t count);

/// Time of the slowest device (or the floor) other than the two.
void slowest_of_others(std::int32_t* out, const SlowestThree<const std::int32_t>& slowest, std::int32_t first,
                       std::int32_t second, std::size_t count);

}  // namespace gem
