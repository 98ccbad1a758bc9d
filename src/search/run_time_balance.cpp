#include "search/run_time_balance.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "base/statistics.hpp"
#include "cost/device_loads.hpp"
#include "search/packing.hpp"

namespace gem {
namespace {

// Whole tokens nearest to `parts`, which sum up to `total`: the largest remainders get what is left.
std::vector<std::uint32_t> whole_tokens(std::span<const double> parts, std::uint32_t total) {
  std::vector<std::uint32_t> whole;
  std::vector<std::size_t> order(parts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::uint32_t given = 0;
  for (const double part : parts) {
    whole.push_back(std::min(total - given, static_cast<std::uint32_t>(std::max(0.0, part))));
    given += whole.back();
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return parts[a] - std::floor(parts[a]) > parts[b] - std::floor(parts[b]);
  });
  for (std::size_t i = 0; given < total; i = (i + 1) % order.size(), ++given) ++whole[order[i]];
  return whole;
}

// Pours `tokens` over devices that have `loads` so that (load + part) / speed is level where there is a part.
void pour(double tokens, std::span<const double> loads, std::span<const double> speeds, std::span<double> parts) {
  std::vector<std::size_t> order(loads.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) { return loads[a] * speeds[b] < loads[b] * speeds[a]; });
  double sum_load = tokens, sum_speed = 0.0, level = 0.0;
  for (const std::size_t i : order) {
    if (sum_speed > 0.0 && loads[i] >= level * speeds[i]) break;
    sum_load += loads[i];
    sum_speed += speeds[i];
    level = sum_load / sum_speed;
  }
  for (std::size_t i = 0; i < loads.size(); ++i) parts[i] = std::max(0.0, level * speeds[i] - loads[i]);
}

// The tokens of each copy, an expert's copies one after the other, that make the fullest device's tokens over its speed
// the minimum. Pouring each expert's tokens anew over what its devices have of the others lowers the sum of
// load^2 / speed, a convex function whose minimum makes the maximum of load / speed the minimum, too.
std::vector<double> levelled(std::span<const std::uint32_t> tokens, const ExpertHomes& homes,
                             std::span<const double> speeds) {
  std::vector<double> parts, loads(speeds.size(), 0.0);
  for (std::size_t expert = 0; expert < tokens.size(); ++expert)
    for (const std::int32_t device : homes.of(expert)) {
      parts.push_back(static_cast<double>(tokens[expert]) / static_cast<double>(homes.of(expert).size()));
      loads[static_cast<std::size_t>(device)] += parts.back();
    }
  constexpr int most_sweeps = 200;
  std::vector<double> of_others, own_speeds;
  double moved = 1.0;
  for (int sweep = 0; sweep < most_sweeps && moved > 0.1; ++sweep) {
    moved = 0.0;
    std::size_t first = 0;
    for (std::size_t expert = 0; expert < tokens.size(); first += homes.of(expert).size(), ++expert) {
      const auto devices = homes.of(expert);
      if (devices.size() < 2 || tokens[expert] == 0) continue;
      const std::span<double> own = std::span(parts).subspan(first, devices.size());
      of_others.clear();
      own_speeds.clear();
      for (std::size_t copy = 0; copy < devices.size(); ++copy) {
        const auto device = static_cast<std::size_t>(devices[copy]);
        of_others.push_back(loads[device] - own[copy]);
        own_speeds.push_back(speeds[device]);
      }
      pour(tokens[expert], of_others, own_speeds, own);
      for (std::size_t copy = 0; copy < devices.size(); ++copy) {
        double& load = loads[static_cast<std::size_t>(devices[copy])];
        moved = std::max(moved, std::abs(of_others[copy] + own[copy] - load));
        load = of_others[copy] + own[copy];
      }
    }
  }
  return parts;
}

// Seconds of all stages of a layer from what each device gets; the profiled stage's are given.
double layer_seconds(const CostModel& model, const std::vector<DeviceLoad>& loads, double profiled_s) {
  double sum_s = profiled_s;
  for (std::size_t s = profiled_stage + 1; s < model.stage_count(); ++s) {
    const Stage& stage = model.stage(s);
    const std::span<const std::int32_t> nodes = stage.nodes();
    std::vector<DeviceLoad> summed = loads;
    if (!nodes.empty()) {
      summed.assign(loads.size(), {});
      for (std::size_t d = 0; d < loads.size(); ++d)
        summed[static_cast<std::size_t>(nodes[d])].tokens += loads[d].tokens;
    }
    double slowest_s = 0.0;
    for (std::size_t d = 0; d < summed.size(); ++d) slowest_s = std::max(slowest_s, stage.seconds(d, summed[d]));
    sum_s += slowest_s;
  }
  return sum_s;
}

double device_seconds(const CostModel& model, std::size_t device, const DeviceLoad& load) {
  return load.tokens > 0 ? model.stage(profiled_stage).seconds(device, load) : 0.0;
}

// Sums up the steps of a score.
class Scoring {
 public:
  explicit Scoring(const LoadTrace& trace) : step_s_(trace.step_count(), 0.0) {}
  void add(std::size_t step, double layer_s, std::span<const double> device_s) {
    step_s_[step] += layer_s;
    slowest_s_ += std::ranges::max(device_s);
    mean_s_ += mean(device_s);
  }
  Score score() const { return {mean(step_s_), quantile(step_s_, 0.99), mean_s_ > 0.0 ? slowest_s_ / mean_s_ : 1.0}; }

 private:
  std::vector<double> step_s_;
  double slowest_s_ = 0.0, mean_s_ = 0.0;
};

// [device], each device's shares by the rule of its own rows.
std::vector<DeviceLoad> loads_of(std::span<const ExpertShare> shares, std::size_t device_count,
                                 const LoadRules& rules) {
  std::vector<std::vector<std::uint32_t>> tokens(device_count);
  for (const ExpertShare& share : shares) tokens[static_cast<std::size_t>(share.device)].push_back(share.tokens);
  std::vector<DeviceLoad> loads;
  for (const std::vector<std::uint32_t>& own : tokens) loads.push_back(load_of(own, rules));
  return loads;
}

}  // namespace

CopyTimes copy_times(std::span<const ExpertShare> shares, const Topology& topology, double expert_bytes) {
  const std::size_t devices = topology.node_of.size();
  std::vector<double> in_s(devices, 0.0), out_s(devices, 0.0);
  CopyTimes times{std::vector<double>(devices, 0.0)};
  const auto seconds = [&](bool inside) {
    const Link& link = inside ? topology.inside() : topology.across();
    return link.latency_s + expert_bytes / link.bytes_per_s;
  };
  std::map<std::pair<std::int32_t, std::int32_t>, double> sent_s;  // by expert and sender, over the slower link
  std::set<std::pair<std::int32_t, std::int32_t>> reached;         // expert and node
  for (const ExpertShare& share : shares) {
    if (share.from < 0) continue;
    const auto to = static_cast<std::size_t>(share.device), from = static_cast<std::size_t>(share.from);
    const bool own_node = topology.node_of[to] == topology.node_of[from];
    const double copy_s = seconds(own_node || !reached.insert({share.expert, topology.node_of[to]}).second);
    in_s[to] += copy_s;
    double& once_s = sent_s[{share.expert, share.from}];
    once_s = std::max(once_s, copy_s);
    ++times.count;
  }
  for (const auto& [sent, once_s] : sent_s) out_s[static_cast<std::size_t>(sent.second)] += once_s;
  for (const ExpertShare& share : shares) {
    if (share.from < 0) continue;
    double& there_s = times.there_s[static_cast<std::size_t>(share.device)];
    there_s =
        std::max({there_s, in_s[static_cast<std::size_t>(share.device)], out_s[static_cast<std::size_t>(share.from)]});
  }
  return times;
}

double seconds_with_copies(double whole_s, double home_s, double there_s) {
  return std::max(whole_s, there_s + whole_s - home_s);
}

std::vector<ExpertShare> at_home(std::span<const ExpertShare> shares) {
  std::vector<ExpertShare> home;
  std::ranges::copy_if(shares, std::back_inserter(home), [](const ExpertShare& share) { return share.from < 0; });
  return home;
}

ExpertHomes homes_of_shares(std::span<const ExpertShare> shares, std::size_t expert_count) {
  std::vector<std::vector<std::int32_t>> devices(expert_count);
  std::vector<std::vector<std::uint32_t>> tokens(expert_count);
  for (const ExpertShare& share : shares) {
    devices[static_cast<std::size_t>(share.expert)].push_back(share.device);
    tokens[static_cast<std::size_t>(share.expert)].push_back(share.tokens);
  }
  return {devices, tokens};
}

void describe(OptionList& options, RunTimeOptions& run_time) {
  options.group("What is decided at run time");
  options.add(
      "split", run_time.split,
      "also judge mappings whose copies share an expert's tokens by their devices' speeds, or, step by step, by a "
      "linear program; the search shares them evenly");
  options.add("online-exact", run_time.online_exact,
              "also judge balancers that copy experts in every step until each device has its quota of tokens, from "
              "linear and from the mapping found");
  options.add("quota", run_time.quota,
              "the quota of tokens of {online-exact}: equal for all devices, or by their speeds");
}

std::vector<ExpertShare> split_shares(std::span<const std::uint32_t> tokens, const ExpertHomes& homes,
                                      std::span<const double> speeds, CopySplit split) {
  std::vector<double> level;
  if (split == CopySplit::Lp) level = levelled(tokens, homes, speeds);
  std::vector<ExpertShare> shares;
  std::size_t first = 0;
  for (std::size_t expert = 0; expert < tokens.size(); first += homes.of(expert).size(), ++expert) {
    const auto devices = homes.of(expert);
    std::vector<std::uint32_t> whole;
    if (split == CopySplit::Even) {
      for (std::size_t copy = 0; copy < devices.size(); ++copy)
        whole.push_back(share_of(tokens[expert], devices.size(), copy));
    } else if (split == CopySplit::Speed) {
      std::vector<double> parts;
      for (const std::int32_t device : devices) parts.push_back(speeds[static_cast<std::size_t>(device)]);
      const double sum = std::accumulate(parts.begin(), parts.end(), 0.0);
      for (double& part : parts) part *= tokens[expert] / sum;
      whole = whole_tokens(parts, tokens[expert]);
    } else {
      whole = whole_tokens(std::span(level).subspan(first, devices.size()), tokens[expert]);
    }
    for (std::size_t copy = 0; copy < devices.size(); ++copy)
      if (whole[copy] > 0) shares.push_back({static_cast<std::int32_t>(expert), devices[copy], whole[copy]});
  }
  return shares;
}

std::vector<ExpertShare> online_shares(std::span<const std::uint32_t> tokens, const ExpertHomes& homes,
                                       std::span<const double> quota_speeds, std::span<const std::int32_t> node_of) {
  constexpr double tolerance = 0.01;
  const std::size_t devices = quota_speeds.size();
  std::vector<ExpertShare> shares = split_shares(tokens, homes, quota_speeds, CopySplit::Even);
  const double sum_speed = std::accumulate(quota_speeds.begin(), quota_speeds.end(), 0.0);
  std::vector<std::int64_t> loads(devices, 0), quotas;
  for (const ExpertShare& share : shares) loads[static_cast<std::size_t>(share.device)] += share.tokens;
  for (const double speed : quota_speeds)
    quotas.push_back(std::llround(std::ceil(static_cast<double>(row_count(tokens)) * speed / sum_speed)));
  std::vector<std::vector<std::size_t>> own(devices);  // shares of each device, the most tokens last
  for (std::size_t i = 0; i < shares.size(); ++i) own[static_cast<std::size_t>(shares[i].device)].push_back(i);
  for (auto& list : own)
    std::ranges::stable_sort(list, [&](std::size_t a, std::size_t b) { return shares[a].tokens < shares[b].tokens; });

  const auto room = [&](std::size_t device) { return quotas[device] - loads[device]; };
  const auto emptiest = [&](std::size_t sender, bool own_node) {
    std::size_t best = devices;
    for (std::size_t d = 0; d < devices; ++d)
      if (room(d) > 0 && (!own_node || node_of.empty() || node_of[d] == node_of[sender]) &&
          (best == devices || room(d) > room(best)))
        best = d;
    return best;
  };
  std::vector<std::size_t> order(devices);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return room(a) < room(b); });
  for (const std::size_t sender : order) {
    const auto excess = [&] { return -room(sender); };
    while (static_cast<double>(excess()) > tolerance * static_cast<double>(quotas[sender]) && !own[sender].empty()) {
      const std::size_t hottest = own[sender].back();
      std::size_t receiver = emptiest(sender, true);
      if (receiver == devices) receiver = emptiest(sender, false);
      if (receiver == devices) break;
      const std::int64_t moved = std::min({excess(), room(receiver), std::int64_t{shares[hottest].tokens}});
      const std::int32_t expert = shares[hottest].expert, to = static_cast<std::int32_t>(receiver);
      // A device that has the expert already, at home or sent, takes more of its tokens.
      const auto there = std::ranges::find_if(
          shares, [&](const ExpertShare& share) { return share.expert == expert && share.device == to; });
      if (there != shares.end())
        there->tokens += static_cast<std::uint32_t>(moved);
      else
        shares.push_back({expert, to, static_cast<std::uint32_t>(moved), static_cast<std::int32_t>(sender)});
      shares[hottest].tokens -= static_cast<std::uint32_t>(moved);
      loads[sender] -= moved;
      loads[receiver] += moved;
      if (shares[hottest].tokens == 0) own[sender].pop_back();
    }
  }
  std::erase_if(shares, [](const ExpertShare& share) { return share.tokens == 0; });
  return shares;
}

Score score_split(const CostModel& model, const LoadTrace& trace, const Mapping& mapping, CopySplit split) {
  const LoadRules& rules = model.latencies().rules();
  Scoring scoring(trace);
  std::vector<double> device_s(model.device_count());
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    const ExpertHomes homes = homes_of(mapping, layer);
    const std::vector<double> speeds = relative_speeds(model.latencies(), trace, layer);
    for (std::size_t step = 0; step < trace.step_count(); ++step) {
      const std::vector<DeviceLoad> loads =
          loads_of(split_shares(trace.counts.row(step, layer), homes, speeds, split), device_s.size(), rules);
      for (std::size_t d = 0; d < loads.size(); ++d) device_s[d] = device_seconds(model, d, loads[d]);
      scoring.add(step, layer_seconds(model, loads, std::ranges::max(device_s)), device_s);
    }
  }
  return scoring.score();
}

OnlineScore score_online(const CostModel& model, const LoadTrace& trace, const Mapping& homes, const Topology& topology,
                         double expert_bytes, Quota quota) {
  const LoadRules& rules = model.latencies().rules();
  const std::size_t devices = model.device_count();
  Scoring scoring(trace);
  OnlineScore online;
  std::vector<double> device_s(devices);
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    const ExpertHomes layer_homes = homes_of(homes, layer);
    const std::vector<double> speeds =
        quota == Quota::Speed ? relative_speeds(model.latencies(), trace, layer) : std::vector<double>(devices, 1.0);
    for (std::size_t step = 0; step < trace.step_count(); ++step) {
      const std::vector<ExpertShare> shares =
          online_shares(trace.counts.row(step, layer), layer_homes, speeds, topology.node_of);
      const CopyTimes copies = copy_times(shares, topology, expert_bytes);
      const std::vector<DeviceLoad> loads = loads_of(shares, devices, rules);
      const std::vector<DeviceLoad> home_loads = loads_of(at_home(shares), devices, rules);
      double unhindered_s = 0.0;
      for (std::size_t d = 0; d < devices; ++d) {
        const double whole_s = device_seconds(model, d, loads[d]), home_s = device_seconds(model, d, home_loads[d]);
        device_s[d] = seconds_with_copies(whole_s, home_s, copies.there_s[d]);
        unhindered_s = std::max(unhindered_s, whole_s);
      }
      const double slowest_s = std::ranges::max(device_s);
      scoring.add(step, layer_seconds(model, loads, slowest_s), device_s);
      online.copies += static_cast<double>(copies.count);
      online.copy_s += std::ranges::max(copies.there_s);
      online.exposed_s += slowest_s - unhindered_s;
    }
  }
  const auto cells = static_cast<double>(trace.layer_count() * trace.step_count());
  online.copies /= cells;
  online.copy_s /= cells;
  online.exposed_s /= cells;
  online.score = scoring.score();
  return online;
}

}  // namespace gem
