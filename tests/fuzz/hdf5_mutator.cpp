// Damage that the HDF5 library itself lets through: libFuzzer's mutations of a file are edits of its fields, made with
// the library. Bytes flipped at random would test the library's reading of its own structures, not ours of what they
// hold.
#include <hdf5.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

#include "fuzz/fuzz_input.hpp"
#include "platform/file_system/input_file.hpp"
#include "platform/hdf5/handle.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* bytes, std::size_t size, std::size_t max_size);

namespace gem {
namespace {

using Random = std::minstd_rand;

std::size_t below(Random& random, std::size_t count) {
  return random() % count;
}

herr_t add_dataset(hid_t, const char* name, const H5O_info_t* info, void* names) {
  if (info->type == H5O_TYPE_DATASET) static_cast<std::vector<std::string>*>(names)->push_back(name);
  return 0;
}

std::vector<std::string> dataset_names(const Hdf5Handle& file) {
  std::vector<std::string> names;
  H5Ovisit(file.id(), H5_INDEX_NAME, H5_ITER_INC, add_dataset, &names);
  return names;
}

Hdf5Handle random_type(Random& random) {
  const std::array types{H5T_STD_I8LE,  H5T_STD_U8LE,  H5T_STD_U16BE,  H5T_STD_I32LE, H5T_STD_U32LE,
                         H5T_STD_I64LE, H5T_STD_U64LE, H5T_IEEE_F32LE, H5T_IEEE_F64LE};
  const std::size_t choice = below(random, types.size() + 3);
  if (choice < types.size()) return {H5Tcopy(types[choice]), H5Tclose};
  if (choice == types.size()) return {H5Tarray_create2(H5T_STD_I32LE, 1, std::array<hsize_t, 1>{3}.data()), H5Tclose};
  Hdf5Handle text(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(text.id(), choice == types.size() + 1 ? H5T_VARIABLE : 1 + below(random, 40));
  return text;
}

/// Up to four short dimensions; or, at times, far more elements than the file can hold.
std::vector<hsize_t> random_extents(Random& random) {
  std::vector<hsize_t> extents(below(random, 5));
  for (hsize_t& extent : extents) extent = below(random, 6);
  if (!extents.empty() && below(random, 8) == 0) extents[0] = hsize_t{1} << (20 + below(random, 40));
  return extents;
}

Hdf5Handle space_of(const std::vector<hsize_t>& extents) {
  if (extents.empty()) return {H5Screate(H5S_SCALAR), H5Sclose};
  const std::vector<hsize_t> most(extents.size(), H5S_UNLIMITED);
  return {H5Screate_simple(static_cast<int>(extents.size()), extents.data(), most.data()), H5Sclose};
}

/// Chunked, so that what was never written takes no room.
void make_dataset(const Hdf5Handle& file, const std::string& name, const Hdf5Handle& type,
                  const std::vector<hsize_t>& extents) {
  const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  const std::vector<hsize_t> chunk(extents.size(), 2);
  if (!extents.empty()) H5Pset_chunk(creation.id(), static_cast<int>(chunk.size()), chunk.data());
  const Hdf5Handle space = space_of(extents);
  const Hdf5Handle made(
      H5Dcreate2(file.id(), name.c_str(), type.id(), space.id(), H5P_DEFAULT, creation.id(), H5P_DEFAULT), H5Dclose);
}

void change_elements(const Hdf5Handle& file, const std::string& name) {
  const Hdf5Handle dataset(H5Dopen2(file.id(), name.c_str(), H5P_DEFAULT), H5Dclose);
  const Hdf5Handle type(H5Dget_type(dataset.id()), H5Tclose);
  const Hdf5Handle space(H5Dget_space(dataset.id()), H5Sclose);
  const hssize_t count = H5Sget_simple_extent_npoints(space.id());
  const std::size_t size = H5Tget_size(type.id()) * static_cast<std::size_t>(std::max<hssize_t>(count, 0));
  if (size == 0 || size > (1u << 20) || H5Tdetect_class(type.id(), H5T_VLEN) > 0 || H5Tis_variable_str(type.id()) > 0)
    return;
  std::vector<std::uint8_t> elements(size);
  if (H5Dread(dataset.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, elements.data()) < 0) return;
  LLVMFuzzerMutate(elements.data(), size, size);
  H5Dwrite(dataset.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, elements.data());
}

/// An attribute of the root replaced by one number or text of any type, or deleted.
void change_attribute(const Hdf5Handle& file, Random& random) {
  H5O_info_t info;
  if (H5Oget_info(file.id(), &info) < 0 || info.num_attrs == 0) return;
  const hsize_t which = below(random, info.num_attrs);
  std::array<char, 64> name{};
  H5Aget_name_by_idx(file.id(), ".", H5_INDEX_NAME, H5_ITER_INC, which, name.data(), name.size(), H5P_DEFAULT);
  H5Adelete(file.id(), name.data());
  if (below(random, 4) == 0) return;
  const Hdf5Handle type = random_type(random);
  const Hdf5Handle space = space_of(below(random, 4) == 0 ? std::vector<hsize_t>{2} : std::vector<hsize_t>{});
  const Hdf5Handle attribute(H5Acreate2(file.id(), name.data(), type.id(), space.id(), H5P_DEFAULT, H5P_DEFAULT),
                             H5Aclose);
  if (H5Sget_simple_extent_npoints(space.id()) != 1) return;
  std::array<std::uint8_t, 64> value{};
  LLVMFuzzerMutate(value.data(), value.size(), value.size());
  value.back() = 0;
  const void* const text = value.data();
  H5Awrite(attribute.id(), type.id(), H5Tis_variable_str(type.id()) > 0 ? static_cast<const void*>(&text) : text);
}

void edit(const Hdf5Handle& file, Random& random) {
  const std::vector<std::string> names = dataset_names(file);
  if (names.empty() || below(random, 4) == 0) return change_attribute(file, random);
  const std::string& name = names[below(random, names.size())];
  switch (below(random, 8)) {
    case 0:
      H5Ldelete(file.id(), name.c_str(), H5P_DEFAULT);
      return;
    case 1:
      H5Ldelete(file.id(), name.c_str(), H5P_DEFAULT);
      make_dataset(file, name, random_type(random), random_extents(random));
      return;
    case 2: {
      const std::string& other = names[below(random, names.size())];
      H5Ldelete(file.id(), name.c_str(), H5P_DEFAULT);
      H5Lcreate_hard(file.id(), other.c_str(), file.id(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT);
      return;
    }
    default:
      change_elements(file, name);
  }
}

}  // namespace
}  // namespace gem

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* bytes, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  using namespace gem;
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  Random random(seed);
  const FuzzFile copy(bytes, size, ".edit.h5");
  {
    const Hdf5Handle file(H5Fopen(copy.path().c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
    if (!file.valid()) return size;
    for (std::size_t edits = 1 + below(random, 3); edits > 0; --edits) edit(file, random);
  }
  const std::vector<std::byte> edited = read_whole_file(copy.path());
  if (edited.size() > max_size) return size;
  std::transform(edited.begin(), edited.end(), bytes,
                 [](std::byte byte) { return std::to_integer<std::uint8_t>(byte); });
  return edited.size();
}
