#include "cost/stages.hpp"

#include <fmt/core.h>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

class ExchangeStage : public Stage {
 public:
  explicit ExchangeStage(double row_ns) : row_s_(row_ns * 1e-9) {}

  std::string_view name() const override { return "exchange"; }
  std::string describe() const override {
    return fmt::format("{:.3g} ns of exchange for each row of the device that gets the most", row_s_ * 1e9);
  }
  double seconds(std::size_t, const DeviceLoad& load) const override {
    return row_s_ * static_cast<double>(load.tokens);
  }
  bool has_added() const override { return true; }
  double added_s(std::uint32_t tokens) const override { return row_s_ * tokens; }

  [[noreturn]] void refuse(double sum_s) const override {
    throw UsageError(
        fmt::format("the rows of one step would take {} to exchange, which cannot be; give nanoseconds a row, as "
                    "gem-verify prints them",
                    format_seconds(sum_s)));
  }

 private:
  double row_s_;
};

}  // namespace

std::shared_ptr<const Stage> make_exchange_stage(double row_ns) {
  return std::make_shared<ExchangeStage>(row_ns);
}

}  // namespace gem
