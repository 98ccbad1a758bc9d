#include "mapping/best_copies.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/text.hpp"
#include "mapping/baselines.hpp"
#include "mapping/copy_search.hpp"
#include "mapping/mapping_costs.hpp"
#include "mapping/mapping_request.hpp"

namespace gem {
namespace {

// None, and so many that devices have one, two and four slots more, as far as the profile was made for them and every
// copy finds room.
std::vector<std::size_t> numbers_to_try(const MappingQuestion& question) {
  const std::size_t experts = question.train.expert_count(), devices = question.profile.device_count();
  const std::size_t profiled = question.profile.experts_per_device * devices;
  const std::size_t to_divide = (devices - experts % devices) % devices;
  std::vector<std::size_t> numbers{0};
  for (const std::size_t slots : {1, 2, 4}) {
    const std::size_t copies = to_divide + (to_divide > 0 ? slots - 1 : slots) * devices;
    if (copies <= experts * (devices - 1) && (profiled == 0 || experts + copies <= profiled)) numbers.push_back(copies);
  }
  return numbers;
}

double quick_score(const Communicator& world, const MappingQuestion& question, std::size_t copies_wanted,
                   const LoadTrace& first, const LoadTrace& later) {
  const CostModel model = cost_model_of(question);
  CopyCounts copies;
  if (copies_wanted > 0) copies = search_copies(world, model, first, first, copies_wanted, question.search);
  const Mapping packed = packed_mapping(PackedBy::Speed, model, first, copies);
  const ModelAnswer found =
      first_optima(world, problems_of(model, first, copies), assignments_of(packed), question.search);
  std::vector<Assignment> layers;
  for (const LayerAnswer& layer : found.layers) layers.push_back(layer.assignment);
  MappingCosts costs(model, later);
  return costs.score(mapping_of(layers, copies, model.device_count())).mean_s;
}

}  // namespace

BestCopies best_copies(const Communicator& world, const MappingQuestion& question) {
  const OptionName option = option_name(&MappingRequest::redundant_experts);
  if (!entry_of(question.method).places_copies || question.levels == 2 || question.expert_groups > 1)
    throw option_error(option, "{} best: copies are placed by method {}, in one level and without {}; leave it out",
                       names_of(&MethodEntry::places_copies), option_name(&MappingRequest::expert_groups));
  if (!question.train.experts_of_layer.empty())
    throw option_error(option, "{} best goes with models whose layers have as many experts each; leave it out");
  const std::size_t steps = question.train.step_count();
  if (steps < 2) throw option_error(option, "{} best needs two steps or more, one to choose on and one to judge by");
  const LoadTrace first = steps_of(question.train, 0, steps / 2),
                  later = steps_of(question.train, steps / 2, steps - steps / 2);
  BestCopies best;
  std::vector<std::string> tried;
  double best_s = 0.0;
  for (const std::size_t copies : numbers_to_try(question)) {
    const double mean_s = quick_score(world, question, copies, first, later);
    if (tried.empty() || mean_s < best_s) {
      best_s = mean_s;
      best.redundant_experts = copies;
    }
    best.records.push_back(JsonRecord().add("copies", copies).add("mean_s", mean_s));
    tried.push_back(fmt::format("{} copies {}", copies, format_seconds(mean_s)));
  }
  best.report =
      wrap(fmt::format("Copies: {} a layer are best of those tried ({} a step, by quick searches on the first "
                       "{} and scored on the later {}; each {} further slots hold as many weights).",
                       best.redundant_experts, join(tried), counted(first.step_count(), "step"), later.step_count(),
                       question.profile.device_count())) +
      "\n";
  return best;
}

}  // namespace gem
