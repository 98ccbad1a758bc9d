#include "profile/device_spread.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <optional>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/table.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

constexpr std::size_t most_blocks = 12;  // of a repetition: long enough that slow drift stays within one
constexpr std::size_t least_blocks = 4;  // of all repetitions
constexpr std::size_t resamples = 2000;

// [device] mean over the blocks that `picked` numbers.
std::vector<double> mean_times(const Matrix<double>& log_time, std::span<const std::size_t> picked) {
  std::vector<double> means(log_time.columns(), 0.0);
  for (const std::size_t block : picked)
    for (std::size_t d = 0; d < means.size(); ++d) means[d] += log_time(block, d) / static_cast<double>(picked.size());
  return means;
}

// [device] time above the fastest one's, of logarithms.
std::vector<double> behind_fastest(std::vector<double> log_time) {
  const double least = std::ranges::min(log_time);
  for (double& value : log_time) value = std::expm1(value - least);
  return log_time;
}

double spread_of(const std::vector<double>& log_time) {
  const auto [least, most] = std::ranges::minmax(log_time);
  return std::expm1(most - least);
}

std::vector<std::size_t> all_blocks(std::size_t count) {
  std::vector<std::size_t> blocks(count);
  std::iota(blocks.begin(), blocks.end(), std::size_t{0});
  return blocks;
}

std::vector<std::size_t> blocks_of_repeat(const SpeedBlocks& blocks, std::size_t repeat) {
  std::vector<std::size_t> chosen;
  for (std::size_t b = 0; b < blocks.repeat.size(); ++b)
    if (blocks.repeat[b] == repeat) chosen.push_back(b);
  return chosen;
}

Interval spread_interval(const Matrix<double>& log_time, std::uint64_t seed) {
  RandomStream random{seed, 1};
  std::vector<double> spreads;
  std::vector<std::size_t> picked(log_time.rows());
  for (std::size_t i = 0; i < resamples; ++i) {
    for (std::size_t& block : picked) block = random.below(log_time.rows());
    spreads.push_back(spread_of(mean_times(log_time, picked)));
  }
  return {quantile(spreads, 0.025), quantile(spreads, 0.975)};
}

double spread_by_noise(Matrix<double> log_time, std::uint64_t seed) {
  RandomStream random{seed, 2};
  const std::vector<std::size_t> every = all_blocks(log_time.rows());
  std::vector<double> spreads;
  for (std::size_t i = 0; i < resamples; ++i) {
    for (std::size_t b = 0; b < log_time.rows(); ++b) random.shuffle(log_time.row(b));
    spreads.push_back(spread_of(mean_times(log_time, every)));
  }
  return quantile(spreads, 0.95);
}

// Equal loads end with the slowest device; loads in step with the speeds end together, at the harmonic mean of the
// times.
double most_gain_of(const std::vector<double>& behind) {
  double slowest = 0.0, speeds = 0.0;
  for (const double value : behind) {
    slowest = std::max(slowest, 1.0 + value);
    speeds += 1.0 / (1.0 + value);
  }
  return 1.0 - static_cast<double>(behind.size()) / speeds / slowest;
}

// Writes the times of the loads `chosen` of all devices as the block's row.
void fill_block(SpeedBlocks& blocks, std::size_t block, const Matrix<double>& seconds,
                std::span<const std::size_t> chosen) {
  const std::size_t devices = seconds.rows();
  for (const std::size_t load : chosen) {
    double sum = 0.0;
    for (std::size_t d = 0; d < devices; ++d) sum += std::log(seconds(d, load));
    for (std::size_t d = 0; d < devices; ++d)
      blocks.log_time(block, d) +=
          (std::log(seconds(d, load)) - sum / static_cast<double>(devices)) / static_cast<double>(chosen.size());
  }
}

std::vector<std::size_t> heavy_points(const LatencyProfile& profile) {
  std::int64_t most_tiles = 0;
  for (const LoadPoint& point : profile.points) most_tiles = std::max(most_tiles, point.tiles);
  std::vector<std::size_t> heavy;
  for (std::size_t p = 0; p < profile.points.size(); ++p)
    if (2 * profile.points[p].tiles >= most_tiles) heavy.push_back(p);
  return heavy;
}

void expect_same_sweep(const LatencyProfile& first, const LatencyProfile& other, const std::string& name,
                       const std::string& first_name) {
  if (other.model != first.model || other.points != first.points)
    throw DataError(name + ": has another model or other points than " + first_name + "; repeat the same sweep");
  if (other.pace != first.pace)  // clocks then differ, and with them what devices differ by
    throw DataError(name + ": was measured at another pace than " + first_name + "; repeat it at the same");
  bool same = other.device_count() == first.device_count();
  for (std::size_t d = 0; same && d < first.device_count(); ++d)
    same = other.devices[d].uuid == first.devices[d].uuid && other.devices[d].hostname == first.devices[d].hostname;
  if (!same)
    throw DataError(name + ": was measured on other devices, or in another order, than " + first_name +
                    "; measure both on the same");
}

// [device] number of the device among those of its node, in the order of ranks.
std::vector<std::size_t> slots_of(std::span<const DeviceDescription> devices) {
  std::map<std::string, std::size_t> used;
  std::vector<std::size_t> slots;
  for (const DeviceDescription& device : devices) slots.push_back(used[device.hostname]++);
  return slots;
}

std::string percent_text(double value) {
  return fmt::format("{:.2f}", 100.0 * value);
}

std::string verdict_text(const DeviceSpread& spread) {
  const std::string size = fmt::format(
      "the slowest takes {} % longer than the fastest (95 % interval {} to {} %); equal devices show up to {} % by "
      "noise",
      percent_text(spread.spread), percent_text(spread.interval.low), percent_text(spread.interval.high),
      percent_text(spread.noise_spread));
  if (!spread.is_distinguishable())
    return "VERDICT: NOT DISTINGUISHABLE - " + size + ". A mapping for their speeds would chase noise.";
  if (std::isnan(spread.agreement))
    return "VERDICT: DISTINGUISHABLE - " + size + ". Whether the same ones are slow again needs a second measurement.";
  const std::string again = fmt::format("correlation of their times {:.2f}", spread.agreement);
  if (!spread.is_repeatable())
    return "VERDICT: NOT REPEATABLE - " + size + "; but others are slow the second time (" + again +
           "). A mapping for their speeds would chase the moment.";
  return "VERDICT: DISTINGUISHABLE - " + size + ", and the same ones are slow again (" + again + ").";
}

}  // namespace

SpeedBlocks speed_blocks(std::span<const LatencyProfile> profiles, std::span<const std::string> names) {
  const std::vector<std::size_t> heavy = heavy_points(profiles.front());
  const std::size_t blocks_each = std::min(most_blocks, heavy.size());
  const std::size_t devices = profiles.front().device_count();
  SpeedBlocks blocks{Matrix<double>(profiles.size() * blocks_each, devices), {}};
  for (std::size_t i = 0; i < profiles.size(); ++i) {
    expect_same_sweep(profiles.front(), profiles[i], names[i], names.front());
    for (std::size_t b = 0; b < blocks_each; ++b) {
      const std::size_t first = b * heavy.size() / blocks_each, last = (b + 1) * heavy.size() / blocks_each;
      fill_block(blocks, blocks.repeat.size(), profiles[i].median_s, std::span(heavy).subspan(first, last - first));
      blocks.repeat.push_back(i);
    }
  }
  return blocks;
}

SpeedBlocks speed_blocks(const Matrix<double>& seconds, std::size_t loads_per_pass) {
  const std::size_t passes = seconds.columns() / loads_per_pass;
  const std::size_t count = std::min(2 * most_blocks, passes);
  SpeedBlocks blocks{Matrix<double>(count, seconds.rows()), {}};
  for (std::size_t block = 0; block < count; ++block) {
    const std::size_t first = block * passes / count * loads_per_pass,
                      last = (block + 1) * passes / count * loads_per_pass;
    std::vector<std::size_t> loads(last - first);
    std::iota(loads.begin(), loads.end(), first);
    fill_block(blocks, block, seconds, loads);
    blocks.repeat.push_back(block < count / 2 ? 0 : 1);
  }
  return blocks;
}

DeviceSpread judge_spread(const SpeedBlocks& blocks, std::uint64_t seed) {
  if (blocks.log_time.columns() < 2) throw UsageError("one device alone has no other to differ from; use two or more");
  if (blocks.log_time.rows() < least_blocks)
    throw UsageError(fmt::format("{} measurements of heavy loads are too few to tell devices apart; take {} or more",
                                 blocks.log_time.rows(), least_blocks));
  const std::vector<double> overall = mean_times(blocks.log_time, all_blocks(blocks.log_time.rows()));
  DeviceSpread result;
  result.behind = behind_fastest(overall);
  result.spread = spread_of(overall);
  result.interval = spread_interval(blocks.log_time, seed);
  result.noise_spread = spread_by_noise(blocks.log_time, seed);
  result.most_gain = most_gain_of(result.behind);
  const std::vector<double> first = mean_times(blocks.log_time, blocks_of_repeat(blocks, 0));
  result.behind_first = behind_fastest(first);
  result.agreement = std::numeric_limits<double>::quiet_NaN();
  if (blocks.repeat.back() > 0) {
    const std::vector<double> again = mean_times(blocks.log_time, blocks_of_repeat(blocks, blocks.repeat.back()));
    result.behind_again = behind_fastest(again);
    result.agreement = correlation(first, again);
  }
  return result;
}

std::string spread_text(const DeviceSpread& spread, std::span<const DeviceDescription> devices, std::size_t most_rows) {
  std::vector<std::size_t> order(devices.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::string left_out;
  if (order.size() > most_rows) {
    std::ranges::stable_sort(order, {}, [&](std::size_t d) { return spread.behind[d]; });
    left_out = fmt::format("{} devices between the fastest and the slowest are not listed\n", order.size() - most_rows);
    order.erase(order.begin() + static_cast<std::ptrdiff_t>(most_rows / 2),
                order.end() - static_cast<std::ptrdiff_t>(most_rows - most_rows / 2));
  }
  const std::vector<std::size_t> slots = slots_of(devices);
  const bool twice = !spread.behind_again.empty();
  std::vector<Table::Column> columns{{"device", ""}, {"node", ""}, {"slot", ""}, {"slower by", "%"}};
  if (twice) columns.insert(columns.end(), {{"first", "%", 2}, {"again", "%", 1}});
  Table table(std::move(columns));
  for (const std::size_t d : order) {
    const std::string& host = devices[d].hostname;
    std::vector<std::string> row{fmt::format("{}", d), host.empty() ? "-" : host, fmt::format("{}", slots[d]),
                                 percent_text(spread.behind[d])};
    if (twice) row.insert(row.end(), {percent_text(spread.behind_first[d]), percent_text(spread.behind_again[d])});
    table.add_row(std::move(row));
  }
  std::string notes;
  if (devices.front().is_simulated())
    notes += "Devices are simulated: their speeds are stated, not measured. ";
  else if (std::ranges::any_of(devices, [](const DeviceDescription& d) { return d.emulated_slowdown != 1.0; }))
    notes += "Their slowness is emulated by proportionally more time. ";
  notes += fmt::format(
      "At most {} % of the slowest device's time can be won from speeds alone: equal loads given out anew in step with "
      "the speeds, cut anywhere. What uneven experts cost comes on top and needs no unequal devices.",
      percent_text(spread.most_gain));
  return table.to_string() + left_out + "\n" + wrap(notes) + "\n" + wrap(verdict_text(spread)) + "\n";
}

JsonRecord spread_record(const DeviceSpread& spread, std::span<const DeviceDescription> devices) {
  const std::vector<std::size_t> slots = slots_of(devices);
  std::vector<JsonRecord> rows;
  for (std::size_t d = 0; d < devices.size(); ++d) {
    JsonRecord& row = rows.emplace_back();
    row.add("device", d)
        .add("kind", devices[d].kind)
        .add("hostname", devices[d].hostname)
        .add("slot", slots[d])
        .add("emulated_slowdown", devices[d].emulated_slowdown)
        .add("behind", spread.behind[d]);
    if (!spread.behind_again.empty())
      row.add("behind_first", spread.behind_first[d]).add("behind_again", spread.behind_again[d]);
  }
  const bool known = !std::isnan(spread.agreement);
  return JsonRecord()
      .add("devices", rows)
      .add("spread", spread.spread)
      .add("spread_low", spread.interval.low)
      .add("spread_high", spread.interval.high)
      .add("noise_spread", spread.noise_spread)
      .add("agreement", spread.agreement)
      .add("most_gain", spread.most_gain)
      .add("distinguishable", spread.is_distinguishable())
      .add("repeatable", known ? std::optional(spread.is_repeatable()) : std::nullopt);
}

}  // namespace gem
