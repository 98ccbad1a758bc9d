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
#include "files/trace_file.hpp"
#include "mapping/cross_validation.hpp"
#include "mapping/measured_range.hpp"
#include "platform/file_system/whole_file.hpp"
#include "verification/findings.hpp"
#include "verification/replay_job.hpp"

namespace gem {
namespace {

namespace fs = std::filesystem;

/// One pair on one group of ranks.
class PairRun {
 public:
  PairRun(const Communicator& group, const Manifest& manifest, const BatchPair& pair, const std::string& command_line,
          const std::function<void(PairState)>& on_state)
      : group_(group),
        manifest_(manifest),
        pair_(pair),
        output_(manifest.output),
        files_(output_, pair),
        command_(command_line),
        on_state_(on_state) {}

  bool run(std::optional<BatchStage> only) {
    const PairTraces traces = agreed_traces();
    make_traces_on_root();
    if (only == BatchStage::Traces) return made_;
    if (only) {
      const std::string profile = agreed_profile_at_hand(traces);
      if (only == BatchStage::Mappings) {
        expect_profile(profile);
        map(profile, traces);
      }
      if (!profile.empty()) return made_;
    }
    ProfileTask task = plan_profile(group_, agreed_request(traces));
    if (!only && is_whole(task, traces)) return made_;
    const std::string profile = ensure_profile(group_, pair_, std::move(task), output_, command_, [&] {
      on_state_(PairState::Profiling);
      made_ = true;
    });
    group_.on_root([&] { write_whole_text(files_.profile(), fs::path(profile).filename().string() + "\n"); });
    if (only == BatchStage::Profiles) return made_;
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

  ProfileRequest agreed_request(const PairTraces& traces) const {
    StepSize steps;
    std::string served;  // files, a line each
    group_.on_root([&] {
      steps = step_size_of(pair_, traces);
      served = join(traces_served(manifest_, pair_), "\n");
    });
    steps = {group_.broadcast(std::uint64_t{steps.most_tokens}), group_.broadcast(steps.tokens_per_expert)};
    group_.broadcast(served);
    ProfileRequest request;
    group_.on_all([&] {
      request = profile_request(pair_, steps, served.empty() ? std::vector<std::string>{} : split(served, '\n'));
    });
    return request;
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

  void make_traces_on_root() {
    group_.on_root([&] { made_ = make_traces(pair_, files_, command_, [&] { on_state_(PairState::Tracing); }); });
  }

  /// As profile_at_hand: what is there needs no devices.
  std::string agreed_profile_at_hand(const PairTraces& traces) const {
    std::string profile;
    group_.on_root([&] { profile = profile_at_hand(manifest_, pair_, traces); });
    group_.broadcast(profile);
    return profile;
  }

  void expect_profile(const std::string& profile) const {
    group_.on_root([&] {
      if (profile.empty())
        throw DataError(pair_.name + " has no profile yet, or one of other options; measure it on its devices with " +
                        on_command_line("only") + " profiles");
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
    MappingQuestion question = question_of(request, profile, traces);
    for (const std::string& method : methods) question.wanted.push_back(parse_method(method));
    std::vector<Mapping> variants;
    for (const MethodVariant& variant : pair_.variants)
      variants.push_back(validated_mapping(group_, question_of(variant.mapping, profile, traces)).mapping());
    group_.on_root([&] {  // judged in one table with the methods
      for (std::size_t v = 0; v < variants.size(); ++v) {
        question.given.push_back(fitted(variants[v], question));
        question.given.back().method = pair_.variants[v].name;
      }
    });
    const MappingAnswer answer = validated_mapping(group_, question);
    group_.on_root([&] {
      std::vector<std::string> outputs{files_.scores(), files_.text("map")};
      for (const Mapping& mapping : answer.mappings) {
        if (std::ranges::find(methods, mapping.method) == methods.end()) continue;
        outputs.push_back(files_.mapping(mapping.method));
        write_mapping(outputs.back(), mapping, provenance());
      }
      for (std::size_t v = 0; v < variants.size(); ++v) {
        outputs.push_back(files_.mapping(pair_.variants[v].name));
        write_mapping(outputs.back(), variants[v], provenance());
      }
      write_whole_text(files_.text("map"), answer.report);
      write_whole_text(files_.scores(), scores_csv(answer, question));
      write_stamp(files_.stamp("map"), key, outputs);
    });
  }

  /// With the pair's files, on every rank.
  MappingQuestion question_of(const MappingRequest& request, const std::string& profile,
                              const PairTraces& traces) const {
    MappingQuestion question = make_question(request);
    group_.on_root([&] {
      question.profile = read_profile(profile);
      question.train = read_trace(traces.train);
      if (!traces.test.empty()) question.test = read_trace(traces.test);
      Selection selection;
      selection.train_steps = traces.train_steps;
      prepare(question, selection);
    });
    share(group_, question);
    return question;
  }

  std::string scores_csv(const MappingAnswer& answer, const MappingQuestion& question) const {
    std::string text = "method,train_s,test_s,test_p99_s,test_imbalance,test_bound_s,in_sample,extrapolated\n";
    const int in_sample = is_held_out(question.sample) ? 0 : 1;
    const LoadTrace& scored = question.test ? *question.test : question.train;
    const std::vector<std::string> names = mapping_names(pair_);
    std::vector<Mapping> mappings = answer.mappings;
    mappings.insert(mappings.end(), question.given.begin(), question.given.end());
    for (const ComparedMethod& method : answer.compared) {
      const bool asked = std::ranges::find(names, method.name) != names.end();
      if (!asked && method.name != answer.compared.front().name) continue;
      const auto mapping = std::ranges::find(mappings, method.name, &Mapping::method);
      const double extrapolated =
          mapping == mappings.end() ? 0.0 : share_beyond_measured(question.profile, scored, *mapping);
      text += fmt::format("{},{:.9g},{:.9g},{:.9g},{:.6g},{:.9g},{},{:.4g}\n", method.name, method.train.mean_s,
                          method.test.mean_s, method.test.p99_s, method.test.imbalance, answer.bounds.test_s, in_sample,
                          extrapolated);
    }
    return text;
  }

  void verify(const std::string& profile, const PairTraces& traces) {
    ReplayRequest request = pair_.replay;
    for (const std::string& name : mapping_names(pair_)) request.mapping_files.push_back(files_.mapping(name));
    const StageKey key = key_on_root([&] { return verify_key(pair_, files_, profile, traces); });
    if (!is_stale("verify", key, PairState::Verifying)) return;

    ReplayQuestion question;
    group_.on_all([&] {
      std::vector<Mapping> mappings;
      for (const std::string& path : request.mapping_files) mappings.push_back(read_mapping(path));
      question = make_replay_question(request, read_profile(profile), read_trace(traces.scored()), mappings);
    });
    const DeviceOptions devices = replay_devices(request, question.profile);
    const VerificationReport report = run_replay(group_, request, question, devices);
    group_.on_root([&] {
      const Findings findings = findings_of(report, question.judged, request.seed);
      write_report(files_.report(), report, findings, provenance());
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
  const Manifest& manifest_;
  const BatchPair& pair_;
  const std::string& output_;
  PairFiles files_;
  const std::string& command_;
  const std::function<void(PairState)>& on_state_;
  bool made_ = false;
};

}  // namespace

bool needs_devices(std::optional<BatchStage> only) {
  return !only || only == BatchStage::Profiles;
}

bool run_pair(const Communicator& group, const Manifest& manifest, const BatchPair& pair,
              std::optional<BatchStage> only, const std::string& command_line,
              const std::function<void(PairState)>& on_state) {
  return PairRun(group, manifest, pair, command_line, on_state).run(only);
}

void forget_pair(const BatchPair& pair, const std::string& output) {
  const PairFiles files(output, pair);
  for (const std::string stage : {"trace", "map", "verify"}) fs::remove(files.stamp(stage));
  for (const std::string& path : {files.error(), files.scores(), files.verdicts()}) fs::remove(path);
}

}  // namespace gem
