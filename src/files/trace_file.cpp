#include "files/trace_file.hpp"

#include <fmt/core.h>

#include "files/header.hpp"

namespace gem {
namespace {

const char* const file_format = "gem.trace";
constexpr std::uint32_t greatest_count = 1u << 30;  // tokens; rounding up to whole tiles must not overflow

std::string read_part(const Hdf5Input& file) {
  if (!file.has_attribute("part")) return "all";
  const std::string part = file.text_attribute("part");
  if (part != "all" && part != "train" && part != "test")
    file.reject("attribute 'part' is '" + part + "', but must be all, train or test");
  return part;
}

}  // namespace

LoadTrace read_trace(const std::string& path) {
  const Hdf5Input file = open_gem_file(path, file_format);
  const Extents extents = file.extents("/counts", 3);
  if (extents[0] == 0 || extents[1] == 0 || extents[2] == 0)
    file.reject("/counts has extents " + to_string(extents) +
                ", but must be [step, layer, expert] with one of each at least");
  LoadTrace trace;
  trace.model = file.text_attribute("model");
  trace.task = file.text_attribute("task");
  trace.phase = file.text_attribute("phase");
  trace.part = read_part(file);
  trace.top_k = checked_count(file, "attribute 'top_k'", file.count_attribute("top_k"), 1, extents[2]);
  trace.tokens_per_step =
      checked_count(file, "attribute 'tokens_per_step'", file.count_attribute("tokens_per_step"), 1, greatest_count);
  trace.layer_ids = read_layer_ids(file, extents[1]);
  trace.counts = Cube<std::uint32_t>(extents[0], extents[1], extents[2]);
  trace.counts.values() = read_checked<std::uint32_t>(
      file, "/counts", extents, [](std::uint32_t count) { return count <= greatest_count; },
      fmt::format("at most {} tokens", greatest_count));
  return trace;
}

void write_trace(const std::string& path, const LoadTrace& trace, const Provenance& provenance) {
  Hdf5Output file(path);
  write_header(file, file_format, provenance);
  file.attribute("task", trace.task);
  file.attribute("phase", trace.phase);
  file.attribute("part", trace.part);
  file.attribute("top_k", trace.top_k);
  file.attribute("tokens_per_step", trace.tokens_per_step);
  file.write({"/layer_ids", "1", "layer"}, trace.layer_ids, {trace.layer_count()});
  file.write({"/counts", "token", "step, layer, expert"}, trace.counts.values(),
             {trace.step_count(), trace.layer_count(), trace.expert_count()});
  file.commit();
}

}  // namespace gem
