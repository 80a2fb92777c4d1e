#include "hdf5_access.hpp"

#include <mutex>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "byte_file.hpp"
#include "gradflow/core/errors.hpp"

namespace gradflow::data {

void with_hdf5(const std::filesystem::path& path, const std::function<void(const hdf5::File&)>& act) {
  static std::mutex one_at_a_time;
  const std::scoped_lock lock(one_at_a_time);
  require_file(path);
  try {
    if (!hdf5::File::is_hdf5(path)) throw UserError(path.string() + ": is not an HDF5 file");
    act(hdf5::File::open_read_only(path));
  } catch (const Error& error) {
    throw UserError(fmt::format("{}: {}", path.string(), error.what()));
  }
}

hdf5::Dataset open_numbers(const std::filesystem::path& path, const hdf5::File& file,
                           const std::string& name) {
  if (name.empty() || !file.has(name)) {
    throw UserError(fmt::format("{}: has no dataset \"{}\"; it has: {}", path.string(), name,
                                fmt::join(file.names(), " ")));
  }
  hdf5::Dataset dataset = hdf5::Dataset::open(file, name);
  const hdf5::Kind kind = dataset.kind();
  if (kind == hdf5::Kind::text || kind == hdf5::Kind::other) {
    throw UserError(fmt::format("{}: dataset \"{}\" holds no numbers", path.string(), name));
  }
  return dataset;
}

std::string text_of(const hdf5::Shape& shape) { return fmt::format("{}", fmt::join(shape, "][")); }

}  // namespace gradflow::data
