#include "cost/device_latencies.hpp"

namespace gem {

DeviceLatencies::DeviceLatencies(const LatencyProfile& profile, LoadFeatures features)
    : features_(features), rules_(profile.load_rules()) {
  if (features == LoadFeatures::Tokens) {
    rules_ = LoadRules(LoadRule{.tile_tokens = profile.load_rule().tile_tokens});
    curves_ = curves_of(profile);
  } else {
    surfaces_ = tile_surfaces_of(profile);
  }
}

double DeviceLatencies::even_s(std::size_t device, std::size_t regime, double tiles, double active_experts,
                               double tokens) const {
  return features_ == LoadFeatures::Tokens ? curves_[device].seconds(tokens)
                                           : surfaces_[device].of(regime).seconds(tiles, active_experts);
}

double DeviceLatencies::seconds(std::size_t device, const DeviceLoad& load) const {
  return features_ == LoadFeatures::Tokens ? curves_[device].seconds(static_cast<double>(load.tokens))
                                           : surfaces_[device].seconds(load);
}

}  // namespace gem
