#include "gradflow/hdf5/scale.hpp"

#include <cstdio>

#include <hdf5_hl.h>

namespace gradflow::hdf5 {
namespace {

std::string object_name(hid_t object) {
  char name[256] = "";
  H5Iget_name(object, name, sizeof name);
  return name[0] == '/' ? name + 1 : name;
}

herr_t take_name(hid_t, unsigned, hid_t scale, void* name) {
  *static_cast<std::string*>(name) = object_name(scale);
  return 1;  // the first is enough
}

}  // namespace

void make_scale(const Dataset& values) {
  check(H5DSset_scale(values.get(), values.name().c_str()), "cannot make a dimension of " + values.name());
}

Dataset create_axis(const File& file, const std::string& name, hsize_t length) {
  Dataset axis = Dataset::create(file, name, H5T_IEEE_F32BE, {length}, Space::none);
  char label[128];
  std::snprintf(label, sizeof label, "This is a netCDF dimension but not a netCDF variable.%10llu",
                static_cast<unsigned long long>(length));
  check(H5DSset_scale(axis.get(), label), "cannot make a dimension of " + name);
  return axis;
}

void attach_scale(const Dataset& dataset, const Dataset& scale, unsigned axis) {
  check(H5DSattach_scale(dataset.get(), scale.get(), axis),
        "cannot attach dimension " + scale.name() + " to " + dataset.name());
}

std::vector<std::string> axis_names(const Dataset& dataset) {
  std::vector<std::string> names(dataset.shape().size());
  for (unsigned axis = 0; axis < names.size(); ++axis) {
    if (H5DSget_num_scales(dataset.get(), axis) < 1) continue;
    check(H5DSiterate_scales(dataset.get(), axis, nullptr, take_name, &names[axis]),
          "cannot name the axes of " + dataset.name());
  }
  return names;
}

}  // namespace gradflow::hdf5
