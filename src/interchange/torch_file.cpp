#include "interchange/torch_file.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <map>
#include <span>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

constexpr std::uint64_t longest_pickle_bytes = std::uint64_t{256} << 20;
constexpr std::string_view pickle_name = "data.pkl";

const ZipInput::Entry& entry_of(const ZipInput& archive, std::string_view ending) {
  const auto found = std::ranges::find_if(archive.entries(), [&](const ZipInput::Entry& entry) {
    return entry.name.ends_with(ending) &&
           (entry.name.size() == ending.size() || entry.name[entry.name.size() - ending.size() - 1] == '/');
  });
  if (found == archive.entries().end())
    throw DataError(archive.path() + ": has no entry " + std::string(ending) +
                    ", so torch.save did not write it; save it again with PyTorch 1.6 or later");
  return *found;
}

Pickle read_pickle(const ZipInput& archive) {
  const ZipInput::Entry& entry = entry_of(archive, pickle_name);
  if (entry.size > longest_pickle_bytes)
    throw DataError(archive.path() + ": its pickle has " + format_bytes(static_cast<double>(entry.size)) +
                    ", more than is read; record fewer steps in one file");
  return Pickle::parse(archive.read(entry), archive.path());
}

NumberType type_of(const std::string& storage, const TorchFile& file) {
  using Kind = NumberType::Kind;
  static const std::map<std::string, NumberType> types = {
      {"ByteStorage", {Kind::Unsigned, 1, false}}, {"BoolStorage", {Kind::Unsigned, 1, false}},
      {"CharStorage", {Kind::Signed, 1, false}},   {"ShortStorage", {Kind::Signed, 2, false}},
      {"IntStorage", {Kind::Signed, 4, false}},    {"LongStorage", {Kind::Signed, 8, false}},
      {"HalfStorage", {Kind::Float, 2, false}},    {"FloatStorage", {Kind::Float, 4, false}},
      {"DoubleStorage", {Kind::Float, 8, false}}};
  const auto found = types.find(storage);
  if (found == types.end()) file.reject("has a tensor of type " + storage + "; save counts as whole numbers");
  return found->second;
}

/// Values in rows-first order whatever the strides; places are inside the storage.
std::vector<double> gather(const std::vector<double>& storage, const std::vector<std::size_t>& extents,
                           const std::vector<std::int64_t>& strides, std::size_t count) {
  std::vector<double> values(count);
  std::vector<std::size_t> index(extents.size(), 0);
  for (double& value : values) {
    std::size_t place = 0;
    for (std::size_t d = 0; d < extents.size(); ++d) place += index[d] * static_cast<std::size_t>(strides[d]);
    value = storage[place];
    for (std::size_t d = extents.size(); d-- > 0 && ++index[d] == extents[d];) index[d] = 0;
  }
  return values;
}

}  // namespace

TorchFile::TorchFile(const std::string& path) : archive_(path), pickle_(read_pickle(archive_)) {
  const std::string& name = entry_of(archive_, pickle_name).name;
  prefix_ = name.substr(0, name.size() - pickle_name.size());
}

std::optional<Pickle::Index> TorchFile::find(Pickle::Index dictionary, const std::string& key) const {
  if (pickle_.kind(dictionary) != Pickle::Kind::Dictionary) return std::nullopt;
  const std::vector<Pickle::Index>& items = pickle_.items(dictionary);
  for (std::size_t i = 0; i + 1 < items.size(); i += 2)
    if (pickle_.kind(items[i]) == Pickle::Kind::Text && pickle_.text(items[i]) == key) return items[i + 1];
  return std::nullopt;
}

NumberArray TorchFile::tensor(Pickle::Index value, std::size_t rank, const std::string& what) const {
  if (pickle_.kind(value) != Pickle::Kind::Tensor) reject(what + " must be a tensor");
  const Pickle::Tensor& tensor = pickle_.tensor(value);
  NumberArray array;
  array.extents.assign(tensor.extents.begin(), tensor.extents.end());
  if (array.extents.size() != rank)
    reject(fmt::format("{} must have {} dimensions, but has extents {}", what, rank, extents_text(array.extents)));
  const NumberType type = type_of(tensor.type, *this);
  array.whole = type.kind != NumberType::Kind::Float;
  const std::string origin = path() + ": " + what;
  const std::string bytes = archive_.read(entry_of(archive_, prefix_ + tensor.storage));
  const std::size_t stored = bytes.size() / type.byte_count;
  const std::size_t count = checked_count(array.extents, stored, origin);
  if (count == 0) return array;
  numbers_read_ += count;
  checked_count({numbers_read_}, numbers_read_, path());
  if (numbers_read_ > 4 * archive_.unpacked_bytes() + 65536)  // a number takes a byte at least
    reject("refers to the same numbers over and over, far more than it holds; record again");
  double last = static_cast<double>(tensor.offset);
  for (std::size_t d = 0; d < rank; ++d)
    last += static_cast<double>(array.extents[d] - 1) * static_cast<double>(tensor.strides[d]);
  if (last >= static_cast<double>(stored)) reject(what + " reaches beyond its storage; the file is damaged");
  const auto begin = static_cast<std::size_t>(tensor.offset);
  const auto used = static_cast<std::size_t>(last) + 1 - begin;
  const auto part = std::as_bytes(std::span(bytes)).subspan(begin * type.byte_count);
  array.values = gather(numbers_of(part, type, used, origin), array.extents, tensor.strides, count);
  return array;
}

void TorchFile::reject(const std::string& what) const {
  throw DataError(path() + ": " + what);
}

}  // namespace gem
