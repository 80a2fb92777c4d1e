#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "gradflow/hdf5/handle.hpp"
#include "gradflow/mpi/communicator.hpp"

namespace gradflow::hdf5 {

/// An HDF5 file in the form netCDF-4 programs read: links and attributes remember the order of their
/// creation, nothing records the time of day, and the format is one that every HDF5 since 1.8 opens.
///
/// No file is ever locked, so that readers and the writer do not block each other.
class File {
 public:
  /// A new file, for this process alone. @throws Error if the file exists or cannot be made
  static File create(const std::filesystem::path& path);

  /// A file that nobody vouches for. External links, external storage and virtual datasets are not followed.
  /// @throws Error if the file cannot be opened: HDF5's text says whether it is missing, foreign or truncated
  static File open_read_only(const std::filesystem::path& path);

  /// Whether the file begins like an HDF5 file; it may be damaged further on. @throws Error if it cannot be
  /// read at all
  static bool is_hdf5(const std::filesystem::path& path);

  /// For reading and writing through MPI-IO. @collective over `ranks`
  static File open_shared(const std::filesystem::path& path, const mpi::Communicator& ranks);

  hid_t get() const noexcept { return handle_.get(); }

  /// Whether there is an object of that name, its path from the root: "status", "layer_1/weight".
  /// @throws Error if a part of it is a soft or external link
  bool has(const std::string& name) const;
  /// Names of the datasets in the root group, in the order of their creation, or sorted if the file knows
  /// none.
  std::vector<std::string> names() const;

  /// Closes and tells of a failure. Datasets must be closed before. @collective if the file was opened by
  /// open_shared
  void close() { handle_.close("cannot close " + path_.string()); }

  /// Leaves the file open for the rest of the process, because closing a shared file waits for every rank.
  void abandon() noexcept { handle_.abandon(); }

 private:
  File(std::filesystem::path path, FileHandle handle) : path_(std::move(path)), handle_(std::move(handle)) {}

  std::filesystem::path path_;
  FileHandle handle_;
};

}  // namespace gradflow::hdf5
