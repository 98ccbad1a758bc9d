#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cost/load_keys.hpp"
#include "model/load_rule.hpp"

namespace gem {

/// One part of a layer's time. In each step a stage ends when its slowest device ends: it takes the maximum over
/// devices of
///     table_d[ sum of the keys of the device's experts ]  +  sum of what these experts add beside,
/// and a layer takes the sum of its stages. A stage without keys is *linear*: what experts add is all there is. A stage
/// with several keys has a table for each, and the rows of the device choose.
/// Search, bounds and predictions know stages by this interface alone; a new one is a class and an entry in
/// CostModel's constructor (README.md here).
class Stage {
 public:
  virtual ~Stage() = default;
  virtual std::string_view name() const = 0;
  /// What it counts, as part of a sentence.
  virtual std::string describe() const = 0;

  /// [device] its node, where loads of a node's devices add up before the maximum is taken, over nodes; empty where
  /// each device counts for itself. Such stages are linear, and the last ones of a model.
  virtual std::span<const std::int32_t> nodes() const;

  /// Seconds of a device for a load, for predictions.
  virtual double seconds(std::size_t device, const DeviceLoad& load) const = 0;

  /// How the loads of devices with up to `slots` experts are packed: once for each tile of the kernel, ascending by the
  /// rows of the device that it has this tile for; nothing for a linear stage.
  virtual std::vector<LoadKeys> keys(std::size_t slots) const;
  /// Seconds of a device for a key above 0 of these keys, its units spread evenly over its active experts. No load with
  /// this key takes less, but for what `saved_s` says.
  virtual double even_s(std::size_t device, const LoadKeys& keys, std::int32_t key) const;
  /// The part of even_s that the experts add themselves (added_s), so that it isn't counted twice.
  virtual double even_added_s(const LoadKeys& keys, std::int32_t key) const;
  /// Throws, with the remedy, if what experts can add is beyond belief beside `max_s`, the table's largest entry.
  virtual void check_table(const LoadKeys& keys, std::int32_t max_key, double max_s) const;

  /// Whether experts add anything beside their keys.
  virtual bool has_added() const = 0;
  /// Seconds that an expert with so many tokens adds; 0 or more in a linear stage.
  virtual double added_s(std::uint32_t tokens) const = 0;
  /// Seconds by which such an expert can bring its device below even_s at most; of all numbers of tokens, one token's
  /// is the largest.
  virtual double saved_s(std::uint32_t tokens) const;
  /// Throws, with the remedy: the experts of one step add `sum_s` together, more than can be counted in ticks.
  [[noreturn]] virtual void refuse(double sum_s) const = 0;
};

inline std::span<const std::int32_t> Stage::nodes() const {
  return {};
}
inline std::vector<LoadKeys> Stage::keys(std::size_t) const {
  return {};
}
inline double Stage::even_s(std::size_t, const LoadKeys&, std::int32_t) const {
  return 0.0;
}
inline double Stage::even_added_s(const LoadKeys&, std::int32_t) const {
  return 0.0;
}
inline void Stage::check_table(const LoadKeys&, std::int32_t, double) const {}
inline double Stage::saved_s(std::uint32_t) const {
  return 0.0;
}

}  // namespace gem
