#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gradflow/hdf5/datatype.hpp"
#include "gradflow/hdf5/file.hpp"
#include "gradflow/hdf5/handle.hpp"

namespace gradflow::hdf5 {

/// Lengths of a dataset's axes; empty: a scalar.
using Shape = std::vector<hsize_t>;

/// A rectangular part of a dataset: a start and a length on every axis.
struct Slab {
  Shape start;
  Shape count;
};

/// The whole of a dataset of this shape.
Slab whole(const Shape& shape);

/// Values in a slab or a shape.
std::size_t size_of(const Shape& count);

/// A slab's part that one call moves, and where its values begin among those of the slab.
struct Part {
  Slab slab;
  std::size_t offset = 0;
};

/// Parts of at most `most_values` values. They are cut so that the values of each stand together in memory.
std::vector<Part> parts_of(const Slab& slab, std::size_t most_values);

/// When the space of a contiguous dataset is given to it, and what stands in it before anything is written.
enum class Space {
  unfilled,  ///< at creation; whatever is there (zero in a new file)
  zero,      ///< at creation; zero
  archive,   ///< chunk by chunk, compressed; NaN (zero for integers) where nothing is written
  none       ///< never, unless it is written: a name for the length of an axis
};

/// A contiguous dataset of the root group.
///
/// One call moves at most 1 GiB: HDF5 1.10 fails at 2 GiB in independent parallel writes, so larger slabs are
/// cut.
class Dataset {
 public:
  template <class T>
  requires requires { NumberType<T>::in_file(); }
  static Dataset create(const File& file, const std::string& name, const Shape& shape, Space space) {
    return create(file, name, NumberType<T>::in_file(), shape, space);
  }
  /// UTF-8 texts of any length.
  static Dataset create_texts(const File& file, const std::string& name, const Shape& shape);
  /// Single characters: the last axis is the text. netCDF programs read it as texts.
  static Dataset create_characters(const File& file, const std::string& name, const Shape& shape);
  /// A dataset of any type of HDF5, for what netCDF wants.
  static Dataset create(const File& file, const std::string& name, hid_t type, const Shape& shape,
                        Space space);

  /// @throws Error if the file has no such dataset, or it is kept in another file
  static Dataset open(const File& file, const std::string& name);

  hid_t get() const noexcept { return handle_.get(); }
  const std::string& name() const noexcept { return name_; }
  const Shape& shape() const noexcept { return shape_; }
  Kind kind() const;

  /// Values of a slab in C order, as all that writes and reads here.
  /// @pre the slab lies within shape() and `values` has its size
  /// @throws Error with HDF5's account
  template <class T>
  requires requires { NumberType<T>::in_file(); }
  void write(const Slab& slab, std::span<const T> values) const {
    write(slab, NumberType<T>::in_memory(), values.data(), values.size(), sizeof(T));
  }
  void write_texts(const Slab& slab, const std::vector<std::string>& texts) const;
  void write_characters(const Slab& slab, const std::string& characters) const;

  template <class T>
  requires requires { NumberType<T>::in_file(); }
  std::vector<T> read(const Slab& slab) const {
    require_readable(slab);
    std::vector<T> values(size_of(slab.count));
    read(slab, NumberType<T>::in_memory(), values.data(), sizeof(T));
    return values;
  }
  template <class T>
  std::vector<T> read() const {
    return read<T>(whole(shape_));
  }
  std::vector<std::string> read_texts(const Slab& slab) const;
  std::string read_characters(const Slab& slab) const;

  /// Closes and tells of a failure: a write may be complete only now. @throws Error
  void close() { handle_.close("cannot close dataset " + name_); }

 private:
  Dataset(DatasetHandle handle, std::string name);
  void write(const Slab& slab, hid_t type, const void* values, std::size_t count,
             std::size_t value_bytes) const;
  void require_readable(const Slab& slab) const;  ///< before memory is asked for
  void read(const Slab& slab, hid_t type, void* values, std::size_t value_bytes) const;

  DatasetHandle handle_;
  std::string name_;
  Shape shape_;
};

}  // namespace gradflow::hdf5
