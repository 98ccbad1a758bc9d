#include "mapping/methods.hpp"

#include <fmt/core.h>

#include "base/error.hpp"
#include "base/text.hpp"
#include "mapping/baselines.hpp"
#include "mapping/gem_method.hpp"
#include "mapping/method_task.hpp"
#include "mapping/paper_method.hpp"

namespace gem {
namespace {

MethodResult run_linear(const MethodTask& task) {
  return {linear_mapping(task.question.train, task.costs.model().device_count(), task.question.redundant_experts)};
}

MethodResult run_round_robin(const MethodTask& task) {
  return {round_robin_mapping(task.question.train, task.costs.model().device_count(), task.question.redundant_experts)};
}

MethodResult run_eplb(const MethodTask& task) {
  return {packed_mapping(PackedBy::Load, task.costs.model(), task.question.train, copies_by_mean_load(task.question))};
}

MethodResult run_eplb_deepseek(const MethodTask& task) {
  const CopyCounts copies = copies_by_mean_load(task.question);
  if (copies.rows() == 0) return run_eplb(task);
  return {copies_packed_apart(task.question.train, copies, task.costs.model().device_count())};
}

MethodResult run_eplb_hierarchical(const MethodTask& task) {
  const MappingQuestion& question = task.question;
  return {node_packed_mapping(question.profile.topology, question.train, question.routing_groups,
                              question.redundant_experts)};
}

MethodResult run_speed_aware(const MethodTask& task) {
  return {packed_mapping(PackedBy::Speed, task.costs.model(), task.question.train, copies_by_mean_load(task.question))};
}

MethodResult run_paper(const MethodTask& task) {
  return {
      paper_mapping(task.question.profile, task.question.train, [&] { return task.question.search.out_of_time(); })};
}

// A new method is an entry here; the first and the last have a role (methods.hpp).
constexpr MethodEntry entries[] = {
    {.name = "linear", .summary = "neighbouring experts together, as engines do by default", .run = run_linear},
    {.name = "round-robin", .summary = "experts dealt to the devices in turn", .run = run_round_robin},
    {.name = "eplb",
     .summary = "mean loads packed evenly, as DeepSeek's EPLB does",
     .places_copies = true,
     .run = run_eplb},
    {.name = "eplb-deepseek",
     .summary = "with copies: each goes where DeepSeek's EPLB packs it, or to the next device that has no other of its "
                "expert",
     .places_copies = true,
     .by_name_only = true,
     .run = run_eplb_deepseek},
    {.name = "eplb-hierarchical",
     .summary = "mean loads packed over nodes, then over each node's devices, as DeepSeek's EPLB does on several nodes",
     .places_copies = true,
     .needs_nodes = true,
     .run = run_eplb_hierarchical},
    {.name = "speed-aware",
     .summary = "mean loads packed in proportion to the devices' speeds",
     .places_copies = true,
     .run = run_speed_aware},
    {.name = "paper", .summary = "swaps on 16 steps by tokens alone, as in arXiv 2605.19945", .run = run_paper},
    {.name = "gem",
     .summary = "a search, step by step, on the measured latency of each device",
     .places_copies = true,
     .searches = true,
     .run = run_gem},
};

}  // namespace

std::vector<Method> all_methods() {
  std::vector<Method> methods;
  for (std::size_t i = 0; i < std::size(entries); ++i) methods.push_back(Method{i});
  return methods;
}

const MethodEntry& entry_of(Method method) {
  return entries[static_cast<std::size_t>(method)];
}

std::string method_name(Method method) {
  return std::string(entry_of(method).name);
}

std::string method_names() {
  std::vector<std::string> names;
  for (const Method method : all_methods()) names.push_back(method_name(method));
  return join(names);
}

Method parse_method(std::string_view name) {
  for (const Method method : all_methods())
    if (entry_of(method).name == name) return method;
  throw UsageError(fmt::format("unknown method '{}'; there are {}", name, method_names()));
}

Method reference_method() {
  return Method{0};
}

Method default_method() {
  return Method{std::size(entries) - 1};
}

bool made_by(const Mapping& mapping, Method method) {
  return mapping.method == entry_of(method).name;
}

std::string names_of(bool MethodEntry::*ability, std::string_view before_last, bool has_nodes, bool wanted) {
  std::vector<std::string> names;
  for (const MethodEntry& entry : entries)
    if (entry.*ability && (has_nodes || !entry.needs_nodes) && (wanted || !entry.by_name_only))
      names.emplace_back(entry.name);
  const std::string last = names.back();
  names.pop_back();
  return names.empty() ? last : join(names) + std::string(before_last) + last;
}

}  // namespace gem
