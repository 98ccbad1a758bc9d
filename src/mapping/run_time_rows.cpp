#include "mapping/run_time_rows.hpp"

#include <fmt/core.h>

#include "base/text.hpp"
#include "mapping/remapping.hpp"
#include "search/run_time_balance.hpp"

namespace gem {
RunTimeRows run_time_rows(const MappingQuestion& question, const CostModel& model, const std::vector<Mapping>& mappings,
                          const Mapping& found) {
  RunTimeRows result;
  const RunTimeOptions& options = question.run_time;
  const auto add = [&](const std::string& name, const auto& score) {
    result.rows.push_back({name, score(question.train), question.test ? score(*question.test) : Score{}});
  };
  if (options.split != CopySplit::Even)
    for (const Mapping& mapping : mappings)
      if (mapping.redundant_count() > 0)
        add(mapping.method + "+" + word_of(options.split),
            [&](const LoadTrace& trace) { return score_split(model, trace, mapping, options.split); });
  if (!options.online_exact) return result;

  OnlineScore last;  // of the steps that are scored, where there are any
  std::string copies;
  const auto add_online = [&](const std::string& name, const Mapping& homes) {
    add(name, [&](const LoadTrace& trace) {
      last = score_online(model, trace, homes, question.profile.topology,
                          static_cast<double>(expert_bytes_of(question.profile)), options.quota);
      return last.score;
    });
    copies += fmt::format(" {} sends {:.1f} copies a layer and step, there after {}, of which {} are not hidden.", name,
                          last.copies, format_seconds(last.copy_s), format_seconds(last.exposed_s));
  };
  add_online("online-exact", mappings.front());
  if (found.method != mappings.front().method) add_online(found.method + "+online", found);
  result.notes =
      "\n" +
      wrap(fmt::format("Note: online-exact copies experts in every step until each device has its quota of tokens "
                       "({}); the bound is of mappings that stay.{} Copies take the links' bandwidth and hide under "
                       "what their receiver has at home; deciding takes no time. Computed, not measured.",
                       options.quota == Quota::Speed ? "by speed" : "equal", copies)) +
      "\n";
  return result;
}

}  // namespace gem
