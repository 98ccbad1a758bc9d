#include "mapping/deal.hpp"

namespace gem {

void deal(const Communicator& world, std::size_t unit_count,
          const std::function<void(std::size_t unit, const SharedCounter& counter)>& work,
          const std::function<bool(std::size_t unit)>& is_over) {
  SharedCounter counter(world);
  try {
    world.on_all([&] {
      for (;;) {
        const auto unit = static_cast<std::size_t>(counter.next());
        if (unit >= unit_count || is_over(unit)) return;
        work(unit, counter);
      }
    });
  } catch (const AgreedError&) {
    counter.close();
    throw;
  }
  counter.close();
}

}  // namespace gem
