// SGLang's expert distribution recorder (python/sglang/srt/eplb/expert_distribution.py, version 0.5.23), written by
// torch.save: mode stat: {"logical_count": [step, layer, expert], ...}, summed over ranks, rows of zeros for dense
// layers and for steps of the ring buffer that were not used; modes per_pass and per_token: {"records":
// [{"forward_pass_id", "rank", "global_physical_count": [layer, slot], ...}], "last_physical_to_logical_map": [layer,
// slot]}, one file a rank.
#include <fmt/core.h>
#include <algorithm>
#include <map>
#include <set>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/import.hpp"
#include "interchange/torch_file.hpp"

namespace gem {
namespace {

void add_steps(CountCollector& collector, const NumberArray& counts, std::int64_t first_step) {
  const std::size_t layers = counts.extents[1], experts = counts.extents[2];
  for (std::size_t row = 0; row < counts.extents[0] * layers; ++row)
    collector.add(first_step + static_cast<std::int64_t>(row / layers), static_cast<std::int32_t>(row % layers),
                  std::span(counts.values).subspan(row * experts, experts));
}

/// Experts a token in topk_ids_of_layer [layer, token, place]; unused places hold -1.
std::size_t top_k_of(const NumberArray& ids) {
  const std::size_t places = ids.extents[2];
  std::size_t most = 0;
  for (std::size_t token = 0; places > 0 && token < ids.values.size() / places; ++token)
    most = std::max(
        most, static_cast<std::size_t>(std::ranges::count_if(std::span(ids.values).subspan(token * places, places),
                                                             [](double id) { return id >= 0.0; })));
  return most;
}

/// Counts [layer, slot] of a pass; older recorders of mode per_token leave them to be counted.
NumberArray physical_counts(const TorchFile& file, Pickle::Index record, std::size_t slot_count, std::size_t& top_k) {
  const auto ids = file.find(record, "topk_ids_of_layer");
  const auto counts = file.find(record, "global_physical_count");
  NumberArray tokens;
  if (ids) {
    tokens = file.tensor(*ids, 3, "topk_ids_of_layer");
    top_k = std::max(top_k, top_k_of(tokens));
  }
  if (counts) return file.tensor(*counts, 2, "global_physical_count");
  if (!ids)
    file.reject("has a record with neither global_physical_count nor topk_ids_of_layer; record with mode per_pass");
  const std::size_t layers = tokens.extents[0];
  NumberArray counted{{layers, slot_count}, std::vector<double>(layers * slot_count, 0.0), true};
  for (std::size_t i = 0; i < tokens.values.size(); ++i) {
    if (tokens.values[i] < 0.0) continue;
    if (tokens.values[i] >= static_cast<double>(slot_count))
      file.reject(fmt::format("topk_ids_of_layer holds slot {:g}, but there are {}", tokens.values[i], slot_count));
    const std::size_t layer = i / (tokens.extents[1] * tokens.extents[2]);
    counted.values[layer * slot_count + static_cast<std::size_t>(tokens.values[i])] += 1.0;
  }
  return counted;
}

/// What has been read of the passes of all ranks.
struct Passes {
  std::set<std::int64_t> ranks;
  std::map<std::string, std::vector<double>> seen;  // counts by rank, pass and gatherer
  std::size_t repeated = 0;
  std::size_t top_k = 0;
};

std::int64_t integer_of(const TorchFile& file, Pickle::Index record, const char* key, std::int64_t otherwise) {
  const auto value = file.find(record, key);
  return value && file.pickle().kind(*value) == Pickle::Kind::Integer ? file.pickle().integer(*value) : otherwise;
}

std::string text_of(const TorchFile& file, Pickle::Index record, const char* key) {
  const auto value = file.find(record, key);
  return value && file.pickle().kind(*value) == Pickle::Kind::Text ? file.pickle().text(*value) : "";
}

/// A rank may dump several times, into files that overlap; what it says again is passed over.
bool is_new(Passes& passes, const TorchFile& file, Pickle::Index record, std::int64_t rank, std::int64_t pass,
            const NumberArray& counts) {
  const std::string gatherer = text_of(file, record, "gatherer_key");
  const auto [seen, added] = passes.seen.emplace(fmt::format("{} {} {}", rank, pass, gatherer), counts.values);
  if (added) return true;
  if (seen->second != counts.values)
    file.reject(
        fmt::format("rank {} recorded pass {} twice, with other counts: these are files of several recordings; "
                    "import them one by one",
                    rank, pass));
  ++passes.repeated;
  return false;
}

void add_records(CountCollector& collector, const TorchFile& file, Pickle::Index records, Passes& passes) {
  const Pickle& pickle = file.pickle();
  const auto map_value = file.find(pickle.root(), "last_physical_to_logical_map");
  if (!map_value) file.reject("has records, but no last_physical_to_logical_map");
  const NumberArray map = file.tensor(*map_value, 2, "last_physical_to_logical_map");
  const std::size_t layers = map.extents[0], slots = map.extents[1];
  const std::size_t experts = logical_expert_count(map.values, slots, file.path());
  for (const Pickle::Index record : pickle.items(records)) {
    const auto pass = file.find(record, "forward_pass_id");
    if (!pass || pickle.kind(*pass) != Pickle::Kind::Integer) file.reject("has a record without forward_pass_id");
    const std::int64_t rank = integer_of(file, record, "rank", 0);
    const NumberArray counts = physical_counts(file, record, slots, passes.top_k);
    if (counts.extents != map.extents)
      file.reject("has counts " + extents_text(counts.extents) + ", but a map of " + extents_text(map.extents));
    passes.ranks.insert(rank);
    collector.begin_part(fmt::format("rank {}", rank));
    if (!is_new(passes, file, record, rank, pickle.integer(*pass), counts)) continue;
    for (std::size_t layer = 0; layer < layers; ++layer) {
      std::vector<double> logical(experts, 0.0);
      add_physical(std::span(counts.values).subspan(layer * slots, slots),
                   std::span(map.values).subspan(layer * slots, slots), logical, file.path());
      collector.add(pickle.integer(*pass), static_cast<std::int32_t>(layer), logical);
    }
  }
}

NumberArray logical_counts(const TorchFile& file, Pickle::Index value) {
  const Pickle& pickle = file.pickle();
  const bool aggregate = pickle.kind(value) == Pickle::Kind::Tensor && pickle.tensor(value).extents.size() == 2;
  NumberArray counts = file.tensor(value, aggregate ? 2 : 3, "logical_count");
  if (aggregate) counts.extents.insert(counts.extents.begin(), 1);
  return counts;
}

bool recognises(const std::string& path, const ImportOptions&) {
  if (!is_torch_name(path)) return false;
  try {
    const TorchFile file(path);
    const Pickle::Index root = file.pickle().root();
    return file.find(root, "logical_count") || file.find(root, "records");
  } catch (const Error&) {
    return false;
  }
}

Recording read(const std::vector<std::string>& paths, const ImportOptions& options) {
  ImportedCounts imported;
  CountCollector collector(paths.front());
  Passes passes;
  std::int64_t steps = 0;
  for (const std::string& path : paths) {
    const TorchFile file(path);
    const Pickle::Index root = file.pickle().root();
    const auto records = file.find(root, "records");
    if (const auto counts = file.find(root, "logical_count")) {
      const NumberArray array = logical_counts(file, *counts);
      add_steps(collector, array, steps);
      steps += static_cast<std::int64_t>(array.extents[0]);
    } else if (records && file.pickle().kind(*records) == Pickle::Kind::List) {
      add_records(collector, file, *records, passes);
    } else {
      file.reject("has neither logical_count nor records, so SGLang's expert distribution recorder did not write it");
    }
  }
  const bool by_rank = !passes.ranks.empty();
  if (by_rank && steps > 0)
    throw DataError(paths.front() +
                    ": files of the modes stat and per_pass or per_token do not go together; give one kind");
  check_ranks(passes.ranks, options, paths.front(), imported.notes);
  collector.finish(imported, options);
  imported.top_k = passes.top_k;
  imported.every_decoder_layer = static_cast<std::size_t>(imported.layer_ids.back()) + 1 == imported.layer_ids.size();
  if (imported.every_decoder_layer) imported.layer_ids.clear();
  imported.summed_over_ranks = !by_rank;
  imported.has_steps = by_rank || steps > 1;
  imported.source = by_rank ? "SGLang expert distribution, by forward pass" : "SGLang expert distribution, mode stat";
  if (!by_rank && options.ranks > 0)
    imported.notes.push_back("mode stat is summed over all ranks by SGLang itself, and doesn't say how many: " +
                             on_command_line("ranks") + " is not checked");
  if (passes.repeated > 0)
    imported.notes.push_back(fmt::format("{} passes were given twice and counted once", passes.repeated));
  if (by_rank)
    imported.notes.push_back(
        fmt::format("passes are summed over the {} files given, of {} ranks", paths.size(), passes.ranks.size()));
  else if (imported.has_steps)
    imported.notes.push_back("mode stat keeps the last steps in a ring: they may not begin with the oldest");
  return imported;
}

}  // namespace

const ImportFormat sglang_recording = {
    "sglang", "SGLang's expert distribution recorder, .pt files (modes stat, per_pass, per_token)", "SGLang 0.5.23",
    recognises, read};

}  // namespace gem
