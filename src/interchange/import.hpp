#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/option.hpp"
#include "interchange/column_roles.hpp"
#include "interchange/imported_counts.hpp"
#include "interchange/recorded_routing.hpp"
#include "model/load_trace.hpp"
#include "model/routing.hpp"
#include "model/trace_words.hpp"

namespace gem {

/// Whether counts by step are totals since the recorder began.
enum class Cumulative { Ask, Yes, No };
inline std::vector<OptionWord<Cumulative>> words_of(Cumulative) {
  return {{"ask", Cumulative::Ask}, {"yes", Cumulative::Yes}, {"no", Cumulative::No}};
}

/// What the user or a known model adds to what an engine recorded.
struct ImportOptions {
  std::string model = "unknown";
  std::string task = "imported";
  Phase phase = Phase::Decode;
  std::size_t expert_count = 0;             ///< 0: as the data have it
  LayerExperts layer_experts;               ///< of each layer that has experts; empty: as the data have it
  std::size_t top_k = 0;                    ///< 0: as the data have it
  std::size_t decoder_layers = 0;           ///< of the model, dense ones too; 0: unknown
  std::vector<std::int32_t> layer_ids;      ///< empty: as the data have it
  std::size_t tokens = 0;                   ///< aggregates are scaled to so many tokens a step; 0: left as they are
  std::size_t ranks = 0;                    ///< ranks that recorded; 0: those whose files are given
  std::size_t counted_times = 0;            ///< how often each token was counted; 0: found out where it can be
  std::size_t fused_shared = 0;             ///< shared experts that the engine counts behind the routed ones
  std::size_t zero_experts = 0;             ///< ids behind the routed experts that compute nothing
  std::string axes;                         ///< of plain arrays; empty: "step,layer,expert", or "layer,expert"
  ColumnChoice columns;                     ///< names of columns, where they aren't the usual ones
  bool add_repeated = false;                ///< add lines of one step, layer and expert
  Cumulative cumulative = Cumulative::Ask;  ///< whether counts are running totals
  bool keep_partial = false;                ///< keep steps that not all ranks recorded
};

/// What was recorded: counts become a trace, ids become routing.
using Recording = std::variant<ImportedCounts, RecordedRouting>;

/// A kind of input that `gem-trace import` knows.
struct ImportFormat {
  std::string name;     ///< of --format
  std::string summary;  ///< for --help: who records it, in which files
  std::string checked;  ///< the version whose code the reader was checked against
  /// True if the file, or the directory that is one recording, is of this format for sure. Never throws for a file of
  /// another one.
  bool (*recognises)(const std::string& path, const ImportOptions& options);
  /// Reads all files together. DataError naming file, field, what was found and what to do.
  Recording (*read)(const std::vector<std::string>& paths, const ImportOptions& options);
};

extern const ImportFormat sglang_recording;
extern const ImportFormat tensorrt_llm_recording;
extern const ImportFormat vllm_load_recording;
extern const ImportFormat routed_experts_recording;
extern const ImportFormat plain_counts_recording;

/// All of them, in the order in which they are tried.
const std::vector<const ImportFormat*>& import_formats();

/// Files to read, directories replaced by the recordings in them, none twice; and their format, found by what they hold
/// unless `format` names it. UsageError if that does not decide it, DataError if there is nothing.
struct ImportSources {
  const ImportFormat* format = nullptr;
  std::vector<std::string> paths;
  std::vector<std::string> notes;
};
ImportSources find_sources(const std::vector<std::string>& inputs, const std::string& format,
                           const ImportOptions& options);

/// What the files hold.
Recording read_recording(const ImportSources& sources, const ImportOptions& options);

/// The step trace of recorded counts: layers and steps without tokens are left out, aggregates become one step.
/// `notes` gets what the user should know. UsageError where an option is missing or contradicts the data, DataError
/// where counts are no counts.
LoadTrace trace_of(ImportedCounts imported, const ImportOptions& options, std::vector<std::string>& notes);

/// Token-level routing of recorded ids: layers and tokens that were not recorded are left out, as are tokens that name
/// an expert twice; `notes` gets how many. DataError if nothing is left.
Routing routing_of(const RecordedRouting& recorded, const ImportOptions& options, std::vector<std::string>& notes);

/// The model's own numbers of `count` recorded layers, and what the user should know: those of the options, else 0, 1,
/// .... UsageError if the options name another number of layers.
std::vector<std::int32_t> numbered_layers(std::size_t count, const ImportOptions& options,
                                          std::vector<std::string>& notes);

/// "3", "3-60" or "1-4, 7": ascending numbers in short, after `most` ranges "...".
std::string ranges_text(const std::vector<std::int64_t>& numbers, std::size_t most = 8);

/// "64,64,48" or "2x64,48" as the number of experts of each layer. UsageError naming `what` for anything else.
LayerExperts parse_layer_experts(const std::string& text, const std::string& what);

/// Those of the options for the `count` layers that are imported, none with more than `width`. UsageError otherwise.
const LayerExperts& stated_layer_experts(const ImportOptions& options, std::size_t count, std::size_t width);

/// "3-60" or "1,3,5" as ascending numbers of layers. UsageError naming `what` for anything else.
std::vector<std::int32_t> parse_layer_ids(const std::string& text, const std::string& what);

}  // namespace gem
