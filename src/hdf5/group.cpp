#include "gradflow/hdf5/group.hpp"

namespace gradflow::hdf5 {
namespace {

herr_t append_name_of_member(hid_t, const char* name, const H5L_info_t*, void* names) {
  static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  return 0;
}

}  // namespace

void create_group(const File& file, const std::string& name) {
  PropertyList creation(H5Pcreate(H5P_GROUP_CREATE), "cannot make group creation properties");
  check(H5Pset_link_creation_order(creation.get(), H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED),
        "cannot track the order of links");
  check(H5Pset_obj_track_times(creation.get(), false), "cannot leave out times");
  GroupHandle group(H5Gcreate2(file.get(), name.c_str(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                    "cannot create group " + name);
  group.close("cannot close group " + name);
}

GroupHandle open_group(const File& file, const std::string& name) {
  return {H5Gopen2(file.get(), name.c_str(), H5P_DEFAULT), "cannot open group " + name};
}

std::vector<std::string> names_in(const File& file, const std::string& group) {
  std::vector<std::string> names;
  check(H5Literate(open_group(file, group).get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, append_name_of_member,
                   &names),
        "cannot list group " + group);
  return names;
}

}  // namespace gradflow::hdf5
