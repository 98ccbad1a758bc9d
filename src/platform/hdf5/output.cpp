#include "platform/hdf5/output.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cstddef>
#include <limits>

#include "base/error.hpp"
#include "base/text.hpp"
#include "platform/file_system/whole_file.hpp"
#include "platform/hdf5/detail.hpp"
#include "platform/hdf5/seal.hpp"

namespace gem {
namespace {

constexpr std::size_t compress_from_bytes = 64u << 10;
constexpr std::size_t chunk_bytes = 1u << 20;

std::vector<hsize_t> to_hsize(const Extents& extents) {
  return {extents.begin(), extents.end()};
}

std::size_t product(const Extents& extents) {
  std::size_t count = 1;
  for (const std::size_t extent : extents) count *= extent;
  return count;
}

/// The file is in memory yet: what fails here is for want of it, or a fault of ours.
[[noreturn]] void throw_failed(const std::string& path, const std::string& field) {
  throw SystemError(fmt::format("cannot make {}: {}: HDF5: {}", path, field, hdf5::last_error()));
}

/// Halves the longest dimension until a chunk is of about a mebibyte.
Extents chunk_of(Extents extents, std::size_t element_bytes) {
  while (product(extents) * element_bytes > chunk_bytes) {
    std::size_t& longest = *std::max_element(extents.begin(), extents.end());
    longest = (longest + 1) / 2;
  }
  return extents;
}

Hdf5Handle create_in_memory(const std::string& path) {
  hdf5::initialize();
  const Hdf5Handle properties(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  // The oldest layout with checksums on its headers, readable by all HDF5 since 2008. Later ones also note that the
  // file is open for writing, which only a close would take back.
  H5Pset_libver_bounds(properties.id(), H5F_LIBVER_V18, H5F_LIBVER_V18);
  H5Pset_fapl_core(properties.id(), chunk_bytes, false);
  return {H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, properties.id()), H5Fclose};
}

Hdf5Handle text_attribute_of(std::int64_t object, const std::string& name, const std::string& text) {
  const Hdf5Handle type = hdf5::text_type();
  const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  Hdf5Handle attribute(H5Acreate2(object, name.c_str(), type.id(), space.id(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  const char* characters = text.c_str();
  if (!attribute.valid() || H5Awrite(attribute.id(), type.id(), &characters) < 0) return {};
  return attribute;
}

}  // namespace

Hdf5Output::Hdf5Output(const std::string& path) : path_(path), file_(create_in_memory(path)) {
  if (!file_.valid()) throw_failed(path, "the file");
}

Hdf5Handle Hdf5Output::create_dataset(const FieldLabel& label, std::int64_t type, std::int64_t space,
                                      std::int64_t properties) {
  const Hdf5Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(links.id(), 1);
  Hdf5Handle dataset(H5Dcreate2(file_.id(), label.name.c_str(), type, space, links.id(), properties, H5P_DEFAULT),
                     H5Dclose);
  if (!dataset.valid() || !text_attribute_of(dataset.id(), "units", label.units).valid() ||
      !text_attribute_of(dataset.id(), "dims", label.dimensions).valid())
    throw_failed(path_, label.name);
  return dataset;
}

template <class T>
void Hdf5Output::write(const FieldLabel& label, std::span<const T> values, const Extents& extents) {
  if (values.size() != product(extents))
    throw SystemError(fmt::format("cannot write {}: {} of extents {} was given {} values", path_, label.name,
                                  to_string(extents), values.size()));
  const Hdf5Handle space(H5Screate_simple(static_cast<int>(extents.size()), to_hsize(extents).data(), nullptr),
                         H5Sclose);
  const Hdf5Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  if (values.size_bytes() >= compress_from_bytes) {
    H5Pset_chunk(properties.id(), static_cast<int>(extents.size()), to_hsize(chunk_of(extents, sizeof(T))).data());
    H5Pset_shuffle(properties.id());
    H5Pset_deflate(properties.id(), 4);
  }
  const Hdf5Handle dataset = create_dataset(label, hdf5::native_type<T>(), space.id(), properties.id());
  if (!values.empty() &&
      H5Dwrite(dataset.id(), hdf5::native_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    throw_failed(path_, label.name);
}

void Hdf5Output::write(const FieldLabel& label, const std::vector<std::string>& texts) {
  std::size_t longest = 1;
  for (const std::string& text : texts) longest = std::max(longest, text.size());
  std::vector<char> characters(texts.size() * longest, '\0');
  for (std::size_t i = 0; i < texts.size(); ++i)
    std::copy(texts[i].begin(), texts[i].end(), characters.begin() + static_cast<std::ptrdiff_t>(i * longest));
  const Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.id(), longest);
  H5Tset_strpad(type.id(), H5T_STR_NULLPAD);
  H5Tset_cset(type.id(), H5T_CSET_UTF8);
  const hsize_t count = texts.size();
  const Hdf5Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
  const Hdf5Handle dataset = create_dataset(label, type.id(), space.id(), H5P_DEFAULT);
  if (!texts.empty() && H5Dwrite(dataset.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, characters.data()) < 0)
    throw_failed(path_, label.name);
}

void Hdf5Output::attribute(const std::string& name, const std::string& text) {
  if (!text_attribute_of(file_.id(), name, text).valid()) throw_failed(path_, "attribute '" + name + "'");
}

void Hdf5Output::attribute(const std::string& name, std::uint64_t count) {
  // Signed where it fits, as most other writers have it.
  const bool fits = count <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const hid_t type = fits ? H5T_NATIVE_INT64 : H5T_NATIVE_UINT64;
  const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Hdf5Handle attribute(H5Acreate2(file_.id(), name.c_str(), type, space.id(), H5P_DEFAULT, H5P_DEFAULT),
                             H5Aclose);
  if (!attribute.valid() || H5Awrite(attribute.id(), type, &count) < 0) throw_failed(path_, "attribute '" + name + "'");
}

std::span<const std::byte> Hdf5Output::image() {
  if (H5Fflush(file_.id(), H5F_SCOPE_LOCAL) < 0) throw_failed(path_, "the file");
  // The core driver's "handle" is the address of its buffer. The image that H5Fget_file_image copies has one flag of
  // the superblock cleared without a new checksum (HDF5 1.10.8), so it serves for the size only.
  const ssize_t size = H5Fget_file_image(file_.id(), nullptr, 0);
  void* buffer = nullptr;
  if (size < 0 || H5Fget_vfd_handle(file_.id(), H5P_DEFAULT, &buffer) < 0) throw_failed(path_, "the file");
  return {*static_cast<std::byte**>(buffer), static_cast<std::size_t>(size)};
}

void Hdf5Output::commit() {
  const std::span<const std::byte> content = image();
  std::vector<std::byte> bytes(content.begin(), content.end());
  const std::string seal = hdf5::seal_of(content);
  bytes.insert(bytes.end(), reinterpret_cast<const std::byte*>(seal.data()),
               reinterpret_cast<const std::byte*>(seal.data()) + seal.size());
  write_whole_file(path_, bytes);
}

#define GEM_INSTANTIATE_WRITE(T) \
  template void Hdf5Output::write<T>(const FieldLabel&, std::span<const T>, const Extents&);
GEM_INSTANTIATE_WRITE(std::uint8_t)
GEM_INSTANTIATE_WRITE(std::uint16_t)
GEM_INSTANTIATE_WRITE(std::int32_t)
GEM_INSTANTIATE_WRITE(std::uint32_t)
GEM_INSTANTIATE_WRITE(std::int64_t)
GEM_INSTANTIATE_WRITE(std::uint64_t)
GEM_INSTANTIATE_WRITE(float)
GEM_INSTANTIATE_WRITE(double)
#undef GEM_INSTANTIATE_WRITE

}  // namespace gem
