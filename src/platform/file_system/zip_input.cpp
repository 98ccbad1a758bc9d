#include "platform/file_system/zip_input.hpp"

#include <fmt/core.h>
#include <zlib.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/text.hpp"

namespace gem {
namespace {

// Deflate shrinks at most 1032 times (zlib's technical notes).
constexpr std::uint64_t greatest_compression = 1032;
constexpr std::uint64_t largest_entry_bytes = std::uint64_t{1} << 31;
constexpr std::uint64_t longest_comment = 65535;
// Recordings shrink less than this; where a small file claims more, it was made to exhaust memory.
constexpr std::uint64_t greatest_usual_compression = 200;
constexpr std::uint64_t always_unpacked_bytes = std::uint64_t{16} << 20;

/// Little-endian numbers at fixed places; 0 beyond the end.
std::uint64_t number_at(std::string_view bytes, std::size_t at, std::size_t byte_count) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < byte_count && at + i < bytes.size(); ++i)
    number |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  return number;
}

/// Fields of the ZIP64 extra field stand only for those of the entry that are all ones, in this order.
void apply_zip64(std::string_view extra, ZipInput::Entry& entry) {
  while (extra.size() >= 4) {
    const std::uint64_t length = std::min<std::uint64_t>(number_at(extra, 2, 2), extra.size() - 4);
    if (number_at(extra, 0, 2) == 1) {
      std::string_view fields = extra.substr(4, length);
      for (std::uint64_t* field : {&entry.size, &entry.packed_size, &entry.header_offset}) {
        if (*field != 0xffffffff || fields.size() < 8) continue;
        *field = number_at(fields, 0, 8);
        fields.remove_prefix(8);
      }
    }
    extra.remove_prefix(4 + length);
  }
}

std::string inflate_all(const std::string& packed, std::uint64_t size, const InputFile& file, const std::string& name) {
  std::string unpacked(size, '\0');
  z_stream stream{};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(unpacked.data());
  stream.avail_out = static_cast<uInt>(unpacked.size());
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) file.reject("entry " + name + " cannot be unpacked");
  const int status = inflate(&stream, Z_FINISH);
  const bool whole = status == Z_STREAM_END && stream.total_out == size;
  inflateEnd(&stream);
  if (!whole) file.reject("entry " + name + " is damaged; copy or make the file again");
  return unpacked;
}

}  // namespace

ZipInput::ZipInput(const std::string& path) : file_(path) {
  constexpr std::uint64_t end_bytes = 22, locator_bytes = 20;
  const std::uint64_t tail_bytes = std::min(file_.size(), end_bytes + longest_comment + locator_bytes);
  const std::string tail = file_.read_text(file_.size() - tail_bytes, tail_bytes);
  const std::size_t end = tail.rfind("PK\x05\x06");
  if (end == std::string::npos || tail.size() - end < end_bytes)
    file_.reject("is no ZIP archive, or truncated; copy or make the file again");
  std::uint64_t count = number_at(tail, end + 10, 2), bytes = number_at(tail, end + 12, 4);
  std::uint64_t offset = number_at(tail, end + 16, 4);
  if (end >= locator_bytes && std::string_view(tail).substr(end - locator_bytes, 4) == "PK\x06\x07") {
    const std::uint64_t record = number_at(tail, end - locator_bytes + 8, 8);
    if (file_.size() < 56 || record > file_.size() - 56) file_.reject("has a damaged ZIP64 directory; copy it again");
    const std::string zip64 = file_.read_text(record, 56);
    if (!zip64.starts_with("PK\x06\x06")) file_.reject("has a damaged ZIP64 directory; copy it again");
    count = number_at(zip64, 32, 8);
    bytes = number_at(zip64, 40, 8);
    offset = number_at(zip64, 48, 8);
  }
  if (offset > file_.size() || bytes > file_.size() - offset || count > bytes / 46)
    file_.reject("has a damaged directory; copy or make the file again");
  read_directory(offset, count, bytes);
}

void ZipInput::read_directory(std::uint64_t offset, std::uint64_t count, std::uint64_t byte_count) {
  const std::string directory = file_.read_text(offset, byte_count);
  std::string_view rest = directory;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t name_bytes = number_at(rest, 28, 2), extra_bytes = number_at(rest, 30, 2);
    const std::uint64_t length = 46 + name_bytes + extra_bytes + number_at(rest, 32, 2);
    if (!rest.starts_with("PK\x01\x02") || length > rest.size())
      file_.reject(fmt::format("has a damaged directory at entry {}; copy or make the file again", i));
    Entry entry;
    entry.method = static_cast<std::uint16_t>(number_at(rest, 10, 2));
    entry.crc = static_cast<std::uint32_t>(number_at(rest, 16, 4));
    entry.packed_size = number_at(rest, 20, 4);
    entry.size = number_at(rest, 24, 4);
    entry.header_offset = number_at(rest, 42, 4);
    entry.name = rest.substr(46, name_bytes);
    apply_zip64(rest.substr(46 + name_bytes, extra_bytes), entry);
    if (number_at(rest, 8, 2) & 1) file_.reject("entry " + entry.name + " is encrypted");
    unpacked_bytes_ += std::min(entry.size, largest_entry_bytes + 1);  // no overflow
    entries_.push_back(std::move(entry));
    rest.remove_prefix(length);
  }
  if (unpacked_bytes_ > always_unpacked_bytes && unpacked_bytes_ / greatest_usual_compression > file_.size())
    file_.reject(fmt::format("claims {} in a file of {}, which no recording packs so tightly; it is not read",
                             format_bytes(static_cast<double>(unpacked_bytes_)),
                             format_bytes(static_cast<double>(file_.size()))));
}

std::string ZipInput::read(const Entry& entry) const {
  constexpr std::uint64_t header_bytes = 30;
  if (entry.method != 0 && entry.method != 8)
    file_.reject(fmt::format("entry {} is packed by method {}; only stored and deflated ones are read", entry.name,
                             unsigned{entry.method}));
  const bool possible = entry.header_offset <= file_.size() && file_.size() - entry.header_offset >= header_bytes &&
                        entry.packed_size <= file_.size() && entry.size <= largest_entry_bytes &&
                        entry.packed_size <= largest_entry_bytes &&
                        (entry.method == 0 ? entry.size == entry.packed_size
                                           : entry.size <= greatest_compression * (entry.packed_size + 1));
  if (!possible)
    file_.reject(fmt::format("entry {} claims {} bytes, more than can be there or than are read ({}); copy it again",
                             entry.name, entry.size, format_bytes(static_cast<double>(largest_entry_bytes))));
  const std::string header = file_.read_text(entry.header_offset, header_bytes);
  if (!header.starts_with("PK\x03\x04")) file_.reject("entry " + entry.name + " is damaged; copy the file again");
  const std::uint64_t begin = entry.header_offset + header_bytes + number_at(header, 26, 2) + number_at(header, 28, 2);
  if (begin > file_.size() || entry.packed_size > file_.size() - begin)
    file_.reject("entry " + entry.name + " ends beyond the file; it is truncated, copy it again");
  std::string packed = file_.read_text(begin, entry.packed_size);
  std::string bytes = entry.method == 0 ? std::move(packed) : inflate_all(packed, entry.size, file_, entry.name);
  const auto* data = reinterpret_cast<const Bytef*>(bytes.data());
  if (entry.crc != 0 && crc32_z(crc32_z(0, nullptr, 0), data, bytes.size()) != entry.crc)
    file_.reject("entry " + entry.name + " has another checksum than the archive says; it is damaged, copy it again");
  return bytes;
}

}  // namespace gem
