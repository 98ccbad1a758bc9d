#include "files/report_file.hpp"

#include <cmath>

#include "files/header.hpp"
#include "verification/findings_fields.hpp"
#include "verification/report_fields.hpp"

namespace gem {
namespace {

const char* const file_format = "gem.report";

// The exchange is composed of the rows of each layer where its law is counted.
void check_exchange_law(const Hdf5Input& file, const VerificationReport& report) {
  if (!report.whole_step || std::isnan(report.whole_step->exchange_fixed_s)) return;
  for (const std::string group : {"", "/whole_step/balanced"})
    if (!file.has_dataset(group + "/most_rows"))
      file.reject("dataset " + group +
                  "/most_rows is missing, which /whole_step/exchange_law needs; make the file again");
}

}  // namespace

VerificationReport read_report(const std::string& path) {
  const Hdf5Input file = open_gem_file(path, file_format);
  auto report = read_fields<VerificationReport>(file);
  check_exchange_law(file, report);
  for (MappingReplay& replay : report.balanced) replay.name = force_balanced_name;
  return report;
}

void write_report(const std::string& path, const VerificationReport& report, const Findings& findings,
                  const Provenance& provenance) {
  Hdf5Output file(path);
  write_header(file, file_format, provenance);
  visit_fields(report, FieldWriter(file));
  visit_fields(findings, FieldWriter(file));
  file.commit();
}

}  // namespace gem
