#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/random.hpp"
#include "model/exchange_law.hpp"
#include "model/load_trace.hpp"
#include "platform/mpi/mpi.hpp"
#include "profile/profile_job.hpp"

namespace gem {

/// [expert] tokens of a layer that distinguish placements: of workloads with as many tokens a step, one of their steps
/// and layers, its experts dealt to the devices anew; without any, experts from equally popular to a few that get most,
/// by `skew` from 0 to 1. An expert has at most `tokens`.
std::vector<std::uint32_t> exchange_load(const std::vector<LoadTrace>& workloads, std::size_t experts,
                                         std::size_t tokens, std::size_t top_k, double skew, RandomStream& random);

/// Measures, where the setup asks for it, what whole layers take beside their slowest device's compute, as gem-verify
/// runs them, in steps of the setup's numbers of tokens; computes it from the stated links of simulated devices. The
/// devices hold the experts of the sweep. On rank 0; nothing elsewhere. Collective.
std::vector<ExchangeLaw> measure_exchange(const Communicator& ranks, const ProfileSetup& setup,
                                          const std::vector<LoadTrace>& workloads, const Devices& devices);

}  // namespace gem
