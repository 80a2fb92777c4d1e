#pragma once

#include <string_view>
#include <utility>

#include <hdf5.h>

namespace gradflow::hdf5 {

/// Readies the library for this process: errors are raised instead of printed, and nothing is closed at exit,
/// where closing a shared file would wait for ranks that are gone. Every door of this module calls it first.
///
/// Called before MPI starts it keeps HDF5 from closing its files in MPI_Finalize too, where HDF5 1.10.8 does
/// not survive a file that a full disk did not let it close.
void prepare_library();

/// @throws Error with `what` and HDF5's own account of the failed call
[[noreturn]] void raise(std::string_view what);

/// The result of an HDF5 call, unless it failed.
template <class Result>
Result check(Result result, std::string_view what) {
  if (result < 0) raise(what);
  return result;
}

/// Owns one HDF5 identifier and closes it.
template <herr_t (*close_call)(hid_t)>
class Handle {
 public:
  /// @param what  for the error message: "cannot open dataset status"
  Handle(hid_t id, std::string_view what) : id_(check(id, what)) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) close_call(id_);
  }

  hid_t get() const noexcept { return id_; }

  /// Closes now, where a failure can still be told. @throws Error
  void close(std::string_view what) {
    if (id_ >= 0) check(close_call(std::exchange(id_, H5I_INVALID_HID)), what);
  }

  /// Leaves the identifier open for the rest of the process.
  void abandon() noexcept { id_ = H5I_INVALID_HID; }

 private:
  hid_t id_;
};

using FileHandle = Handle<H5Fclose>;
using GroupHandle = Handle<H5Gclose>;
using DatasetHandle = Handle<H5Dclose>;
using Dataspace = Handle<H5Sclose>;
using Datatype = Handle<H5Tclose>;
using PropertyList = Handle<H5Pclose>;
using Attribute = Handle<H5Aclose>;

}  // namespace gradflow::hdf5
