#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "model/mapping.hpp"

namespace gem {

/// A way to find a mapping: its place in the table of methods.cpp. What holds for some methods alone is asked of their
/// entry, never of their name.
enum class Method : std::size_t {};

struct MethodTask;
struct MethodResult;

/// What there is to know of a method.
struct MethodEntry {
  std::string_view name;
  std::string_view summary;    ///< what it does, for help
  bool places_copies = false;  ///< of experts, where there are to be any
  bool needs_nodes = false;    ///< two or more, equally large: without them it is left out
  bool by_name_only = false;   ///< run where it is asked for, never just to compare with
  /// Takes time, all ranks and the options of the search, and begins with what the methods before it found; the others
  /// are always run, to compare with.
  bool searches = false;
  MethodResult (*run)(const MethodTask& task);
};

std::vector<Method> all_methods();
const MethodEntry& entry_of(Method method);
std::string method_name(Method method);
/// "linear, round-robin, ...": all.
std::string method_names();
/// UsageError listing the methods for an unknown word.
Method parse_method(std::string_view name);

/// The one that all are compared with: the first.
Method reference_method();
/// The one that is wanted, and judged, where none is named: the last.
Method default_method();

/// Whether the mapping says that the method made it.
bool made_by(const Mapping& mapping, Method method);

/// Names of the methods that place copies, or that search: "eplb, speed-aware or gem", for messages; without those that
/// need nodes where there are none, and without those that run by name only where not all are `wanted`.
std::string names_of(bool MethodEntry::*ability, std::string_view before_last = " or ", bool has_nodes = true,
                     bool wanted = true);

}  // namespace gem
