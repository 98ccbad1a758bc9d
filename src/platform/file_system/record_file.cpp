#include "platform/file_system/record_file.hpp"

#include <algorithm>
#include <cstring>

#include "base/checksum.hpp"
#include "platform/file_system/input_file.hpp"

namespace gem {
namespace {

struct RecordHeader {
  std::uint64_t mark;
  std::uint64_t byte_count;
  std::uint64_t checksum;
};
constexpr std::uint64_t record_mark = 0x64726f6365724d47;  // "GMrecord", in the byte order of the machine

}  // namespace

RecordFile::RecordFile(const std::string& path, std::span<const std::byte> head) : file_(path) {
  file_.write(head);
}

void RecordFile::append(std::span<const std::byte> record) {
  const RecordHeader header = {record_mark, record.size(), checksum_of(record)};
  file_.write(std::as_bytes(std::span(&header, 1)));
  file_.write(record);
}

void RecordFile::publish() {
  file_.rename_to_final();
}

std::vector<std::vector<std::byte>> read_records(const std::string& path, std::uint64_t head_bytes) {
  const std::vector<std::byte> content = read_whole_file(path);
  std::span<const std::byte> rest = content;
  rest = rest.subspan(std::min<std::uint64_t>(head_bytes, rest.size()));

  std::vector<std::vector<std::byte>> records;
  while (rest.size() >= sizeof(RecordHeader)) {
    RecordHeader header{};
    std::memcpy(&header, rest.data(), sizeof header);
    rest = rest.subspan(sizeof header);
    if (header.mark != record_mark || header.byte_count > rest.size()) break;
    const auto record = rest.first(header.byte_count);
    if (header.checksum != checksum_of(record)) break;
    records.emplace_back(record.begin(), record.end());
    rest = rest.subspan(header.byte_count);
  }
  return records;
}

}  // namespace gem
