#include "batch/pair_run.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <filesystem>

#include "base/text.hpp"
#include "batch/pair_check.hpp"
#include "batch/pair_files.hpp"
#include "batch/pair_keys.hpp"
#include "batch/profile_stage.hpp"
#include "batch/stamp.hpp"
#include "files/mapping_file.hpp"
#include "files/profile_file.hpp"
#include "files/report_file.hpp"
#include "files/routing_file.hpp"
#include "files/trace_file.hpp"
#include "mapping/cross_validation.hpp"
#include "mapping/measured_range.hpp"
#include "platform/file_system/whole_file.hpp"
#include "verification/findings.hpp"

namespace gem {
namespace {

namespace fs = std::filesystem;

/// One pair on one group of ranks.
class PairRun {
 public:
  PairRun(const Communicator& group, const BatchPair& pair, const std::string& output, const std::string& command_line,
          const std::function<void(PairState)>& on_state)
      : group_(group),
        pair_(pair),
        output_(output),
        files_(output, pair),
        command_(command_line),
        on_state_(on_state) {}

  bool run() {
    const PairTraces traces = agreed_traces();
    make_traces(traces);
    ProfileTask task = plan_profile(group_, profile_request(pair_, agreed_step_size(traces)));
    if (is_whole(task, traces)) return made_;
    const std::string profile = ensure_profile(group_, pair_, std::move(task), output_, command_, [&] {
      on_state_(PairState::Profiling);
      made_ = true;
    });
    group_.on_root([&] { write_whole_text(files_.profile(), fs::path(profile).filename().string() + "\n"); });
    map(profile, traces);
    if (pair_.verify) verify(profile, traces);
    return made_;
  }

 private:
  Provenance provenance() const { return provenance_now(command_, pair_.model.name, pair_.profile.seed); }

  /// Whether the stage must run; the same on every rank. Tells the board if so.
  bool is_stale(const std::string& stage, const StageKey& key, PairState state) {
    bool stale = false;
    group_.on_root([&] { stale = !is_fresh(files_.stamp(stage), key); });
    stale = group_.broadcast(static_cast<std::uint8_t>(stale ? 1 : 0)) == 1;
    if (stale && group_.is_root()) on_state_(state);
    made_ = made_ || stale;
    return stale;
  }

  /// What a stage was made from, read on rank 0; the other ranks don't need it.
  StageKey key_on_root(const std::function<StageKey()>& read) const {
    StageKey key("");
    group_.on_root([&] { key = read(); });
    return key;
  }

  PairTraces agreed_traces() const {
    PairTraces traces;
    group_.on_root([&] { traces = traces_of(pair_, files_); });
    group_.broadcast(traces.train);
    group_.broadcast(traces.test);
    traces.train_steps = group_.broadcast(std::uint64_t{traces.train_steps});
    return traces;
  }

  StepSize agreed_step_size(const PairTraces& traces) const {
    StepSize steps;
    group_.on_root([&] { steps = step_size_of(pair_, traces); });
    return {group_.broadcast(std::uint64_t{steps.most_tokens}), group_.broadcast(steps.tokens_per_expert)};
  }

  /// Whether the stages after the trace are there as they should be, made with a profile of such devices. It may be of
  /// others than these: a job that is submitted again can come to other nodes, and has nothing left to do there.
  bool is_whole(const ProfileTask& task, const PairTraces& traces) const {
    bool whole = false;
    group_.on_root([&] {
      const std::string profile = profile_in_use(files_, output_);
      whole = fs::path(profile).filename().string().starts_with(task.kind + "-") &&
              results_are_fresh(pair_, files_, profile, traces);
    });
    return group_.broadcast(static_cast<std::uint8_t>(whole ? 1 : 0)) == 1;
  }

  void make_traces(const PairTraces& traces) {
    const TraceSource& source = pair_.source;
    if (!source.trace.empty()) return;
    const StageKey key = key_on_root([&] { return trace_key(pair_); });
    if (!is_stale("trace", key, PairState::Tracing)) return;
    group_.on_root([&] {
      if (source.synthetic) {
        LoadTrace trace = synthesize_trace(source.synthesis);
        trace.model = pair_.model.name;
        trace.task = source.task;
        trace.phase = source.batching.phase.empty() ? "decode" : source.batching.phase;
        write_trace(traces.train, trace, provenance());
        return write_stamp(files_.stamp("trace"), key, {traces.train});
      }
      const Routing routing = read_routing(source.routing);
      BatchingOptions searched = source.batching;
      searched.part = "train";
      write_trace(traces.train, batch_routing(routing, searched), provenance());
      write_trace(traces.test, batch_routing(routing, scored_part(source.batching)), provenance());
      write_stamp(files_.stamp("trace"), key, {traces.train, traces.test});
    });
  }

  void map(const std::string& profile, const PairTraces& traces) {
    const StageKey key = key_on_root([&] { return map_key(pair_, profile, traces); });
    if (!is_stale("map", key, PairState::Mapping)) return;

    const std::vector<std::string>& methods = pair_.methods;
    const auto searched = std::ranges::find_if(
        methods, [](const std::string& method) { return entry_of(parse_method(method)).searches; });
    MappingRequest request = pair_.mapping;
    request.method = parse_method(searched != methods.end() ? *searched : methods.back());
    MappingQuestion question = make_question(request);
    for (const std::string& method : methods) question.wanted.push_back(parse_method(method));
    group_.on_root([&] {
      question.profile = read_profile(profile);
      question.train = read_trace(traces.train);
      if (!traces.test.empty()) question.test = read_trace(traces.test);
      prepare(question, {0, false, traces.train_steps, false});
    });
    share(group_, question);
    const MappingAnswer answer = validated_mapping(group_, question);
    group_.on_root([&] {
      std::vector<std::string> outputs{files_.scores(), files_.text("map")};
      for (const Mapping& mapping : answer.mappings) {
        if (std::ranges::find(methods, mapping.method) == methods.end()) continue;
        outputs.push_back(files_.mapping(mapping.method));
        write_mapping(outputs.back(), mapping, provenance());
      }
      write_whole_text(files_.text("map"), answer.report);
      write_whole_text(files_.scores(), scores_csv(answer, question));
      write_stamp(files_.stamp("map"), key, outputs);
    });
  }

  std::string scores_csv(const MappingAnswer& answer, const MappingQuestion& question) const {
    std::string text = "method,train_s,test_s,test_p99_s,test_imbalance,test_bound_s,in_sample,extrapolated\n";
    const int in_sample = is_held_out(question.sample) ? 0 : 1;
    const LoadTrace& scored = question.test ? *question.test : question.train;
    for (const ComparedMethod& method : answer.compared) {
      const bool asked = std::ranges::find(pair_.methods, method.name) != pair_.methods.end();
      if (!asked && method.name != answer.compared.front().name) continue;
      const auto mapping = std::ranges::find(answer.mappings, method.name, &Mapping::method);
      const double extrapolated =
          mapping == answer.mappings.end() ? 0.0 : share_beyond_measured(question.profile, scored, *mapping);
      text += fmt::format("{},{:.9g},{:.9g},{:.9g},{:.6g},{:.9g},{},{:.4g}\n", method.name, method.train.mean_s,
                          method.test.mean_s, method.test.p99_s, method.test.imbalance, answer.bounds.test_s, in_sample,
                          extrapolated);
    }
    return text;
  }

  void verify(const std::string& profile, const PairTraces& traces) {
    const ReplayRequest& request = pair_.replay;
    const StageKey key = key_on_root([&] { return verify_key(pair_, files_, profile, traces); });
    if (!is_stale("verify", key, PairState::Verifying)) return;

    ReplayQuestion question;
    group_.on_all([&] {
      std::vector<Mapping> mappings;
      for (const std::string& method : pair_.methods) mappings.push_back(read_mapping(files_.mapping(method)));
      question = make_replay_question(request, read_profile(profile), read_trace(traces.scored()), mappings);
    });
    const DeviceOptions devices = replay_devices(request, question.profile);
    const VerificationReport report = run_replay(group_, request, question, devices);
    group_.on_root([&] {
      const Findings findings = findings_of(report, question.judged, request.seed);
      write_report(files_.report(), report, provenance());
      write_whole_text(files_.text("verify"), findings.text);
      std::string csv = "method,measured_s,vs_linear,low,high,prediction_error\n";
      for (const MappingSummary& summary : findings.summaries)
        csv += fmt::format("{},{:.9g},{:.6f},{:.6f},{:.6f},{:.6f}\n", summary.name, summary.straggler_s,
                           summary.relative, summary.interval.low, summary.interval.high, summary.median_error);
      write_whole_text(files_.verdicts(), csv);
      write_stamp(files_.stamp("verify"), key, {files_.report(), files_.text("verify"), files_.verdicts()});
    });
  }

  const Communicator& group_;
  const BatchPair& pair_;
  const std::string& output_;
  PairFiles files_;
  const std::string& command_;
  const std::function<void(PairState)>& on_state_;
  bool made_ = false;
};

}  // namespace

bool run_pair(const Communicator& group, const BatchPair& pair, const std::string& output,
              const std::string& command_line, const std::function<void(PairState)>& on_state) {
  return PairRun(group, pair, output, command_line, on_state).run();
}

void forget_pair(const BatchPair& pair, const std::string& output) {
  const PairFiles files(output, pair);
  for (const std::string stage : {"trace", "map", "verify"}) fs::remove(files.stamp(stage));
  for (const std::string& path : {files.error(), files.scores(), files.verdicts()}) fs::remove(path);
}

}  // namespace gem
