// gem-map: finds which device should hold which experts.
#include <fmt/core.h>
#include <filesystem>
#include <iostream>

#include "base/error.hpp"
#include "base/text.hpp"
#include "device/device_kind.hpp"
#include "files/mapping_file.hpp"
#include "files/profile_file.hpp"
#include "files/routing_file.hpp"
#include "files/trace_file.hpp"
#include "mapping/best_copies.hpp"
#include "mapping/broadcast.hpp"
#include "mapping/cross_validation.hpp"
#include "mapping/mapping_request.hpp"
#include "mapping/node_affinity.hpp"
#include "mapping/remapping.hpp"
#include "mapping/search_plan.hpp"
#include "mapping/shared_experts.hpp"
#include "mapping/trace_mix.hpp"
#include "model/shared_time.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/program.hpp"
#include "platform/command_line/result_output.hpp"
#include "platform/file_system/whole_file.hpp"

namespace gem {
namespace {

/// How often a token is sent to a node that has several of its experts.
enum class TransportDedup {
  Off,  ///< once for each expert
  Node  ///< once
};

inline std::vector<OptionWord<TransportDedup>> words_of(TransportDedup) {
  return {{"off", TransportDedup::Off}, {"node", TransportDedup::Node}};
}

constexpr std::string_view best_copies_word = "best";

struct Options : MappingRequest {
  std::string copies = "0";  ///< in place of redundant_experts: that, or best_copies_word
  TransportDedup transport_dedup = TransportDedup::Off;
  std::string routing;
  std::size_t shared_experts = 0;
  std::string profile, output;
  std::vector<std::string> traces, test_traces, mappings;
  std::vector<std::int32_t> trace_weights;
  Selection selection;
  RemapRequest remap;
  RunTimeOptions run_time;
  bool dry_run = false, quiet = false;
};

void describe(OptionList& options, Options& job) {
  options.group("Files");
  options.add_file("profile", job.profile, "FILE", "latencies of the devices, from gem-profile").required();
  options
      .add_files("trace", job.traces, "FILE",
                 "routing statistics to search on, from gem-trace; given several times, one mapping is made for all of "
                 "them, and a table says what it loses on each against a mapping of its own")
      .required();
  options.add_file("output", job.output, "FILE", "mapping to write").required_to_write();
  options.add_files("test-trace", job.test_traces, "FILE",
                    "score the mappings on this trace too, best of disjoint requests; one for each {trace} of several");
  options
      .add("trace-weight", job.trace_weights, "LIST",
           "whole numbers, one for each {trace}: the proportion in which steps of the traces are searched on")
      .without("all the same");
  options.add_files(
      "mapping", job.mappings, "FILE",
      "score this mapping beside the methods', such as an engine's own from gem-deploy import; any number");
  describe(options, static_cast<MappingRequest&>(job));
  const std::string_view said_here[] = {"redundant-experts"};
  options.leave_out(said_here);
  options.group("What to find");
  options
      .add("redundant-experts", job.copies, "N|best",
           "further copies of experts a layer, so many that experts and copies divide over the devices: the copies of "
           "an expert share its tokens; placed by method " +
               names_of(&MethodEntry::places_copies) + "; best: quick searches say how many, none included")
      .without("none");
  options.add("transport-dedup", job.transport_dedup,
              "node: the transport sends a token once to each node that has some of its experts, and forwards it there "
              "(as {across-nodes} node); experts that are used together are then gathered on nodes where that pays. "
              "Needs a {trace} made with gem-trace batch --pairs");
  options.add_file("routing", job.routing, "FILE",
                   "token-level routing (gem.routing) to count exactly, for {transport-dedup} node, how many nodes a "
                   "token visits; best of requests that weren't searched on");
  options
      .add("place-shared", job.shared_experts, "N",
           "also say what a layer takes if the tokens of the model's N shared experts, each as large as a routed one, "
           "are put on the least loaded devices, instead of each device computing its own")
      .range(0, 64)
      .without("0: not counted");
  describe(options, job.remap);
  describe(options, job.selection);
  describe(options, job.run_time);
  options.group("Common");
  options.add("dry-run", job.dry_run, "say what would be searched and how long it may take");
}

bool parse(const Arguments& arguments, Options& options) {
  CommandLine line("gem-map",
                   "finds, for every MoE layer, which device should hold which experts, so that the slowest "
                   "device of each step is as fast as can be. Runs on any number of ranks; the mapping does "
                   "not depend on how many.");
  line.add(options);
  line.add_patience();
  line.add_example(
      "gem-trace batch --routing jobs/data/routing/gpt-oss-20b.mmlu.h5 --batch-size 256 --output trace.h5");
  line.add_example(
      "gem-map --profile jobs/data/profiles/h100-four-shares.gpt-oss-20b.tile128.h5 --trace trace.h5 "
      "--train-steps 128 --output mapping.h5");
  line.add_example(
      "mpirun -n 2 gem-map --profile profile.h5 --trace chat.h5 --trace code.h5 --trace-weight 3,1 "
      "--output mapping.h5");
  line.add_example(
      "mpirun -n 2 gem-map --profile profile.h5 --trace train.h5 --test-trace test.h5 --effort thorough "
      "--output mapping.h5");
  line.add_example(
      "gem-map --profile jobs/data/profiles/h100-four-shares.gpt-oss-20b.tile128.h5 --trace trace.h5 --from mapping.h5 "
      "--max-moves 4 --output next.h5");
  const bool go_on = line.parse(arguments);
  if (options.copies != best_copies_word) {
    const OptionName copies = option_name(&MappingRequest::redundant_experts);
    const std::int64_t number = parse_integer(options.copies, spelled(copies));
    if (number < 0)
      throw option_error(copies, "{}: {} is out of range; give 0 or more, or {}", number, best_copies_word);
    options.redundant_experts = static_cast<std::size_t>(number);
    check_options(static_cast<const MappingRequest&>(options));
  }
  options.quiet = line.quiet();
  return go_on;
}

// What replays the mapping on all of the profile's devices; of steps that were all searched on, others are wanted.
std::string next_hint(const Arguments& arguments, const Options& options, const MappingQuestion& question) {
  std::vector<std::string> command{program_beside(arguments, "gem-verify"), "--profile", options.profile, "--trace"};
  const bool held_out = question.test && is_held_out(question.sample);
  command.push_back(!held_out                     ? "TEST"
                    : options.test_traces.empty() ? options.traces.front()
                                                  : options.test_traces.front());
  command.insert(command.end(), {"--mapping", options.output});
  if (!is_virtual_kind(question.profile.device_kind)) {
    const std::string ranks = fmt::format("{}", question.profile.device_count());
    command.insert(command.begin(), {"mpirun", "-n", ranks});
  }
  return next_commands({command});
}

// Mappings that were made elsewhere, each called as its file.
void read_given(MappingQuestion& question, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    Mapping mapping = read_mapping(path);
    mapping.method = std::filesystem::path(path).filename().string();
    question.given.push_back(fitted(mapping, question));
  }
}

// The placement that runs, if any. There are to be as many copies as it has, unless a number is asked for.
Mapping read_present(MappingQuestion& question, const RemapRequest& request) {
  if (request.from.empty()) return {};
  Mapping present = read_mapping(request.from);
  present.method = std::filesystem::path(request.from).filename().string();
  if (question.redundant_experts == 0) question.redundant_experts = present.redundant_count();
  return present;
}

// Its layers as those searched on; it is scored beside the methods', too.
Mapping fit_present(const Mapping& read, MappingQuestion& question, const RemapRequest& request) {
  check_remap_request(request, question);
  if (request.from.empty()) return {};
  const Mapping present = fitted(read, question);
  question.given.push_back(present);
  question.given.back().method = "(running)";
  return present;
}

void check_trace_options(const Options& options) {
  const std::size_t count = options.traces.size();
  if (!options.test_traces.empty() && options.test_traces.size() != count)
    throw option_error(option_name(&Options::test_traces), "{}: give one for each of the {} of {}, in the same order",
                       count, option_name(&Options::traces));
  if (!options.trace_weights.empty() && options.trace_weights.size() != count)
    throw option_error(option_name(&Options::trace_weights), "{}: give {}, one for each {}", counted(count, "number"),
                       option_name(&Options::traces));
  if (std::ranges::any_of(options.trace_weights, [](std::int32_t weight) { return weight < 1; }))
    throw option_error(option_name(&Options::trace_weights), "{}: weights are whole numbers of 1 and more");
  if (count > 1 && options.selection.train_steps > 0)
    throw option_error(option_name(&Selection::train_steps), "{} is for one {}; cut several with gem-trace split",
                       option_name(&Options::traces));
  if (!options.routing.empty() && options.transport_dedup == TransportDedup::Off)
    throw option_error(option_name(&Options::routing), "{} is counted for {} node alone; give that, or leave it out",
                       option_name(&Options::transport_dedup));
}

// Every rank's copy of rank 0's traces.
void share(const Communicator& world, std::vector<LoadTrace>& traces) {
  traces.resize(world.broadcast(static_cast<std::uint64_t>(traces.size())));
  for (LoadTrace& trace : traces) broadcast(world, trace);
}

// Of the mapping that is written: the answer's, or what was made of it for a placement that runs.
JsonRecord answer_record(const MappingAnswer& answer, const Mapping& mapping, const MappingQuestion& question,
                         const std::string& output) {
  std::vector<JsonRecord> layers;
  for (std::size_t l = 0; l < mapping.layer_ids.size(); ++l)
    layers.push_back(JsonRecord()
                         .add("layer", mapping.layer_ids[l])
                         .add("predicted_s", mapping.predicted_s[l])
                         .add("lower_bound_s", mapping.lower_bound_s[l]));
  std::vector<std::string> doubts;
  for (const ProfileDoubt& doubt : question.doubts) doubts.push_back(doubt.sentence);
  JsonRecord record;
  record.add("output", output)
      .add("method", mapping.method)
      .add("model", question.train.model)
      .add("task", question.train.task)
      .add("train_steps", question.train.step_count())
      .add("devices", question.profile.device_count())
      .add("device_kind", question.profile.device_kind)
      .add("redundant_experts", question.redundant_experts)
      .add("exchange_row_ns", question.cost.exchange_row_ns.value_or(0.0))
      .add_all(comparison_record(answer.compared, answer.bounds, question.test.has_value(), question.sample))
      .add("layers", layers)
      .add("profile_doubts", doubts);
  if (const double tokens = question.cost.shared_tokens; tokens > 0.0)
    record.add("shared_experts_tokens", tokens).add("shared_experts_s", shared_times_s(question.profile, tokens));
  if (!answer.validation.empty()) record.add("cross_validation", answer.validation);
  if (!mapping.moved_from.empty()) record.add("moved_from", mapping.moved_from).add("moves", mapping.moves.size());
  return record;
}

// What is beside the mapping where a token is sent to a node once.
struct Gathering {
  ExpertPairs pairs;
  std::optional<Routing> routing;  // on rank 0
};

// Read on rank 0, known to all; the question is then one of that transport.
Gathering read_gathering(const Communicator& world, const Options& options, MappingQuestion& question) {
  Gathering gathering;
  const OptionName option = option_name(&Options::transport_dedup);
  if (options.transport_dedup == TransportDedup::Off) return gathering;
  std::vector<double> values;
  world.on_root([&] {
    if (options.traces.size() > 1 || options.selection.train_steps > 0 || !options.remap.from.empty() ||
        fold_count_of(question) > 0)
      throw option_error(option,
                         "{} node goes with one {} of which all steps are searched on: pairs are of all steps "
                         "together; leave out {}, {} and {}",
                         option_name(&Options::traces), option_name(&Selection::train_steps),
                         option_name(&RemapRequest::from), option_name(&MappingRequest::cross_validate));
    gathering.pairs = read_pairs(options.traces.front());
    if (gathering.pairs.empty())
      throw DataError(options.traces.front() +
                      " doesn't tell which experts tokens use together (/pairs); make it from token-level routing with "
                      "gem-trace batch --pairs");
    if (!options.routing.empty()) gathering.routing = read_routing(options.routing);
    values = gathering.pairs.share.values();
  });
  world.broadcast(values);
  const std::size_t layers = question.train.layer_count();
  gathering.pairs.share = Matrix<double>(layers, values.size() / layers);
  gathering.pairs.share.values() = values;
  world.on_all([&] { blaming(option, [&] { send_tokens_once(question, gathering.pairs); }); });
  return gathering;
}

// Says what shared experts take, and how often nodes are visited; a mapping that was searched for is gathered.
JsonRecord add_beside(const Communicator& world, const Options& options, const MappingQuestion& question,
                      const MappingAnswer& answer, const Gathering& gathering, RemapAnswer& changed) {
  JsonRecord record;
  if (!gathering.pairs.empty()) {
    world.on_root([&] {
      std::vector<Mapping> rows = answer.mappings;
      if (entry_of(question.method).searches) {
        changed.mapping = gathered_by_pairs(question, answer.mapping(), gathering.pairs);
        rows.push_back(changed.mapping);
        rows.back().method += "+pairs";
      }
      const VisitsTable table =
          visits_table(question, rows, gathering.pairs, gathering.routing ? &*gathering.routing : nullptr);
      changed.report += table.text;
      record.add("node_visits", table.records);
    });
    broadcast(world, changed.mapping);
  }
  if (options.shared_experts == 0 || !world.is_root()) return record;
  const SharedTable shared = shared_table(question, answer.mappings, options.shared_experts);
  changed.report += shared.text;
  return record.add("shared_experts", shared.records);
}

int run(const Communicator& world, const Arguments& arguments, const Options& options) {
  check_trace_options(options);
  std::vector<LoadTrace> traces, tests;
  MappingQuestion question = make_question(options);
  Mapping present;
  question.run_time = options.run_time;
  question.search.show_progress = !options.quiet;
  world.on_root([&] {
    if (!options.dry_run) {
      expect_writable(options.output);
      set_termination_message("gem-map: ended from outside; nothing was written, " + options.output +
                              " is as it was: start again");
    }
    question.profile = read_profile(options.profile);
    for (const std::string& path : options.traces) traces.push_back(read_trace(path));
    for (const std::string& path : options.test_traces) tests.push_back(read_trace(path));
    question.train = mix_of(traces, options.trace_weights);
    if (!tests.empty()) question.test = mix_of(tests, options.trace_weights);
    present = read_present(question, options.remap);
    if (options.copies == best_copies_word) question.run_time.split = CopySplit::Even;
    prepare(question, options.selection);
    read_given(question, options.mappings);
    present = fit_present(present, question, options.remap);
  });
  share(world, question);
  if (!options.remap.from.empty()) {
    broadcast(world, present);
    question.redundant_experts = world.broadcast(std::uint64_t{question.redundant_experts});
  }

  BestCopies best;
  if (options.copies == best_copies_word) {
    best = best_copies(world, question);
    question.redundant_experts = best.redundant_experts;
    if (best.redundant_experts > 0) question.run_time.split = options.run_time.split;
  }
  const Gathering gathering = read_gathering(world, options, question);

  if (options.dry_run) {
    const std::string plan = describe_search_plan(world, question);
    if (world.is_root()) {
      std::cout << plan;
      print_result(JsonRecord().add("dry_run", true).add("plan", plan));
    }
    return static_cast<int>(ExitCode::Good);
  }
  // Half of a time limit is for what moves lead to.
  const double limit_s = question.search.time_limit_s;
  if (!options.remap.from.empty()) question.search.time_limit_s *= 0.5;
  const MappingAnswer answer = validated_mapping(world, question);
  question.search.time_limit_s = limit_s;
  RemapAnswer changed{answer.mapping(), "", {}};
  if (!options.remap.from.empty()) {
    changed = remap(world, question, present, answer.mapping(), options.remap);
    broadcast(world, changed.mapping);
  }
  const JsonRecord beside = add_beside(world, options, question, answer, gathering, changed);
  TraceLosses losses;
  if (options.traces.size() > 1) {
    share(world, traces);
    share(world, tests);
    losses = describe_losses(world, question, changed.mapping, traces, tests);
  }
  world.on_root([&] {
    write_mapping(options.output, changed.mapping,
                  provenance_now(command_line_text(arguments), question.train.model, options.seed));
    std::cout << best.report << answer.report << changed.report << (losses.text.empty() ? "" : "\n" + losses.text);
    JsonRecord record = answer_record(answer, changed.mapping, question, options.output);
    if (!changed.record.empty()) record.add("remapping", changed.record);
    record.add_all(beside);
    if (!best.records.empty()) record.add("copies_tried", best.records);
    if (!losses.records.empty()) record.add("of_each_trace", losses.records);
    print_result(record);
    if (options.quiet) return;
    std::vector<std::string> drawn{options.profile};
    for (const auto& files : {options.traces, options.test_traces})
      drawn.insert(drawn.end(), files.begin(), files.end());
    drawn.push_back(options.output);
    std::cout << "Written: " << options.output << " (method " << method_name(options.method) << ")\n"
              << drawing_hint(arguments, drawn);
    if (question.method != reference_method() && options.selection.devices == 0)
      std::cout << next_hint(arguments, options, question);
  });
  return static_cast<int>(ExitCode::Good);
}

}  // namespace
}  // namespace gem

int main(int argc, char** argv) {
  gem::Options options;
  return gem::run_mpi_program(
      argc, argv, [&](const gem::Arguments& arguments) { return gem::parse(arguments, options); },
      [&](const gem::Communicator& world, const gem::Arguments& arguments) {
        return gem::run(world, arguments, options);
      });
}
