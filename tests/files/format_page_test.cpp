#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "adaptation/adaptation_fields.hpp"
#include "model/latency_profile_fields.hpp"
#include "model/load_trace_fields.hpp"
#include "model/mapping_fields.hpp"
#include "model/routing_fields.hpp"
#include "verification/findings_fields.hpp"
#include "verification/report_fields.hpp"

namespace gem::test {
namespace {

// The page of the file formats, and the table that the Python reader and writer go by, are made from what the nouns'
// visitors say. Run this test with GEM_WRITE_PAGES=1 to write both anew.

template <class Element>
constexpr const char* type_name() {
  if constexpr (std::is_same_v<Element, std::string>)
    return "text";
  else if constexpr (std::is_floating_point_v<Element>)
    return sizeof(Element) == 4 ? "f32" : "f64";
  else if constexpr (std::is_signed_v<Element>)
    return sizeof(Element) == 4 ? "i32" : "i64";
  else
    return sizeof(Element) == 1 ? "u8" : sizeof(Element) == 2 ? "u16" : sizeof(Element) == 4 ? "u32" : "u64";
}

template <class Value>
constexpr const char* type_of() {
  if constexpr (Encoded<Value>)
    return type_of<decltype(std::declval<const Value&>().get())>();
  else if constexpr (ArrayValue<Value>)
    return type_name<typename std::remove_cvref_t<decltype(elements_of(std::declval<Value&>()))>::value_type>();
  else
    return type_name<Value>();
}

std::string presence_of(const Field& field) {
  if (field.presence == Presence::Always) return "yes";
  if (!field.needed_with.empty() && field.needed_with != field.name) return fmt::format("with `{}`", field.needed_with);
  if (field.presence == Presence::OrDefault && field.is_dataset() && !std::isnan(field.otherwise))
    return fmt::format("else {:g}", field.otherwise);
  return "no";
}

/// Both texts, format by format.
struct Pages {
  std::string page =
      "# The file formats\n\n"
      "Made by `tests/files/format_page_test.cpp` from the fields of the nouns (`visit_fields`); change them there.\n"
      "All files are HDF5 with plain arrays. Every dataset has the attributes `units` and `axes`; every file has the "
      "root\n"
      "attributes `format`, `format_version`, `created`, `software_version`, `command_line`, `model` and `seed`. "
      "Readers\n"
      "check all that stands here; what is not needed may be missing, and what is not named is passed over. Names "
      "that\n"
      "begin with `/` are datasets, the others root attributes.\n";
  std::string table =
      "\"\"\"Fields of GEM's file formats: (name, type, unit, axes). Made by "
      "tests/files/format_page_test.cpp.\"\"\"\n\n"
      "FIELDS = {\n";

  void begin(const std::string& format, const std::string& what) {
    page += fmt::format(
        "\n## {}\n{}\n\n| field | type | axes | unit | needed | values | meaning |\n|---|---|---|---|---|---|---|\n",
        format, what);
    table += fmt::format("    \"{}\": (\n", format);
  }
  template <class Noun>
  void add(const Noun& noun) {
    visit_fields(noun, [&](const Field& field, const auto& value) {
      const char* type = type_of<std::remove_cvref_t<decltype(value)>>();
      page += fmt::format("| `{}` | {}{} | {} | {} | {} | {} | {} |\n", field.name, type, field.narrow ? " or u8" : "",
                          field.axes, field.unit == "1" ? "" : field.unit, presence_of(field),
                          text_of(field.rule, field.unit), field.meaning);
      if (!field.of_header)
        table += fmt::format("        (\"{}\", \"{}\", \"{}\", \"{}\"),\n", field.name, type, field.unit, field.axes);
    });
  }
  void end() { table += "    ),\n"; }

  template <class... Nouns>
  void format(const std::string& name, const std::string& what, const Nouns&... nouns) {
    begin(name, what);
    (add(nouns), ...);
    end();
  }
};

Pages pages() {
  Pages made;
  made.format("gem.routing", "Which experts each token used. 65535 in `/topk_ids`: a place that a token did not use.",
              Routing{});
  made.format("gem.trace", "Tokens of each expert, step by step.", LoadTrace{});
  made.format("gem.profile", "Latency of each device over load.", LatencyProfile{});
  made.format("gem.mapping", "Which device holds which expert, with copies.", Mapping{});
  Findings findings;
  findings.exchange.emplace();
  made.format(
      "gem.report",
      "What a replay measured. From `/waiting_s` on it is what was found of the rest, for readers that know only\n"
      "the file: GEM itself does not read it. A `case` is a mapping or, last, force-balanced; what is below\n"
      "`/whole_step/balanced` is of the force-balanced steps.",
      VerificationReport{}, findings);
  made.format("gem.adaptation", "Policies of re-mapping over a run that drifts.", AdaptationReport{});
  made.table += "}\n";
  return made;
}

void expect_written(const std::string& path, const std::string& text) {
  const std::string whole_path = std::string(GEM_SOURCE_DIR) + "/" + path;
  if (std::getenv("GEM_WRITE_PAGES") != nullptr) std::ofstream(whole_path) << text;
  std::ifstream file(whole_path);
  const std::string found((std::istreambuf_iterator<char>(file)), {});
  EXPECT_TRUE(found == text) << path << " is not what the fields say; write it with GEM_WRITE_PAGES=1";
}

TEST(FormatPage, IsWhatTheFieldsSay) {
  expect_written("src/files/README.md", pages().page);
}

TEST(FormatPage, TheTableOfThePythonReaderIsToo) {
  expect_written("analysis/gem_analysis/format_fields.py", pages().table);
}

TEST(FormatPage, EveryFieldHasAMeaning) {
  EXPECT_EQ(pages().page.find("|  |\n"), std::string::npos);
}

}  // namespace
}  // namespace gem::test
