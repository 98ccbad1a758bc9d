#include "search/delta_check.hpp"

namespace gem {

void check_delta(const Placement&, std::int64_t, std::int64_t, std::string_view) {}

}  // namespace gem
