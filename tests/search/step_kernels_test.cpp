#include "search/step_kernels.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "search/random_problem.hpp"

namespace gem {
namespace {

using Values = std::vector<std::int32_t>;

Values random_values(std::size_t count, std::uint64_t below, RandomStream& random) {
  Values values(count);
  for (std::int32_t& value : values) value = static_cast<std::int32_t>(random.below(below));
  return values;
}

// Slots of one, some and many vectors, whole and not, and more than are judged at a time.
TEST(StepKernels, AllSwapsOfTwoDevicesLeaveWhatEachAloneLeaves) {
  constexpr std::int32_t max_key = 40, limit = 9000, most = 700;
  RandomStream random{3};
  for (const auto& [first_slots, second_slots] : std::vector<std::pair<std::size_t, std::size_t>>{
           {1, 1}, {3, 2}, {4, 4}, {5, 4}, {8, 8}, {9, 8}, {9, 9}, {21, 12}, {33, 7}, {64, 64}, {70, 65}, {2, 300}})
    for (std::size_t column_count = 1; column_count <= columns_at_a_time; column_count += 3) {
      const std::size_t stride = slot_stride(second_slots);
      const Values table_first = random_values(2 * max_key + 1, 1000, random);
      const Values table_second = random_values(2 * max_key + 1, 1000, random);
      std::vector<Values> keys_first, keys_second;
      std::vector<SwapColumn> columns;
      for (std::size_t c = 0; c < column_count; ++c) {
        keys_first.push_back(random_values(slot_stride(first_slots), max_key, random));
        keys_second.push_back(random_values(stride, max_key, random));
        std::fill(keys_second[c].begin() + static_cast<std::ptrdiff_t>(second_slots), keys_second[c].end(),
                  keys_second[c][second_slots - 1]);
      }
      for (std::size_t c = 0; c < column_count; ++c)
        columns.push_back({table_first.data() + max_key, table_second.data() + max_key, keys_first[c].data(),
                           keys_second[c].data(), static_cast<std::int32_t>(random.below(600)),
                           static_cast<std::int32_t>(1 + random.below(5)), most});
      Values excess = random_values(first_slots * stride + swap_padding, 8000, random), expected = excess;
      std::size_t below = 0;
      for (std::size_t i = 0; i < first_slots; ++i)
        for (std::size_t j = 0; j < stride; ++j) {
          std::int32_t& sum = expected[i * stride + j];
          for (const SwapColumn& column : columns) {
            const std::int32_t moved = column.keys_second[j] - column.keys_first[i];
            const std::int32_t slower = std::max(column.table_first[moved], column.table_second[-moved]);
            sum += std::min(std::max(slower, column.floor) - column.floor, most) * column.weight;
          }
          below += sum < limit ? 1 : 0;
        }
      EXPECT_EQ(add_swap_excesses(excess.data(), columns, first_slots, stride, limit), below);
      excess.resize(first_slots * stride);
      expected.resize(first_slots * stride);
      EXPECT_EQ(excess, expected) << first_slots << " and " << second_slots << " slots";
    }
}

TEST(StepKernels, SwapsWeighTheSameWithAndWithoutWeightsOfOne) {
  RandomStream random{4};
  for (const std::size_t count : {1, 16, 31, 64, 200}) {
    const Values table = random_values(100, 1000, random), floor = random_values(count, 500, random);
    const Values load = random_values(count, 50, random), first = random_values(count, 25, random),
                 second = random_values(count, 25, random), ones(count, 1);
    Values load_second = load;
    for (std::int32_t& key : load_second) key += 25;
    SwapSteps steps{{load_second.data(), nullptr},
                    {load_second.data(), nullptr},
                    floor.data(),
                    ones.data(),
                    table.data(),
                    table.data()};
    std::uint64_t summed = 0;
    const auto excess = [&] {
      return swapped_excess(steps, {first.data(), nullptr}, {second.data(), nullptr}, count, INT64_MAX, summed);
    };
    const std::int64_t weighted = excess();
    steps.are_plain = true;
    EXPECT_EQ(excess(), weighted);
    EXPECT_EQ(summed, 2 * count);
  }
}

TEST(StepKernels, DivideAnyKeyByAnyRadix) {
  RandomStream random{5};
  for (const std::int32_t radix : {1, 2, 3, 5, 9, 16, 17, 33, 257, 65535, 65537, 1 << 30, (1 << 30) + 1, INT32_MAX}) {
    Values keys{0, 1, radix - 1, radix, INT32_MAX - 1, INT32_MAX, INT32_MAX / radix * radix};
    keys.push_back(keys.back() - 1);
    for (int i = 0; i < 100; ++i) keys.push_back(static_cast<std::int32_t>(random.below(std::uint64_t{1} << 31)));
    Values units(keys.size(), 0), active(keys.size(), -3), units_alone = units;
    add_units_and_active(units.data(), active.data(), keys.data(), radix, keys.size());
    add_units(units_alone.data(), keys.data(), radix, keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      EXPECT_EQ(units[i], keys[i] / radix) << keys[i] << " by " << radix;
      EXPECT_EQ(active[i], keys[i] % radix - 3) << keys[i] << " by " << radix;
    }
    EXPECT_EQ(units_alone, units);
  }
}

TEST(StepKernels, RaiseToWhatWeightedLoadsSay) {
  const Values table{0, 10, 20, 30, 0}, units{0, 1, 1, 3, 2000000000}, active{0, 0, 1, 1, 3};
  Values values{5, 5, 5, 5, 5};
  raise_to_weighted(values.data(), units.data(), active.data(), 1, 2, table.data(), 4, values.size());
  EXPECT_EQ(values, (Values{5, 10, 30, 5, 5})) << "loads from 4 on are too large to tell";
  values.assign(5, 15);
  const Values keys{0, 1, 2, 3, 4};
  raise_to_entries(values.data(), keys.data(), table.data(), values.size());
  EXPECT_EQ(values, (Values{15, 15, 20, 30, 15}));
}

// Few different times, so that most columns have ties.
// One and several vectors at a time; sums are cut at the limit, early or late.
TEST(StepKernels, MergedSumsAreCutAtTheLimit) {
  RandomStream random{6};
  for (const std::size_t stride : {16, 64, 112})
    for (const std::size_t columns : {1, 16, 70})
      for (const std::int32_t limit : {900, 40000, most_of_merged}) {
        const Values row = random_values(columns, 900, random), others = random_values(columns * stride, 900, random);
        Values sums(stride), expected(stride, 0);
        std::size_t below = 0;
        for (std::size_t other = 0; other < stride; ++other) {
          for (std::size_t t = 0; t < columns; ++t) expected[other] += std::max(row[t], others[t * stride + other]);
          expected[other] = std::min(expected[other], limit);
          below += expected[other] < limit ? 1 : 0;
        }
        EXPECT_EQ(sum_merged(sums.data(), row.data(), others.data(), columns, stride, limit), below);
        EXPECT_EQ(sums, expected);
      }
}

TEST(StepKernels, MergingSumsWhatIsAboveTheFloorUntilItIsTooMuch) {
  RandomStream random{7};
  for (const std::size_t count : {1, 16, 50, 200}) {
    const Values first = random_values(count, 1000, random), second = random_values(count, 1000, random),
                 floor = random_values(count, 1000, random);
    Values merged(count), expected(count);
    std::int64_t above = 0;
    for (std::size_t t = 0; t < count; ++t) {
      expected[t] = std::max(first[t], second[t]);
      above += std::max(expected[t] - floor[t], 0);
    }
    EXPECT_EQ(merge_above(merged.data(), first.data(), second.data(), floor.data(), count, above + 1), above);
    EXPECT_EQ(merged, expected);
    EXPECT_GE(merge_above(merged.data(), first.data(), second.data(), floor.data(), count, above / 2), above / 2);
  }
}

TEST(StepKernels, TheSlowestAreThoseOfASortWhereTiesGoToTheFirst) {
  RandomStream random{6};
  for (const std::size_t count : {1, 15, 16, 17, 80})
    for (const std::size_t devices : {1, 2, 3, 33}) {
      const std::size_t stride = count + 3;
      const Values times = random_values(devices * stride, 6, random), floor = random_values(count, 4, random);
      Values time[3], device[2];
      for (Values& values : time) values.assign(count, -7);
      for (Values& values : device) values.assign(count, -7);
      find_slowest({{time[0].data(), time[1].data(), time[2].data()}, {device[0].data(), device[1].data()}},
                   floor.data(), times.data(), stride, devices, count);
      for (std::size_t t = 0; t < count; ++t) {
        std::vector<std::pair<std::int32_t, std::int32_t>> sorted{{floor[t], -1}};
        for (std::size_t d = 0; d < devices; ++d)
          if (times[d * stride + t] > 0) sorted.push_back({times[d * stride + t], static_cast<std::int32_t>(d)});
        std::ranges::stable_sort(sorted, std::greater<>(), &std::pair<std::int32_t, std::int32_t>::first);
        sorted.resize(3, {0, -1});
        for (std::size_t k = 0; k < 3; ++k) EXPECT_EQ(time[k][t], sorted[k].first) << devices << " devices";
        for (std::size_t k = 0; k < 2; ++k) {
          if (sorted[k].first == 0) continue;  // nobody
          EXPECT_EQ(device[k][t], sorted[k].second) << devices << " devices";
        }
      }
    }
}

}  // namespace
}  // namespace gem
