#include "platform/hdf5/input.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cstring>
#include <deque>
#include <type_traits>

#include "base/error.hpp"
#include "base/text.hpp"
#include "platform/file_system/input_file.hpp"
#include "platform/hdf5/crash.hpp"
#include "platform/hdf5/detail.hpp"
#include "platform/hdf5/heap.hpp"
#include "platform/hdf5/seal.hpp"
#include "platform/hdf5/storage.hpp"

namespace gem {
namespace {

// Deflate shrinks at most 1032 times (zlib's technical notes); a dataset that claims more lies. The slack is for
// chunks that are larger than the little they hold.
constexpr std::uint64_t greatest_compression = 1100;
constexpr std::uint64_t byte_slack = 16u << 20;
constexpr std::size_t longest_text = 1u << 20;

/// Opens with file access properties made by `set`; what HDF5 finds wrong goes to `failure`, since closing the
/// properties clears it.
template <class Set>
Hdf5Handle open_with(const std::string& name, const Set& set, std::string* failure) {
  const Hdf5Handle properties(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  set(properties.id());
  Hdf5Handle file(H5Fopen(name.c_str(), H5F_ACC_RDONLY, properties.id()), H5Fclose);
  if (!file.valid()) *failure = hdf5::last_error();
  return file;
}

Hdf5Handle open_file(const std::string& path, std::string* failure) {
  if (H5Fis_hdf5(path.c_str()) <= 0)
    throw DataError(
        fmt::format("{}: is not an HDF5 file (or its beginning is damaged); give a file that GEM wrote", path));
  // Locks fail on many parallel file systems and protect nothing here: files are renamed into place when whole.
  const auto set = [](hid_t properties) { H5Pset_file_locking(properties, false, true); };
  return open_with(path, set, failure);
}

Hdf5Handle open_image(const std::string& name, std::span<const std::byte> image, std::string* failure) {
  const auto set = [&](hid_t properties) {
    H5Pset_fapl_core(properties, std::size_t{1} << 16, false);
    // HDF5 copies the image; its interface forgot the const.
    H5Pset_file_image(properties, const_cast<std::byte*>(image.data()), image.size());
  };
  return open_with(name, set, failure);
}

/// HDF5 clips numbers that do not fit, in silence; this ends the read instead.
H5T_conv_ret_t refuse_misfits(H5T_conv_except_t exception, hid_t, hid_t, void*, void*, void* refused) {
  if (exception == H5T_CONV_EXCEPT_PRECISION) return H5T_CONV_UNHANDLED;
  *static_cast<bool*>(refused) = true;
  return H5T_CONV_ABORT;
}

std::string fixed_text(const char* begin, std::size_t capacity) {
  std::string text(begin, strnlen(begin, capacity));
  text.erase(text.find_last_not_of(' ') + 1);  // Fortran and old writers pad with spaces
  return text;
}

/// The memory of texts of variable length: many may refer to one and the same, which HDF5 copies for each.
class TextRoom {
 public:
  explicit TextRoom(std::uint64_t most_bytes) : left_(most_bytes) {}
  bool is_used_up() const { return used_up_; }
  static void* take(std::size_t bytes, void* room) { return static_cast<TextRoom*>(room)->take(bytes); }
  static void give_back(void*, void*) {}  // all of it goes with the room

 private:
  void* take(std::size_t bytes) {
    used_up_ = used_up_ || bytes > left_;
    if (used_up_) return nullptr;
    left_ -= bytes;
    return texts_.emplace_back(bytes).data();
  }
  std::uint64_t left_;
  bool used_up_ = false;
  std::deque<std::vector<char>> texts_;
};

/// Memory type for texts of `file_type`: HDF5 does not convert between character sets.
Hdf5Handle memory_text_type(const Hdf5Handle& file_type) {
  Hdf5Handle type = hdf5::text_type();
  H5Tset_cset(type.id(), H5Tget_cset(file_type.id()));
  return type;
}

}  // namespace

std::string to_string(const Extents& extents) {
  std::string text = "[";
  for (const std::size_t extent : extents) text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

Hdf5Input::Hdf5Input(const std::string& path) : path_(path) {
  const hdf5::CrashSentence crash_sentence(path_);
  hdf5::initialize();
  const std::vector<std::byte> content = read_whole_file(path);
  if (content.empty()) reject("is empty, not an HDF5 file; make it again");
  set_byte_limit(content.size());
  if (hdf5::seal_is_broken(content))
    reject("is damaged (its checksum is not that of its content); copy or make it again");
  std::string failure;
  file_ = open_file(path, &failure);
  if (!file_.valid()) reject_damaged("HDF5: " + failure);
  // What follows the file's end isn't HDF5's but our seal.
  check_heaps(std::span(content).first(std::min<std::uint64_t>(end(), content.size())));
}

Hdf5Input::Hdf5Input(const std::string& name, std::span<const std::byte> image) : path_(name) {
  const hdf5::CrashSentence crash_sentence(path_);
  hdf5::initialize();
  set_byte_limit(image.size());
  check_heaps(image);
  std::string failure;
  file_ = open_image(name, image, &failure);
  if (!file_.valid()) reject_damaged("HDF5: " + failure);
}

void Hdf5Input::set_byte_limit(std::uint64_t file_bytes) {
  file_bytes_ = file_bytes;
  byte_limit_ = greatest_compression * file_bytes + byte_slack;
}

void Hdf5Input::check_heaps(std::span<const std::byte> content) const {
  if (!hdf5::global_heaps_are_whole(content)) reject_damaged("a heap of texts is not whole");
}

void Hdf5Input::reject_damaged(const std::string& found) const {
  reject("is truncated or damaged (" + found + "); copy or make it again");
}

std::uint64_t Hdf5Input::end() const {
  haddr_t end = 0;
  if (H5Fget_eoa(file_.id(), &end) < 0) reject("has no end that can be read; the file is damaged");
  return end;
}

void Hdf5Input::reject(const std::string& what) const {
  throw DataError(path_ + ": " + what);
}

bool Hdf5Input::has_dataset(const std::string& name) const {
  const hdf5::CrashSentence crash_sentence(path_);
  for (std::size_t end = name.find('/', 1);; end = name.find('/', end + 1)) {
    const std::string part = name.substr(0, end);
    H5L_info_t link{};
    // A link into another file would have us read what nobody named.
    if (H5Lexists(file_.id(), part.c_str(), H5P_DEFAULT) <= 0 ||
        H5Lget_info(file_.id(), part.c_str(), &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD)
      return false;
    if (end == std::string::npos) return true;
  }
}

Hdf5Handle Hdf5Input::open_dataset(const std::string& name) const {
  if (!has_dataset(name)) reject("dataset " + name + " is missing; make the file again");
  Hdf5Handle dataset(H5Dopen2(file_.id(), name.c_str(), H5P_DEFAULT), H5Dclose);
  if (!dataset.valid()) reject(name + " is not a readable dataset (HDF5: " + hdf5::last_error() + ")");
  const std::string fault = hdf5::fault_of_layout(dataset.id(), file_bytes_, byte_limit_);
  if (!fault.empty()) reject(name + " " + fault);
  return dataset;
}

Extents Hdf5Input::safe_extents(const Hdf5Handle& dataset, const std::string& name) const {
  const Hdf5Handle space(H5Dget_space(dataset.id()), H5Sclose);
  const Hdf5Handle type(H5Dget_type(dataset.id()), H5Tclose);
  hsize_t lengths[H5S_MAX_RANK];
  const int rank = space.valid() ? H5Sget_simple_extent_dims(space.id(), lengths, nullptr) : -1;
  if (rank < 0 || !type.valid() || H5Sget_simple_extent_type(space.id()) == H5S_NULL)
    reject(name + " has no extents that can be read; the file is damaged");
  const Extents extents(lengths, lengths + rank);
  double bytes = static_cast<double>(H5Tget_size(type.id()));
  for (const std::size_t extent : extents) bytes *= static_cast<double>(extent);
  if (bytes > static_cast<double>(byte_limit_))
    reject(name + " claims extents " + to_string(extents) + ", more than a file of this size can hold; it is damaged");
  return extents;
}

Extents Hdf5Input::extents(const std::string& name, std::size_t rank) const {
  const hdf5::CrashSentence crash_sentence(path_);
  Extents found = safe_extents(open_dataset(name), name);
  if (found.size() != rank)
    reject(name + " has " + std::to_string(found.size()) + " dimensions " + to_string(found) + ", but must have " +
           std::to_string(rank));
  const auto limited = limited_rows_.find(name);
  if (limited != limited_rows_.end()) found[0] = limited->second.count;
  return found;
}

void Hdf5Input::limit_rows(const std::string& name, std::size_t first, std::size_t count) {
  limited_rows_.erase(name);
  const Extents whole = safe_extents(open_dataset(name), name);
  if (whole.empty() || first > whole[0] || count > whole[0] - first)
    reject(name + " has extents " + to_string(whole) + ", which hold no " + std::to_string(count) + " entries from " +
           std::to_string(first) + " on");
  limited_rows_[name] = {first, count};
}

template <class T>
std::vector<T> Hdf5Input::read(const std::string& name, const Extents& expected) const {
  const hdf5::CrashSentence crash_sentence(path_);
  const Extents found = extents(name, expected.size());
  if (found != expected) reject(name + " has extents " + to_string(found) + ", but must have " + to_string(expected));
  const Hdf5Handle dataset = open_dataset(name);
  const Hdf5Handle type(H5Dget_type(dataset.id()), H5Tclose);
  const H5T_class_t type_class = H5Tget_class(type.id());
  if (type_class != H5T_INTEGER && !(type_class == H5T_FLOAT && std::is_floating_point_v<T>))
    reject(name + " must hold " + (std::is_floating_point_v<T> ? "numbers" : "whole numbers") +
           ", but is of another type");
  std::size_t count = 1;
  for (const std::size_t extent : found) count *= extent;
  if (count == 0) return {};
  const std::string fault = hdf5::fault_of_chunks(dataset.id(), file_bytes_);
  if (!fault.empty()) reject(name + " " + fault);
  std::vector<T> values(count);
  Hdf5Handle rows_in_file, rows_in_memory;
  hid_t in_file = H5S_ALL, in_memory = H5S_ALL;
  if (const auto limited = limited_rows_.find(name); limited != limited_rows_.end()) {
    std::vector<hsize_t> first(found.size(), 0), size(found.begin(), found.end());
    first[0] = limited->second.first;
    rows_in_file = Hdf5Handle(H5Dget_space(dataset.id()), H5Sclose);
    rows_in_memory = Hdf5Handle(H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr), H5Sclose);
    H5Sselect_hyperslab(rows_in_file.id(), H5S_SELECT_SET, first.data(), nullptr, size.data(), nullptr);
    in_file = rows_in_file.id();
    in_memory = rows_in_memory.id();
  }
  bool refused = false;
  const Hdf5Handle transfer(H5Pcreate(H5P_DATASET_XFER), H5Pclose);
  H5Pset_type_conv_cb(transfer.id(), refuse_misfits, &refused);
  if (H5Dread(dataset.id(), hdf5::native_type<T>(), in_memory, in_file, transfer.id(), values.data()) < 0) {
    if (refused) reject(name + " holds a value that is out of range; make the file again");
    reject(name + " cannot be read (HDF5: " + hdf5::last_error() + "); copy or make the file again");
  }
  return values;
}

std::vector<std::string> Hdf5Input::read_texts(const std::string& name, std::size_t count) const {
  const hdf5::CrashSentence crash_sentence(path_);
  const Extents found = extents(name, 1);
  if (found[0] != count)
    reject(name + " has " + std::to_string(found[0]) + " entries, but must have " + std::to_string(count));
  const Hdf5Handle dataset = open_dataset(name);
  const Hdf5Handle type(H5Dget_type(dataset.id()), H5Tclose);
  if (H5Tget_class(type.id()) != H5T_STRING) reject(name + " must hold texts, but is of another type");
  std::vector<std::string> texts(count);
  if (count == 0) return texts;
  const std::string fault = hdf5::fault_of_chunks(dataset.id(), file_bytes_);
  if (!fault.empty()) reject(name + " " + fault);
  herr_t status = 0;
  if (H5Tis_variable_str(type.id()) > 0) {
    TextRoom room(file_bytes_ + byte_slack);
    const Hdf5Handle transfer(H5Pcreate(H5P_DATASET_XFER), H5Pclose);
    H5Pset_vlen_mem_manager(transfer.id(), TextRoom::take, &room, TextRoom::give_back, &room);
    std::vector<char*> pointers(count, nullptr);
    status = H5Dread(dataset.id(), memory_text_type(type).id(), H5S_ALL, H5S_ALL, transfer.id(), pointers.data());
    if (room.is_used_up()) reject(name + " refers to the same texts over and over; the file is damaged");
    for (std::size_t i = 0; status >= 0 && i < count; ++i)
      if (pointers[i] != nullptr) texts[i] = pointers[i];
  } else {
    const std::size_t capacity = H5Tget_size(type.id());
    std::vector<char> characters(count * capacity);
    status = H5Dread(dataset.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, characters.data());
    for (std::size_t i = 0; i < count; ++i) texts[i] = fixed_text(characters.data() + i * capacity, capacity);
  }
  if (status < 0) reject(name + " cannot be read (HDF5: " + hdf5::last_error() + "); copy or make the file again");
  return texts;
}

std::string Hdf5Input::units(const std::string& name) const {
  const hdf5::CrashSentence crash_sentence(path_);
  const Hdf5Handle dataset = open_dataset(name);
  if (H5Aexists(dataset.id(), "units") <= 0) return "";
  return attribute_text(dataset.id(), "units");
}

bool Hdf5Input::has_attribute(const std::string& name) const {
  const hdf5::CrashSentence crash_sentence(path_);
  return H5Aexists(file_.id(), name.c_str()) > 0;
}

std::string Hdf5Input::text_attribute(const std::string& name) const {
  const hdf5::CrashSentence crash_sentence(path_);
  return attribute_text(file_.id(), name);
}

std::string Hdf5Input::text_or_number_attribute(const std::string& name) const {
  const hdf5::CrashSentence crash_sentence(path_);
  const Hdf5Handle attribute = open_attribute(file_.id(), name);
  const Hdf5Handle type(H5Aget_type(attribute.id()), H5Tclose);
  const H5T_class_t type_class = H5Tget_class(type.id());
  if (type_class != H5T_INTEGER && type_class != H5T_FLOAT) return attribute_text(file_.id(), name);
  double number = 0.0;
  if (H5Aread(attribute.id(), H5T_NATIVE_DOUBLE, &number) < 0)
    reject("attribute '" + name + "' cannot be read (HDF5: " + hdf5::last_error() + ")");
  return fmt::format("{:g}", number);
}

Hdf5Handle Hdf5Input::open_attribute(std::int64_t object, const std::string& name) const {
  if (H5Aexists(object, name.c_str()) <= 0) reject("attribute '" + name + "' is missing; make the file again");
  Hdf5Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose);
  const Hdf5Handle space(attribute.valid() ? H5Aget_space(attribute.id()) : -1, H5Sclose);
  if (!space.valid() || H5Sget_simple_extent_npoints(space.id()) != 1)
    reject("attribute '" + name + "' must be one value");
  return attribute;
}

std::string Hdf5Input::attribute_text(std::int64_t object, const std::string& name) const {
  const Hdf5Handle attribute = open_attribute(object, name);
  const Hdf5Handle type(H5Aget_type(attribute.id()), H5Tclose);
  if (H5Tget_class(type.id()) != H5T_STRING) reject("attribute '" + name + "' must be a text");
  std::string text;
  herr_t status = 0;
  if (H5Tis_variable_str(type.id()) > 0) {
    char* characters = nullptr;
    status = H5Aread(attribute.id(), memory_text_type(type).id(), &characters);
    if (status >= 0 && characters != nullptr) text = characters;
    if (status >= 0) H5free_memory(characters);
  } else {
    const std::size_t capacity = H5Tget_size(type.id());
    if (capacity > longest_text) reject("attribute '" + name + "' claims a text of absurd length; it is damaged");
    std::vector<char> characters(capacity);
    status = H5Aread(attribute.id(), type.id(), characters.data());
    text = fixed_text(characters.data(), capacity);
  }
  if (status < 0) reject("attribute '" + name + "' cannot be read (HDF5: " + hdf5::last_error() + ")");
  return text;
}

std::uint64_t Hdf5Input::count_attribute(const std::string& name) const {
  const hdf5::CrashSentence crash_sentence(path_);
  const Hdf5Handle attribute = open_attribute(file_.id(), name);
  const Hdf5Handle type(H5Aget_type(attribute.id()), H5Tclose);
  if (H5Tget_class(type.id()) != H5T_INTEGER) reject("attribute '" + name + "' must be a whole number");
  std::uint64_t count = 0;
  std::int64_t signed_count = 0;
  const bool is_signed = H5Tget_sign(type.id()) != H5T_SGN_NONE;
  const herr_t status = is_signed ? H5Aread(attribute.id(), H5T_NATIVE_INT64, &signed_count)
                                  : H5Aread(attribute.id(), H5T_NATIVE_UINT64, &count);
  if (status < 0) reject("attribute '" + name + "' cannot be read (HDF5: " + hdf5::last_error() + ")");
  if (signed_count < 0)
    reject("attribute '" + name + "' is " + std::to_string(signed_count) + ", but must be 0 or more");
  return is_signed ? static_cast<std::uint64_t>(signed_count) : count;
}

#define GEM_INSTANTIATE_READ(T) template std::vector<T> Hdf5Input::read<T>(const std::string&, const Extents&) const;
GEM_INSTANTIATE_READ(std::uint8_t)
GEM_INSTANTIATE_READ(std::uint16_t)
GEM_INSTANTIATE_READ(std::int32_t)
GEM_INSTANTIATE_READ(std::uint32_t)
GEM_INSTANTIATE_READ(std::int64_t)
GEM_INSTANTIATE_READ(std::uint64_t)
GEM_INSTANTIATE_READ(float)
GEM_INSTANTIATE_READ(double)
#undef GEM_INSTANTIATE_READ

}  // namespace gem
