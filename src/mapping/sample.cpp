#include "mapping/sample.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <vector>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "model/trace_words.hpp"

namespace gem {
namespace {

struct SampleWords {
  const char* note;
  const char* meaning = nullptr;
};

SampleWords words_of(Sample sample) {
  switch (sample) {
    case Sample::NotSearched:
      return {"not searched"};
    case Sample::HeldOutRequests:
      return {"held-out requests", "never searched on"};
    case Sample::LaterSteps:
      return {"later steps of the same requests", "which may have been searched on"};
    case Sample::OtherTask:
      return {"another task", "never searched on"};
    case Sample::InSample:
      return {"in-sample", "requests that were searched on: no test of anything"};
    case Sample::Unknown:
      return {"unknown whether searched on"};
  }
  return {""};
}

bool have_task_in_common(const std::string& searched, const std::string& scored) {
  const std::vector<std::string> tasks = split(to_lower(searched), task_separator.front());
  return std::ranges::any_of(split(to_lower(scored), task_separator.front()),
                             [&](const std::string& task) { return std::ranges::find(tasks, task) != tasks.end(); });
}

}  // namespace

Sample sample_of(const Mapping& mapping, const LoadTrace& scored, std::size_t first_step) {
  if (mapping.train_steps == 0) return Sample::NotSearched;
  if (mapping.train_task.empty()) return Sample::Unknown;
  if (!have_task_in_common(mapping.train_task, scored.task)) return Sample::OtherTask;
  if (mapping.train_part != scored.part && !says(mapping.train_part, RequestPart::All) &&
      !says(scored.part, RequestPart::All))
    return Sample::HeldOutRequests;
  return first_step >= mapping.train_steps ? Sample::LaterSteps : Sample::InSample;
}

Sample sample_of(const LoadTrace& searched, const LoadTrace& scored) {
  Mapping mapping;
  mapping.train_task = searched.task;
  mapping.train_part = searched.part;
  mapping.train_steps = searched.step_count();
  return sample_of(mapping, scored, 0);
}

void check_judged_on(const LoadTrace& scored) {
  if (scored.sequence == "resampled")
    throw UsageError(
        fmt::format("the trace of task '{}' is resampled: its steps are for searching alone, and no mapping can be "
                    "judged on them; give one that gem-trace batch makes without {}",
                    scored.task, on_command_line("resample")));
}

bool is_held_out(Sample sample) {
  return sample == Sample::HeldOutRequests || sample == Sample::LaterSteps || sample == Sample::OtherTask;
}

std::string sample_note(Sample sample) {
  return words_of(sample).note;
}

std::string describe_sample(Sample sample) {
  const SampleWords words = words_of(sample);
  return words.meaning == nullptr ? words.note : std::string(words.note) + ", " + words.meaning;
}

}  // namespace gem
