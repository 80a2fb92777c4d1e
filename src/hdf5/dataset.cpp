#include "gradflow/hdf5/dataset.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "gradflow/core/errors.hpp"
#include "gradflow/hdf5/soundness.hpp"

namespace gradflow::hdf5 {
namespace {

constexpr std::size_t most_bytes_per_call = std::size_t(1) << 30;

Dataspace dataspace(const Shape& shape) {
  if (shape.empty()) return {H5Screate(H5S_SCALAR), "cannot make a scalar dataspace"};
  return {H5Screate_simple(int(shape.size()), shape.data(), nullptr), "cannot make a dataspace"};
}

/// Chunks of whole rows, as long as they fit into HDF5's cache of 1 MiB.
Shape chunk_of(Shape shape) {
  constexpr std::size_t most_values = std::size_t(1) << 16;
  for (hsize_t& length : shape) {
    while (size_of(shape) > most_values && length > 1) length = (length + 1) / 2;
  }
  return shape;
}

void archive(const PropertyList& list, const Shape& shape, hid_t type) {
  const Shape chunk = chunk_of(shape);
  check(H5Pset_chunk(list.get(), int(chunk.size()), chunk.data()), "cannot cut a dataset into chunks");
  check(H5Pset_shuffle(list.get()), "cannot sort the bytes of a dataset");
  check(H5Pset_deflate(list.get(), 6), "cannot compress a dataset");
  check(H5Pset_fill_time(list.get(), H5D_FILL_TIME_ALLOC), "cannot choose the filling");
  if (H5Tget_class(type) != H5T_FLOAT) return;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  check(H5Pset_fill_value(list.get(), H5T_NATIVE_DOUBLE, &nan), "cannot fill a dataset with NaN");
}

PropertyList creation_properties(Space space) {
  PropertyList list(H5Pcreate(H5P_DATASET_CREATE), "cannot make dataset creation properties");
  check(H5Pset_attr_creation_order(list.get(), H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED),
        "cannot track the order of attributes");
  check(H5Pset_obj_track_times(list.get(), false), "cannot leave out times");
  check(H5Pset_layout(list.get(), H5D_CONTIGUOUS), "cannot lay a dataset out in one piece");
  const H5D_alloc_time_t when = space == Space::none      ? H5D_ALLOC_TIME_LATE
                                : space == Space::archive ? H5D_ALLOC_TIME_INCR
                                                          : H5D_ALLOC_TIME_EARLY;
  check(H5Pset_alloc_time(list.get(), when), "cannot choose when space is given");
  check(H5Pset_fill_time(list.get(), space == Space::zero ? H5D_FILL_TIME_ALLOC : H5D_FILL_TIME_NEVER),
        "cannot choose the filling");
  return list;
}

void require_within(const Slab& slab, const Shape& shape) {
  expect(slab.start.size() == shape.size() && slab.count.size() == shape.size(),
         "a slab has the dataset's axes");
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    expect(slab.count[axis] <= shape[axis] && slab.start[axis] <= shape[axis] - slab.count[axis],
           "a slab lies within the dataset");
  }
}

/// HDF5 hands on the lengths of a crafted file whose product is no 64-bit number.
void require_countable(const Shape& shape, const std::string& name) {
  hsize_t bytes = 16;
  for (const hsize_t length : shape) {
    if (__builtin_mul_overflow(bytes, std::max<hsize_t>(length, 1), &bytes)) {
      throw Error("dataset " + name + " announces more values than can be counted");
    }
  }
}

Dataspace selection(const DatasetHandle& dataset, const Slab& slab) {
  Dataspace space(H5Dget_space(dataset.get()), "cannot tell the shape of a dataset");
  if (!slab.start.empty()) {
    check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, slab.start.data(), nullptr, slab.count.data(),
                              nullptr),
          "cannot select a part of a dataset");
  }
  return space;
}

void append_parts(const Slab& slab, std::size_t most_values, std::size_t offset, std::vector<Part>& parts) {
  const std::size_t size = size_of(slab.count);
  if (size == 0) return;
  const auto axis = std::find_if(slab.count.begin(), slab.count.end(), [](hsize_t n) { return n > 1; });
  if (size <= most_values || axis == slab.count.end()) return parts.push_back({slab, offset});

  const std::size_t a = std::size_t(axis - slab.count.begin());
  Slab first = slab;
  Slab second = slab;
  first.count[a] = slab.count[a] / 2;
  second.start[a] += first.count[a];
  second.count[a] -= first.count[a];
  append_parts(first, most_values, offset, parts);
  append_parts(second, most_values, offset + size_of(first.count), parts);
}

}  // namespace

Slab whole(const Shape& shape) { return {Shape(shape.size(), 0), shape}; }

std::size_t size_of(const Shape& count) {
  return std::accumulate(count.begin(), count.end(), std::size_t(1), std::multiplies<>());
}

std::vector<Part> parts_of(const Slab& slab, std::size_t most_values) {
  std::vector<Part> parts;
  append_parts(slab, most_values, 0, parts);
  return parts;
}

Dataset::Dataset(DatasetHandle handle, std::string name)
    : handle_(std::move(handle)), name_(std::move(name)) {
  const Dataspace space(H5Dget_space(handle_.get()), "cannot tell the shape of dataset " + name_);
  shape_.resize(
      std::size_t(check(H5Sget_simple_extent_ndims(space.get()), "cannot count the axes of " + name_)));
  if (!shape_.empty()) {
    check(H5Sget_simple_extent_dims(space.get(), shape_.data(), nullptr), "cannot measure " + name_);
  }
  require_countable(shape_, name_);
}

Dataset Dataset::create(const File& file, const std::string& name, hid_t type, const Shape& shape,
                        Space space) {
  const PropertyList creation = creation_properties(space);
  if (space == Space::archive) archive(creation, shape, type);
  const Dataspace extent = dataspace(shape);
  return {DatasetHandle(H5Dcreate2(file.get(), name.c_str(), type, extent.get(), H5P_DEFAULT, creation.get(),
                                   H5P_DEFAULT),
                        "cannot create dataset " + name),
          name};
}

Dataset Dataset::create_texts(const File& file, const std::string& name, const Shape& shape) {
  const PropertyList creation = creation_properties(Space::zero);
  const Dataspace extent = dataspace(shape);
  const Datatype type = free_text();
  // Texts in the heap need a fill value that points nowhere: "if set" is the library's way to write it.
  check(H5Pset_fill_time(creation.get(), H5D_FILL_TIME_IFSET), "cannot choose the filling");
  return {DatasetHandle(H5Dcreate2(file.get(), name.c_str(), type.get(), extent.get(), H5P_DEFAULT,
                                   creation.get(), H5P_DEFAULT),
                        "cannot create dataset " + name),
          name};
}

Dataset Dataset::create_characters(const File& file, const std::string& name, const Shape& shape) {
  const Datatype type = fixed_text(1);
  return create(file, name, type.get(), shape, Space::zero);
}

Dataset Dataset::open(const File& file, const std::string& name) {
  DatasetHandle handle(H5Dopen2(file.get(), name.c_str(), H5P_DEFAULT), "cannot open dataset " + name);
  require_own_storage(handle.get(), name);  // before its shape is asked for, which may open other files
  return {std::move(handle), name};
}

Kind Dataset::kind() const {
  const Datatype type(H5Dget_type(get()), "cannot tell the type of " + name_);
  return kind_of(type.get());
}

void Dataset::write(const Slab& slab, hid_t type, const void* values, std::size_t count,
                    std::size_t value_bytes) const {
  require_within(slab, shape_);
  expect(count == size_of(slab.count), "as many values as the slab has places");
  for (const auto& [part, offset] : parts_of(slab, most_bytes_per_call / value_bytes)) {
    const Dataspace memory = dataspace(part.count);
    const Dataspace place = selection(handle_, part);
    const void* from = static_cast<const std::byte*>(values) + offset * value_bytes;
    check(H5Dwrite(get(), type, memory.get(), place.get(), H5P_DEFAULT, from), "cannot write " + name_);
  }
}

void Dataset::require_readable(const Slab& slab) const {
  require_within(slab, shape_);
  require_stored(get(), name_, size_of(slab.count));
}

void Dataset::read(const Slab& slab, hid_t type, void* values, std::size_t value_bytes) const {
  for (const auto& [part, offset] : parts_of(slab, most_bytes_per_call / value_bytes)) {
    const Dataspace memory = dataspace(part.count);
    const Dataspace place = selection(handle_, part);
    void* to = static_cast<std::byte*>(values) + offset * value_bytes;
    check(H5Dread(get(), type, memory.get(), place.get(), H5P_DEFAULT, to), "cannot read " + name_);
  }
}

void Dataset::write_texts(const Slab& slab, const std::vector<std::string>& texts) const {
  const Datatype type = free_text();
  std::vector<const char*> starts;
  starts.reserve(texts.size());
  for (const std::string& text : texts) starts.push_back(text.c_str());
  write(slab, type.get(), starts.data(), starts.size(), sizeof(char*));
}

void Dataset::write_characters(const Slab& slab, const std::string& characters) const {
  const Datatype type = fixed_text(1);
  write(slab, type.get(), characters.data(), characters.size(), 1);
}

std::vector<std::string> Dataset::read_texts(const Slab& slab) const {
  const Datatype type = free_text();
  require_readable(slab);
  std::vector<char*> starts(size_of(slab.count), nullptr);
  read(slab, type.get(), starts.data(), sizeof(char*));
  std::vector<std::string> texts;
  texts.reserve(starts.size());
  for (char* start : starts) {
    texts.emplace_back(start == nullptr ? "" : start);
    H5free_memory(start);
  }
  return texts;
}

std::string Dataset::read_characters(const Slab& slab) const {
  const Datatype type = fixed_text(1);
  require_readable(slab);
  std::string characters(size_of(slab.count), '\0');
  read(slab, type.get(), characters.data(), 1);
  return characters;
}

}  // namespace gradflow::hdf5
