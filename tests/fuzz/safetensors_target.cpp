// Headers of safetensors files, the numbers of their tensors, and plans to renumber them.
#include <cstdlib>

#include "fuzz/fuzz_input.hpp"
#include "interchange/expert_survey.hpp"
#include "interchange/safetensors.hpp"
#include "interchange/shard_plan.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace gem;
  const FuzzFile path(bytes, size, ".safetensors");
  const InputFile file(path.path());
  must_read_or_refuse([&] {
    const SafetensorsHeader header = read_safetensors_header(file);
    for (const SafetensorsTensor& tensor : header.tensors) {
      if (tensor.begin > tensor.end || header.data_begin() + tensor.end > size) std::abort();
      must_read_or_refuse([&] { read_numbers(file, header, tensor); });
    }
    ExpertSurvey survey;
    add_to_survey(survey, header);
    const Renumbering renumbering{2, 4, {{0, {1, 0, 3, 2}}, {1, {3, 2, 1, 0}}}};
    const ShardPlan plan = plan_shard(file, header, renumbering, 0);
    if (plan.part_bytes() != size - header.data_begin()) std::abort();
    for (const ShardPlan::Part& part : plan.parts)
      if (part.offset < header.data_begin() || part.offset + part.byte_count > size) std::abort();
  });
  return 0;
}
