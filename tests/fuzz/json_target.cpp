// JSON in every use: documents, names of members, permutation records, names of experts, engine files, load statistics,
// tables of counts.
#include <cstdlib>

#include "fuzz/import_input.hpp"
#include "interchange/engine_format.hpp"
#include "interchange/expert_references.hpp"
#include "interchange/permutation_record.hpp"
#include "interchange/shard_plan.hpp"
#include "platform/text_formats/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace gem;
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  must_read_or_refuse([&] {
    const JsonDocument document = JsonDocument::parse(text, "text");
    for (const char* parent : {"", "weight_map"})
      for (const JsonKeySpan& span : json_key_spans(text, parent))
        if (span.begin > span.end || span.end > text.size()) std::abort();
    if (document.root().is_object() && json_key_spans(text).size() != document.root().keys().size()) std::abort();
    renumbered_index(text, {2, 4, {{0, {1, 0, 3, 2}}, {1, {3, 2, 1, 0}}}}, "index");
  });
  must_read_or_refuse([&] {
    const Renumbering renumbering{2, 4, {{0, {1, 0, 3, 2}}, {1, {3, 0, 1, 2}}}};
    const std::string renumbered = renumbered_references(text, renumbering, "text");
    if (renumbered_references(renumbered, inverse_of(renumbering), "text") != text) std::abort();
  });
  PhysicalMap shape;
  shape.device_count = 2;
  shape.expert_count = 4;
  shape.layer_ids = {0, 1};
  for (const EngineFormat* engine : engine_formats()) {
    must_read_or_refuse([&] {
      const PhysicalMap map = map_of_rows(engine->read(text, "engine"), shape, "engine");
      check_physical_map(map, "engine");
      if (map_of_rows(engine->read(engine->text_of(map, "engine"), "again"), map, "again") != map) std::abort();
    });
  }
  const FuzzFile file(bytes, size, ".json");
  must_read_or_refuse([&] {
    const PermutationRecord record = read_permutation_record(file.path());
    if (inverse_of(inverse_of(record.renumbering)) != record.renumbering) std::abort();
  });
  must_import_or_refuse(vllm_load_recording, file.path());
  must_import_or_refuse(routed_experts_recording, file.path());
  must_import_or_refuse(plain_counts_recording, file.path());
  return 0;
}
