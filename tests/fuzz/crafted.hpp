#pragma once

#include <hdf5.h>

#include "gradflow/hdf5/attribute.hpp"
#include "gradflow/hdf5/dataset.hpp"
#include "gradflow/hdf5/group.hpp"
#include "gradflow/hdf5/scale.hpp"
#include "target.hpp"

/// Well-formed HDF5 files with contents nobody would write. What HDF5 itself makes of files that are not
/// well-formed is contained, not fuzzed: see apps.hostile_files.
namespace gradflow::fuzz {

inline hid_t type_of(Decisions& decisions) {
  switch (decisions.below(8)) {
    case 0:
      return H5T_STD_I8LE;
    case 1:
      return H5T_STD_U64BE;
    case 2:
      return H5T_IEEE_F32LE;
    case 3:
      return H5T_C_S1;
    case 4:
      return H5T_STD_B16LE;
    case 5:
      return H5T_STD_I64LE;
    default:
      return H5T_IEEE_F64LE;
  }
}

/// Up to four axes of any length; chunked and stored nowhere if that is much.
inline hdf5::Shape shape_of(Decisions& decisions) {
  constexpr hsize_t lengths[] = {0, 1, 2, 3, 4, 5, 8, 1 << 20, hsize_t(1) << 33};
  hdf5::Shape shape(decisions.below(5));
  for (hsize_t& length : shape) length = lengths[decisions.below(9)];
  return shape;
}

/// A dataset whose first values are the numbers that come next.
inline void create(const hdf5::File& file, const std::string& name, hid_t type, const hdf5::Shape& shape,
                   Decisions& decisions) {
  const hdf5::PropertyList creation(H5Pcreate(H5P_DATASET_CREATE), "list");
  const hdf5::Dataspace space(
      shape.empty() ? H5Screate(H5S_SCALAR) : H5Screate_simple(int(shape.size()), shape.data(), nullptr),
      "space");
  double values = 1;
  for (const hsize_t length : shape) values *= double(length);
  const bool is_large = values > 4096;
  const bool has_none = values == 0;
  if (is_large) {
    const hdf5::Shape chunk(shape.size(), 16);
    H5Pset_chunk(creation.get(), int(chunk.size()), chunk.data());
  }
  const hid_t made =
      H5Dcreate2(file.get(), name.c_str(), type, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT);
  if (made < 0) return;
  const hdf5::DatasetHandle dataset(made, name);
  if (is_large || has_none || type == H5T_C_S1) return;
  std::vector<double> numbers{};
  for (double i = 0; i < values; ++i) {
    constexpr double extremes[] = {0, 1, -1, 1e308, -1e308, 3, 1e300, 1e18};
    const unsigned choice = decisions.below(16);
    numbers.push_back(choice < 8 ? extremes[choice] : i + 1);
  }
  H5Dwrite(dataset.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers.data());
}

inline void set_text(const hdf5::File& file, const std::string& name, const char* attribute,
                     const std::string& text) {
  const hid_t object = H5Oopen(file.get(), name.c_str(), H5P_DEFAULT);
  if (object < 0) return;
  try {
    hdf5::write_attribute(object, attribute, text);
  } catch (const Error&) {
  }
  H5Oclose(object);
}

}  // namespace gradflow::fuzz
