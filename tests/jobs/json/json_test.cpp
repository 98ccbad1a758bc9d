// --json and --csv of each program: valid, nothing else on standard output, with the tables' figures.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <fstream>

#include "files/mapping_file.hpp"
#include "jobs/program_run.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

const std::string bin = GEM_PROGRAM_DIR "/";
const std::string routing = GEM_DATA_DIR "/routing/gpt-oss-20b.gpqa.h5";

/// A run that ended with that code and printed an object; what it printed beside it is in `text`.
struct JsonRun {
  JsonRun(const TestFolder& folder, const std::string& command, int code = 0)
      : run(folder.run(bin + command + " --json")), document(parse(command, code)), text(run.errors) {}

  JsonDocument parse(const std::string& command, int code) const {
    EXPECT_EQ(run.code, code) << command << "\n" << run.output << run.errors;
    EXPECT_EQ(run.output.find('\n') + 1, run.output.size()) << command << ": more than a line\n" << run.output;
    return JsonDocument::parse(run.output, command);
  }
  JsonNode root() const { return document.root(); }
  double number(std::string_view key) const { return root().at(key).number(); }
  /// Whether the figure stands in the table as it is written there.
  void expect_shown(double value, int decimals) const {
    const std::string shown = fmt::format("{:.{}f}", value, decimals);
    EXPECT_NE(text.find(shown), std::string::npos) << shown << " is not in\n" << text;
  }

  ProgramRun run;
  JsonDocument document;
  std::string text;
};

std::string profile_command(const TestFolder& folder) {
  return "gem-profile --model gpt-oss-20b --device simulated --devices 4 --slowdown 1.0,1.28 --max-tokens 1024 "
         "--output " +
         folder.file("profile.h5");
}

void make_inputs(const TestFolder& folder) {
  ASSERT_EQ(folder.run(bin + profile_command(folder) + " --quiet").code, 0);
  for (const std::string part : {"train", "test"})
    ASSERT_EQ(folder
                  .run(bin + "gem-trace batch --quiet --routing " + routing + " --batch-size 64 --steps 16 --part " +
                       part + " --output " + folder.file(part + ".h5"))
                  .code,
              0);
  ASSERT_EQ(folder
                .run(bin + "gem-map --quiet --effort fast --profile " + folder.file("profile.h5") + " --trace " +
                     folder.file("train.h5") + " --output " + folder.file("gem.h5"))
                .code,
            0);
}

TEST(Json, OfProfiles) {
  const TestFolder folder;
  const JsonRun profile(folder, profile_command(folder) + " --validate 5");
  EXPECT_EQ(profile.root().at("program").text(), "gem-profile");
  EXPECT_EQ(profile.root().at("model").text(), "gpt-oss-20b");
  ASSERT_EQ(profile.root().at("devices").size(), 4u);
  for (std::size_t d = 0; d < 4; ++d) {
    const JsonNode device = profile.root().at("devices").item(d);
    profile.expect_shown(device.at("relative_speed").number(), 3);
    profile.expect_shown(100.0 * device.at("noise").number(), 2);
  }
  profile.expect_shown(100.0 * profile.number("spread"), 1);
  profile.expect_shown(100.0 * profile.root().at("validation").item(0).at("median_error").number(), 2);

  const JsonRun tiles(folder, profile_command(folder) + " --tile-rule 32:16,64 --nodes 2");
  ASSERT_EQ(tiles.root().at("regimes").size(), 2u);
  const JsonNode regime = tiles.root().at("regimes").item(0);
  EXPECT_EQ(regime.at("rows_to").integer(), 32);
  EXPECT_EQ(regime.at("tile_tokens").integer(), 16);
  EXPECT_EQ(regime.at("points").item(0).at("median_s").size(), 4u);
  EXPECT_EQ(tiles.root().at("topology").at("source").text(), "stated");
  EXPECT_EQ(tiles.root().at("topology").at("node_of_device").item(3).integer(), 1);

  const JsonRun plan(folder, profile_command(folder) + " --dry-run");
  EXPECT_GT(plan.root().at("plan").size(), 10u);
  EXPECT_GT(plan.root().at("plan").item(0).at("tiles").integer(), 0);
  const JsonRun models(folder, "gem-profile --list-models");
  EXPECT_GT(models.root().at("models").size(), 20u);
  const JsonRun spread(folder, "gem-profile --compare " + folder.file("profile.h5") + "," + folder.file("profile.h5"));
  EXPECT_TRUE(spread.root().at("distinguishable").boolean());
  spread.expect_shown(100.0 * spread.number("spread"), 2);
}

TEST(Json, OfTraces) {
  const TestFolder folder;
  const std::string trace = folder.file("trace.h5");
  const JsonRun batch(folder, "gem-trace batch --steps 8 --batch-size 64 --routing " + routing + " --output " + trace);
  EXPECT_EQ(batch.root().at("steps").integer(), 8);
  batch.expect_shown(batch.number("median_skew"), 2);
  batch.expect_shown(batch.number("request_tokens"), 0);
  batch.expect_shown(batch.number("mean_uses"), 2);
  const JsonRun described(folder, "gem-trace describe --trace " + trace);
  ASSERT_EQ(described.root().at("described_layers").size(), 24u);
  for (const char* figure : {"skew", "median_imbalance", "step_correlation"})
    described.expect_shown(described.root().at("described_layers").item(7).at(figure).number(), 2);
  EXPECT_EQ(described.root().at("pairs").size(), 5u);
  const JsonRun split(folder, "gem-trace split --train-steps 3 --trace " + trace + " --output-train " +
                                  folder.file("a.h5") + " --output-test " + folder.file("b.h5"));
  EXPECT_EQ(split.root().at("test").at("steps").integer(), 5);
  const JsonRun drawn(folder, "gem-trace synthesize --dry-run --experts 8 --layers 2 --top-k 2 --steps 4");
  EXPECT_EQ(drawn.root().at("experts").integer(), 8);
  EXPECT_TRUE(drawn.root().at("dry_run").boolean());
}

TEST(Json, OfMappingsAndTheirReplay) {
  const TestFolder folder;
  make_inputs(folder);
  const std::string files = " --profile " + folder.file("profile.h5") + " --trace ";
  const JsonRun map(folder, "gem-map --effort fast --certify" + files + folder.file("train.h5") + " --test-trace " +
                                folder.file("test.h5") + " --output " + folder.file("other.h5"));
  const JsonNode methods = map.root().at("methods");
  ASSERT_EQ(methods.size(), 6u);
  for (std::size_t m = 0; m < methods.size(); ++m) {
    map.expect_shown(methods.item(m).at("train_s").number() * 1e3, 4);
    map.expect_shown(methods.item(m).at("test_ratio").number(), 3);
    map.expect_shown(methods.item(m).at("p99_s").number() * 1e3, 4);
  }
  map.expect_shown(map.number("test_bound_s") * 1e3, 4);
  EXPECT_EQ(map.root().at("test_sample").text(), "held-out requests");
  ASSERT_EQ(map.root().at("layers").size(), 24u);
  EXPECT_GT(map.root().at("layers").item(3).at("predicted_s").number(), 0.0);

  // Of a running placement the layers are those of the mapping that is written, not of the search without limit.
  const JsonRun changed(folder, "gem-map --effort fast --max-moves 1 --from " + folder.file("gem.h5") + files +
                                    folder.file("test.h5") + " --output " + folder.file("changed.h5"));
  const JsonNode remapping = changed.root().at("remapping");
  changed.expect_shown(remapping.at("chosen").at("train_s").number() * 1e3, 4);
  EXPECT_EQ(remapping.at("numbers_of_moves").item(0).at("moved_experts").integer(), 0);
  EXPECT_TRUE(remapping.at("chosen").at("moves_s").is_null()) << "the profile has no exchange";
  double chosen_s = 0.0, searched_s = 0.0;
  for (std::size_t l = 0; l < 24; ++l) chosen_s += changed.root().at("layers").item(l).at("predicted_s").number();
  for (std::size_t m = 0; m < changed.root().at("methods").size(); ++m)
    if (changed.root().at("methods").item(m).at("method").text() == "gem")
      searched_s = changed.root().at("methods").item(m).at("train_s").number();
  EXPECT_NEAR(chosen_s, remapping.at("chosen").at("train_s").number(), 1e-6 * chosen_s);
  EXPECT_GT(chosen_s, searched_s);

  // Of a running placement that is changed: what is told is what is written.
  const JsonRun moved(folder, "gem-map --effort fast --move-time 1e-7 --max-moves 1 --from " + folder.file("other.h5") +
                                  files + folder.file("test.h5") + " --output " + folder.file("moved.h5"));
  const Mapping written = read_mapping(folder.file("moved.h5"));
  EXPECT_EQ(moved.root().at("moves").integer(), static_cast<std::int64_t>(written.moves.size()));
  EXPECT_EQ(moved.root().at("moved_from").text(), folder.file("other.h5"));
  EXPECT_EQ(moved.root().at("layers").item(3).at("predicted_s").number(), written.predicted_s[3]);
  const JsonNode numbers = moved.root().at("remapping").at("numbers_of_moves");
  ASSERT_GE(numbers.size(), 2u);
  for (std::size_t row = 0; row < numbers.size(); ++row)
    moved.expect_shown(numbers.item(row).at("train_s").number() * 1e3, 4);
  moved.expect_shown(static_cast<double>(moved.root().at("remapping").at("chosen").at("moved_experts").integer()), 0);

  const JsonRun validated(folder, "gem-map --effort fast --cross-validate 4" + files + folder.file("train.h5") +
                                      " --output " + folder.file("other.h5"));
  const JsonNode expected = validated.root().at("cross_validation").at("methods").item(1);
  validated.expect_shown(expected.at("expected_ratio").number(), 3);

  const JsonRun verified(folder, "gem-verify --steps 8 --rest-per-layer 1" + files + folder.file("test.h5") +
                                     " --mapping " + folder.file("gem.h5") + " --output " + folder.file("report.h5"));
  EXPECT_EQ(verified.root().at("verdict").text(), "faster");
  EXPECT_EQ(verified.root().at("judged").text(), "gem");
  const JsonNode gem = verified.root().at("mappings").item(1);
  verified.expect_shown(gem.at("straggler_s").number() * 1e3, 3);
  verified.expect_shown(gem.at("relative_low").number(), 3);
  verified.expect_shown(gem.at("waiting_share").number() * 100.0, 1);
  EXPECT_TRUE(gem.at("dispatch_s").is_null()) << "nothing is exchanged on simulated devices";
  verified.expect_shown(verified.root().at("whole_model").item(1).at("step_s").number() * 1e3, 3);
  // A negative verdict ends with 1, and says so here, too.
  const JsonRun slower(folder,
                       "gem-verify --steps 8 --judge gem --seed 2 --slowdown 4.0,1.0" + files + folder.file("test.h5") +
                           " --mapping " + folder.file("gem.h5") + " --output " + folder.file("report.h5"),
                       1);
  EXPECT_EQ(slower.root().at("verdict").text(), "slower");

  const JsonRun exported(folder, "gem-deploy export --engine vllm-ascend --mapping " + folder.file("gem.h5") +
                                     " --output " + folder.file("expert_map.json"));
  EXPECT_EQ(exported.root().at("layers").integer(), 24);
  EXPECT_EQ(exported.root().at("files").item(0).text(), folder.file("expert_map.json"));
  const JsonRun told(
      folder, "gem-deploy profile --profile " + folder.file("profile.h5") + " --output " + folder.file("profile.json"));
  EXPECT_EQ(told.root().at("devices").integer(), 4);
  const JsonRun imported(folder,
                         "gem-deploy import --dry-run --model gpt-oss-20b --input " + folder.file("expert_map.json"));
  EXPECT_EQ(imported.root().at("devices").integer(), 4);
}

TEST(Json, OfRunsThatDrift) {
  const TestFolder folder;
  make_inputs(folder);
  const std::string command = "gem-adapt --train-steps 16 --window 32 --steps 100 --move-time 1e-3 --profile " +
                              folder.file("profile.h5") + " --trace " + folder.file("train.h5") + " --trace " +
                              folder.file("test.h5") + " --output " + folder.file("adaptation.h5");
  const JsonRun run(folder, command);
  EXPECT_EQ(run.root().at("device_kind").text(), "simulated");
  EXPECT_EQ(run.root().at("steps").integer(), 84);
  const JsonNode policies = run.root().at("policies");
  ASSERT_EQ(policies.size(), 6u);
  for (std::size_t p = 0; p < policies.size(); ++p) {
    EXPECT_NE(run.text.find(policies.item(p).at("policy").text()), std::string::npos);
    run.expect_shown(policies.item(p).at("total_s").number(), 3);
    run.expect_shown(policies.item(p).at("relative").number(), 4);
    run.expect_shown(policies.item(p).at("p99_s").number() * 1e3, 3);
  }
  EXPECT_EQ(policies.item(1).at("relative").number(), 1.0);
  EXPECT_EQ(run.root().at("judged").text(), "triggered gem");
  EXPECT_FALSE(run.root().at("verdict").text().empty());
  const JsonRun planned(folder, command + " --dry-run");
  EXPECT_TRUE(planned.root().at("dry_run").boolean());
}

TEST(Json, OfBatches) {
  const TestFolder folder;
  const std::string manifest = folder.file("m.toml");
  std::ofstream(manifest) << "output = \"out\"\n[defaults]\ndevice = \"simulated\"\ndevices = 4\nmax_tokens = 512\n"
                             "steps = 8\nbatch_size = 32\neffort = \"fast\"\nverify_steps = 4\nsynthetic = true\n"
                             "[[model]]\nname = \"gpt-oss-20b\"\n[[model.task]]\nname = \"a\"\n"
                             "[[model.task]]\nname = \"b\"\nskew = 1\n";
  const JsonRun planned(folder, "gem-batch " + manifest + " --dry-run");
  ASSERT_EQ(planned.root().at("pairs").size(), 2u);
  EXPECT_EQ(planned.root().at("pairs").item(1).at("pair").text(), "gpt-oss-20b/b");
  const JsonRun run(folder, "gem-batch " + manifest);
  const JsonNode rows = run.root().at("rows");
  ASSERT_EQ(rows.size(), 6u);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    EXPECT_EQ(rows.item(row).at("state").text(), "done");
    run.expect_shown(rows.item(row).at("predicted_s").number() * 1e3, 4);
    run.expect_shown(rows.item(row).at("measured_vs_linear").number(), 3);
  }
  const JsonRun summary(folder, "gem-batch " + manifest + " --summary");
  EXPECT_EQ(summary.root().at("rows").size(), 6u);
}

TEST(Json, NothingIsPrintedOfAnError) {
  const TestFolder folder;
  const ProgramRun run = folder.run(bin + "gem-trace describe --trace nothing.h5 --json");
  EXPECT_EQ(run.code, 3);
  EXPECT_EQ(run.output, "");
  EXPECT_NE(run.errors.find("nothing.h5"), std::string::npos);
  EXPECT_NE(folder.run(bin + "gem-map --help --json").output.find("Usage: "), std::string::npos);
}

TEST(Csv, HasTheSameFiguresAndNothingElse) {
  const TestFolder folder;
  make_inputs(folder);
  const std::string command = "gem-map --effort fast --profile " + folder.file("profile.h5") + " --trace " +
                              folder.file("train.h5") + " --output " + folder.file("other.h5");
  const JsonRun json(folder, command);
  const ProgramRun csv = folder.run(bin + command + " --csv");
  ASSERT_EQ(csv.code, 0) << csv.errors;
  EXPECT_EQ(csv.output.find("# result\nname,value\n"), 0u) << csv.output;
  EXPECT_NE(csv.output.find("\nmethod,gem\n"), std::string::npos) << csv.output;
  EXPECT_NE(csv.output.find("\n\n# methods\nmethod,train_s,"), std::string::npos) << csv.output;
  const JsonNode gem = json.root().at("methods").item(5);
  EXPECT_NE(csv.output.find(fmt::format("\ngem,{},", gem.at("train_s").number())), std::string::npos) << csv.output;
  EXPECT_NE(csv.errors.find("of linear"), std::string::npos) << "the table for people is beside it\n" << csv.errors;

  const ProgramRun models = folder.run(bin + "gem-profile --list-models --csv");
  EXPECT_EQ(models.output.find("model,hidden_size,"), 0u) << "one table has no line before it\n" << models.output;
  const ProgramRun both = folder.run(bin + command + " --csv --json");
  EXPECT_EQ(both.code, 2);
  EXPECT_NE(both.errors.find("--csv and --json both want standard output"), std::string::npos) << both.errors;
}

}  // namespace
}  // namespace gem
