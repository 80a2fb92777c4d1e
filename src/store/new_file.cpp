#include "new_file.hpp"

#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

#include "durable.hpp"
#include "gradflow/core/errors.hpp"
#include "skeleton.hpp"

namespace gradflow::store {
namespace {

namespace fs = std::filesystem;

fs::path part_of(const fs::path& path) {
  fs::path part = path;
  part += ".part";
  return part;
}

/// Whether a file may be what HDF5 leaves when it is killed: its signature, which it writes last, or nothing
/// in its place.
bool may_be_half_written(const fs::path& part) {
  constexpr std::string_view signature = "\x89HDF\r\n\x1a\n";
  std::string begin(signature.size(), '\0');
  std::ifstream(part, std::ios::binary).read(begin.data(), std::streamsize(begin.size()));
  return begin == signature || begin == std::string(begin.size(), '\0');
}

/// Removes what a run left that was killed while it held the lock we hold now.
/// @throws UserError if it is somebody else's
void remove_unfinished(const fs::path& part) {
  std::error_code unknown;
  const fs::file_type type = fs::symlink_status(part, unknown).type();
  if (type == fs::file_type::not_found) return;
  if (type != fs::file_type::regular || !may_be_half_written(part)) {
    throw UserError(
        fmt::format("{} is in the way: a new file is written under that name first, and what is there is not "
                    "from a run of "
                    "gradflow that was killed; move it, or write to another file",
                    part.string()));
  }
  fs::remove(part);
}

}  // namespace

void write_whole(const fs::path& path, const FileSchema& schema,
                 const std::function<void(const hdf5::File&)>& fill) {
  const fs::path part = part_of(path);
  remove_unfinished(part);
  try {
    hdf5::File skeleton = create_skeleton(part, schema);
    fill(skeleton);
    skeleton.close();
    publish(part, path);
  } catch (...) {
    std::error_code ignored;
    fs::remove(part, ignored);
    throw;
  }
}

}  // namespace gradflow::store
