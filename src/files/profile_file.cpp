#include "files/profile_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/option.hpp"
#include "files/header.hpp"
#include "model/latency_profile_fields.hpp"
#include "model/profile_progress.hpp"
#include "model/weight_type.hpp"

namespace gem {
namespace {

const char* const file_format = "gem.profile";

void need(const Hdf5Input& file, bool is_there, const std::string& field) {
  if (!is_there) file.reject(field + " is missing; make the file again");
}

// Early profiles have at most one bend, its tiles as an attribute, 0 for none.
void read_early_bend(const Hdf5Input& file, LoadCosts& rule) {
  if (file.has_dataset("/rule/bend_tiles"))
    return need(file, file.has_dataset("/rule/surplus_tile"), "/rule/surplus_tile");
  const std::uint64_t tiles = file.has_attribute("bend_tiles") ? file.count_attribute("bend_tiles") : 0;
  if (tiles > 64)
    file.reject(fmt::format("attribute 'bend_tiles' is {}, but must be 0 to 64; make the file again", tiles));
  if (tiles == 0) rule.bends.clear();
  for (LoadCosts::Bend& bend : rule.bends) bend.tiles = static_cast<std::uint32_t>(tiles);
}

// Regimes are whole, and each row of a device has one.
void check_regimes(const Hdf5Input& file, const LatencyProfile& profile) {
  std::size_t points = 0;
  std::int64_t rows_before = 0;
  for (const TileRegime& regime : profile.regimes) {
    if (regime.rows_from > regime.rows_to || regime.rows_from <= rows_before)
      file.reject(
          fmt::format("/regimes/rows_from is {} and /regimes/rows_to {} behind {} rows, but regimes must ascend "
                      "without common rows; make the file again",
                      regime.rows_from, regime.rows_to, rows_before));
    rows_before = regime.rows_to;
    points += regime.point_count;
  }
  if (points != profile.regime_points.size())
    file.reject(fmt::format("/regimes/point_count adds up to {}, but /regimes/points has {}; make the file again",
                            points, profile.regime_points.size()));
  if (profile.regimes.empty()) return;
  need(file, profile.regime_median_s.rows() == profile.device_count(), "dataset /regimes/latency/median");
}

void check_topology(const Hdf5Input& file, const Topology& topology) {
  std::vector<std::int32_t> nodes = topology.node_of;
  std::ranges::sort(nodes);
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (nodes[i] > (i == 0 ? 0 : nodes[i - 1] + 1))
      file.reject(
          fmt::format("/topology/node has no node {}, but must number nodes from 0 without gaps; write it again",
                      i == 0 ? 0 : nodes[i - 1] + 1));
  if (!topology.links.empty() && topology.links.size() != 2)
    file.reject(
        fmt::format("/topology/bandwidth has {} values, but must have 2, inside a node and across nodes; write "
                    "it again",
                    topology.links.size()));
  if (!topology.links.empty()) {
    need(file, file.has_dataset("/topology/latency"), "dataset /topology/latency");
    need(file, file.has_dataset("/topology/bandwidth"), "dataset /topology/bandwidth");
    need(file, file.has_dataset("/topology/node"), "dataset /topology/node");
  }
}

void check_exchange_law(const Hdf5Input& file, const std::vector<ExchangeLaw>& laws) {
  for (std::size_t i = 1; i < laws.size(); ++i)
    if (laws[i].tokens <= laws[i - 1].tokens)
      file.reject(fmt::format("/exchange/law/tokens holds {} behind {}, but must ascend; make the file again",
                              laws[i].tokens, laws[i - 1].tokens));
  if (laws.empty()) return;
  for (const char* const name : {"tokens", "mean", "fixed", "row", "explained"})
    need(file, file.has_dataset(fmt::format("/exchange/law/{}", name)), fmt::format("dataset /exchange/law/{}", name));
}

void check_shared_experts(const Hdf5Input& file, const LatencyProfile& profile) {
  const std::vector<std::int64_t>& tokens = profile.shared_tokens;
  for (std::size_t i = 1; i < tokens.size(); ++i)
    if (tokens[i] <= tokens[i - 1])
      file.reject(fmt::format("/shared_experts/tokens holds {} behind {}, but must ascend; make the file again",
                              tokens[i], tokens[i - 1]));
  if (!tokens.empty()) need(file, file.has_dataset("/shared_experts/median"), "dataset /shared_experts/median");
  if (profile.shared_s.rows() > 0) need(file, !tokens.empty(), "dataset /shared_experts/tokens");
}

LatencyProfile read_any_profile(const Hdf5Input& file) {
  auto profile = read_fields<LatencyProfile>(file);
  if (profile.weight_dtype.empty()) profile.weight_dtype = word_of(WeightType::Bf16);
  // A search needs no shape; a replay says that it does.
  if ((profile.expert.hidden_size == 0) != (profile.expert.intermediate_size == 0))
    need(file, false, profile.expert.hidden_size == 0 ? "attribute 'hidden_size'" : "attribute 'intermediate_size'");
  if (!file.has_dataset("/devices/rank"))
    for (std::size_t d = 0; d < profile.devices.size(); ++d) profile.devices[d].rank = static_cast<std::int32_t>(d);
  if (profile.experts_per_device == 0)
    profile.experts_per_device =
        static_cast<std::size_t>(std::ranges::max(profile.points, {}, &LoadPoint::active_experts).active_experts);
  read_early_bend(file, profile.rule);
  std::erase_if(profile.rule.bends, [](const LoadCosts::Bend& bend) { return bend.tile_s == 0.0; });
  if (profile.device_count() < 2) profile.exchange = {};
  check_exchange_law(file, profile.exchange_law);
  check_shared_experts(file, profile);
  if (!profile.exchange.empty()) {
    need(file, file.has_dataset("/exchange/bandwidth"), "dataset /exchange/bandwidth");
    need(file, file.has_attribute("exchange_transport"), "attribute 'exchange_transport'");
  }
  check_regimes(file, profile);
  check_topology(file, profile.topology);
  return profile;
}

// An unfinished profile has NaN where nothing was measured yet.
void expect_finished(const Hdf5Input& file, const char* name, const Matrix<double>& latency_s) {
  for (std::size_t d = 0; d < latency_s.rows(); ++d)
    for (std::size_t p = 0; p < latency_s.columns(); ++p)
      if (std::isnan(latency_s(d, p)))
        file.reject(fmt::format("is an unfinished profile, {} holds nan at [{}, {}]; finish it with gem-profile {}",
                                name, d, p, on_command_line("resume")));
}

}  // namespace

LatencyProfile read_profile(const std::string& path) {
  const Hdf5Input file = open_gem_file(path, file_format);
  LatencyProfile profile = read_any_profile(file);
  expect_finished(file, "/latency/median", profile.median_s);
  expect_finished(file, "/latency/p95", profile.p95_s);
  expect_finished(file, "/regimes/latency/median", profile.regime_median_s);
  return profile;
}

LatencyProfile read_unfinished_profile(const std::string& path, const LatencyProfile& plan, std::uint64_t seed) {
  const Hdf5Input file = open_gem_file(path, file_format);
  const std::string remedy = "give the same options to go on, or start anew without " + on_command_line("resume");
  const std::uint64_t found_seed = file.count_attribute("seed");
  if (found_seed != seed)
    file.reject(fmt::format("the unfinished profile was begun with {} {} instead of {}; {}", on_command_line("seed"),
                            found_seed, seed, remedy));
  LatencyProfile profile = read_any_profile(file);
  const std::string difference = plan_difference(profile, plan);
  if (!difference.empty()) file.reject(fmt::format("the unfinished profile was begun with {}; {}", difference, remedy));
  // What this run found out before its first point.
  profile.devices = plan.devices;
  profile.exchange = plan.exchange;
  profile.exchange_law = plan.exchange_law;
  profile.shared_tokens = plan.shared_tokens;
  profile.shared_s = plan.shared_s;
  profile.topology = plan.topology;
  return profile;
}

void write_profile(const std::string& path, const LatencyProfile& profile, const Provenance& provenance) {
  write_gem_file(path, file_format, profile, provenance);
}

}  // namespace gem
