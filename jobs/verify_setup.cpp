#include "verify_setup.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"
#include "files/mapping_file.hpp"
#include "files/profile_file.hpp"
#include "files/trace_file.hpp"
#include "platform/command_line.hpp"
#include "verification/selection.hpp"

namespace gem {
namespace {

std::vector<std::int32_t> layer_ids(const std::string& list) {
  std::vector<std::int32_t> ids;
  if (list.empty()) return ids;
  for (const std::string& word : split(list, ','))
    ids.push_back(static_cast<std::int32_t>(parse_integer(word, "gem-verify: --layers")));
  return ids;
}

}  // namespace

bool parse_verify_options(VerifyOptions& options, const Arguments& arguments) {
  std::string first_step;
  CommandLine line(
      "gem-verify",
      "replays a trace on the devices under each mapping, in turn and step by step, and says whether the mapping is "
      "faster than linear placement, measured. One rank a device.");
  line.add("profile", &options.profile, "FILE", "what gem-profile measured on these devices");
  line.add("trace", &options.trace, "FILE", "steps to replay; best from requests that no mapping was searched on");
  line.add("mapping", &options.mappings, "FILE", "a mapping of gem-map; linear placement is always compared with");
  line.add("output", &options.output, "FILE", "the report to write");
  line.add("steps", &options.steps, "N", "how many steps to replay");
  line.add("first-step", &first_step, "N", "first step to replay; by default the first that was not searched on");
  line.add("layers", &options.layers, "LIST", "decoder layers to replay, e.g. 0,11,23; all if not given");
  line.add("rounds", &options.replay.rounds, "N", "measurements of each step; the median counts");
  line.add("checked-steps", &options.replay.checked_steps, "N", "steps whose data and outputs are checked first");
  line.add("judge", &options.judge, "NAME", "mapping that the verdict is about; gem, else the last, if not given");
  line.add("device", &options.device, "KIND", "cuda, host or simulated; as in the profile if not given");
  line.add("slowdown", &options.slowdown, "LIST|FILE",
           "emulated slowdown of each device; as in the profile if not given");
  line.add("share-gpu", &options.share_gpu, "turns", "ranks that share a GPU compute one after the other");
  line.add("transport", &options.transport, "NAME",
           "how rows travel: mpi (through host memory) or nccl; nccl on GPUs if not given");
  line.add("patience", &options.patience_s, "SECONDS",
           "most that an NCCL exchange waits for a peer before the job ends");
  line.add_flag("compute-only", &options.compute_only,
                "time the experts' compute without the exchange, which is only checked");
  line.add("seed", &options.seed, "N", "order of the mappings, weights, bootstrap");
  line.add_flag("dry-run", &options.dry_run, "say what would be replayed, and end");
  line.add_example("mpirun -n 4 gem-verify --profile profile.h5 --trace test.h5 --mapping eplb.h5 --mapping gem.h5");
  if (!line.parse(arguments)) return false;
  require_option(options.profile, "profile", "the file that gem-profile wrote for these devices");
  require_option(options.trace, "trace", "the steps to replay, from gem-trace");
  if (options.mappings.empty()) throw UsageError("--mapping is missing: at least one file of gem-map");
  if (options.replay.rounds == 0 || options.steps == 0) throw UsageError("--rounds and --steps must be above 0");
  if (!options.share_gpu.empty() && options.share_gpu != "turns")
    throw UsageError("--share-gpu: '" + options.share_gpu + "' is unknown; it can be 'turns'");
  if (!options.transport.empty() && options.transport != "mpi" && options.transport != "nccl")
    throw UsageError("--transport: '" + options.transport + "' is neither mpi nor nccl");
  options.has_first_step = !first_step.empty();
  if (options.has_first_step)
    options.first_step = static_cast<std::size_t>(parse_integer(first_step, "gem-verify: --first-step"));
  options.replay.seed = options.seed;
  options.quiet = line.quiet();
  return true;
}

VerifyInputs read_verify_inputs(const VerifyOptions& options) {
  VerifyInputs inputs;
  inputs.profile = read_profile(options.profile);
  const LoadTrace whole = read_trace(options.trace);
  const std::size_t devices = inputs.profile.device_count();
  inputs.mappings.push_back(linear_mapping(whole, devices));
  for (const std::string& path : options.mappings) {
    Mapping mapping = read_mapping(path);
    if (mapping.device_count != devices)
      throw DataError(format("%s places experts on %zu devices, but %s holds %zu; map again with this profile",
                             path.c_str(), mapping.device_count, options.profile.c_str(), devices));
    if (mapping.method != "linear") inputs.mappings.push_back(std::move(mapping));
  }
  inputs.judged = inputs.mappings.size() - 1;
  const std::string judge = options.judge.empty() ? "gem" : options.judge;
  bool found = options.judge.empty();
  for (std::size_t m = 1; m < inputs.mappings.size(); ++m)
    if (inputs.mappings[m].method == judge) {
      inputs.judged = m;
      found = true;
    }
  if (!found) throw UsageError("--judge: no mapping given is named '" + judge + "'");
  inputs.first_step = options.has_first_step ? options.first_step : first_unseen_step(inputs.mappings, whole);
  if (inputs.first_step >= whole.step_count())
    throw UsageError(
        format("--first-step %zu: %s has %zu steps", inputs.first_step, options.trace.c_str(), whole.step_count()));
  const std::size_t count = std::min(options.steps, whole.step_count() - inputs.first_step);
  inputs.trace = layers_of(steps_of(whole, inputs.first_step, count), layer_ids(options.layers));
  inputs.sample_note = sample_note(inputs.mappings[inputs.judged], whole, inputs.first_step);
  return inputs;
}

DeviceOptions verify_devices(const VerifyOptions& options, const LatencyProfile& profile) {
  DeviceOptions devices;
  devices.kind = options.device.empty() ? profile.device_kind : options.device;
  devices.device_count = devices.kind == "simulated" ? profile.device_count() : 0;
  devices.expert = profile.expert;
  devices.tile_tokens = profile.tile_tokens;
  devices.weight_dtype = profile.weight_dtype;
  devices.share_gpu = !options.share_gpu.empty();
  devices.seed = options.seed;
  for (const DeviceDescription& device : profile.devices) devices.slowdowns.push_back(device.emulated_slowdown);
  if (!options.slowdown.empty()) devices.slowdowns = parse_slowdowns(options.slowdown, profile.device_count());
  return devices;
}

std::size_t moved_bytes(const Mapping& from, const Mapping& to, const LoadTrace& trace, std::size_t expert_bytes) {
  const auto old_homes = homes_for(from, trace);
  const auto new_homes = homes_for(to, trace);
  std::size_t moved = 0;
  for (std::size_t layer = 0; layer < new_homes.size(); ++layer)
    for (std::size_t expert = 0; expert < new_homes[layer].size(); ++expert)
      moved += new_homes[layer][expert] != old_homes[layer][expert] ? expert_bytes : 0;
  return moved;
}

std::string describe_replay(const VerifyInputs& inputs, const VerifyOptions& options, const std::string& device_kind) {
  std::string names;
  for (const Mapping& mapping : inputs.mappings) names += (names.empty() ? "" : ", ") + mapping.method;
  return format(
      "Replay: %s, task %s (%s): steps %zu to %zu, %zu layers, %zu tokens a step, %zu rounds\n"
      "on %zu %s devices; mappings: %s\n",
      inputs.trace.model.c_str(), inputs.trace.task.c_str(), inputs.sample_note.c_str(), inputs.first_step,
      inputs.first_step + inputs.trace.step_count() - 1, inputs.trace.layer_count(), inputs.trace.tokens_per_step,
      options.replay.rounds, inputs.profile.device_count(), device_kind.c_str(), names.c_str());
}

}  // namespace gem
