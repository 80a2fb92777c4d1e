#include "gradflow/hdf5/file.hpp"

#include "gradflow/core/errors.hpp"
#include "gradflow/hdf5/soundness.hpp"

namespace gradflow::hdf5 {
namespace {

constexpr unsigned tracked = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;

PropertyList creation_properties() {
  PropertyList list(H5Pcreate(H5P_FILE_CREATE), "cannot make file creation properties");
  check(H5Pset_link_creation_order(list.get(), tracked), "cannot track the order of links");
  check(H5Pset_attr_creation_order(list.get(), tracked), "cannot track the order of attributes");
  check(H5Pset_obj_track_times(list.get(), false), "cannot leave out times");
  return list;
}

PropertyList access_properties() {
  prepare_library();
  PropertyList list(H5Pcreate(H5P_FILE_ACCESS), "cannot make file access properties");
  check(H5Pset_libver_bounds(list.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_V18), "cannot bound the format");
  check(H5Pset_file_locking(list.get(), false, true), "cannot turn file locking off");
  return list;
}

herr_t append_name(hid_t, const char* name, const H5L_info_t*, void* names) {
  static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  return 0;
}

bool is_read_only(hid_t file) {
  unsigned intent = 0;
  check(H5Fget_intent(file, &intent), "cannot tell how a file was opened");
  return (intent & H5F_ACC_RDWR) == 0;
}

/// A soft link may lead in a circle, an external one to any file of the host. Only files that nobody vouches
/// for are asked: after H5Lget_info in a file that several ranks write, HDF5 1.10.8 never comes back from
/// H5Fclose on one of them.
void require_hard_link(hid_t file, const std::string& name) {
  if (!is_read_only(file)) return;
  H5L_info_t link = {};
  check(H5Lget_info(file, name.c_str(), &link, H5P_DEFAULT), "cannot look at " + name);
  if (link.type == H5L_TYPE_HARD) return;
  throw Error(name + " is a link to somewhere else, which is not followed; expected what it leads to");
}

}  // namespace

File File::create(const std::filesystem::path& path) {
  const PropertyList access = access_properties();
  const PropertyList creation = creation_properties();
  return File(path, FileHandle(H5Fcreate(path.c_str(), H5F_ACC_EXCL, creation.get(), access.get()),
                               "cannot create " + path.string()));
}

File File::open_read_only(const std::filesystem::path& path) {
  require_sound_superblock(path);
  const PropertyList access = access_properties();
  return File(
      path, FileHandle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), "cannot open " + path.string()));
}

bool File::is_hdf5(const std::filesystem::path& path) {
  prepare_library();
  return check(H5Fis_hdf5(path.c_str()), "cannot read " + path.string()) > 0;
}

File File::open_shared(const std::filesystem::path& path, const mpi::Communicator& ranks) {
  const PropertyList access = access_properties();
  check(H5Pset_fapl_mpio(access.get(), ranks.handle(), MPI_INFO_NULL), "cannot choose MPI-IO");
  return File(path, FileHandle(H5Fopen(path.c_str(), H5F_ACC_RDWR, access.get()),
                               "cannot open " + path.string() + " through MPI-IO"));
}

// HDF5 fails on a path of which a part but the last is missing or no group.
bool File::has(const std::string& name) const {
  const std::string what = "cannot look for " + name;
  for (std::size_t end = name.find('/');; end = name.find('/', end + 1)) {
    const std::string part = name.substr(0, end);
    if (check(H5Lexists(get(), part.c_str(), H5P_DEFAULT), what) == 0) return false;
    require_hard_link(get(), part);
    if (end == std::string::npos) return true;
    H5O_info_t found = {};
    check(H5Oget_info_by_name(get(), part.c_str(), &found, H5P_DEFAULT), what);
    if (found.type != H5O_TYPE_GROUP) return false;
  }
}

// Files of other programs need not know the order of their links.
std::vector<std::string> File::names() const {
  const GroupHandle root(H5Gopen2(get(), "/", H5P_DEFAULT), "cannot open the root group");
  const PropertyList creation(H5Gget_create_plist(root.get()), "cannot tell how the file was made");
  unsigned order = 0;
  check(H5Pget_link_creation_order(creation.get(), &order), "cannot tell the order of links");
  std::vector<std::string> names;
  check(H5Literate(get(), (order & H5P_CRT_ORDER_INDEXED) != 0 ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME,
                   H5_ITER_INC, nullptr, append_name, &names),
        "cannot list the file");
  return names;
}

}  // namespace gradflow::hdf5
