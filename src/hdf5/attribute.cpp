#include "gradflow/hdf5/attribute.hpp"

#include <algorithm>

#include "gradflow/core/errors.hpp"

namespace gradflow::hdf5 {
namespace {

constexpr std::size_t longest_inline_text = 32 * 1024;

Dataspace scalar() { return {H5Screate(H5S_SCALAR), "cannot make a scalar dataspace"}; }

Dataspace row_of(std::size_t count) {
  const hsize_t length = count;
  return {H5Screate_simple(1, &length, nullptr), "cannot make a dataspace"};
}

void write(hid_t object, const std::string& name, hid_t file_type, const Dataspace& space, hid_t memory_type,
           const void* values) {
  const std::string what = "cannot write attribute " + name;
  Attribute attribute(H5Acreate2(object, name.c_str(), file_type, space.get(), H5P_DEFAULT, H5P_DEFAULT),
                      what);
  check(H5Awrite(attribute.get(), memory_type, values), what);
  attribute.close(what);
}

Attribute open(hid_t object, const std::string& name) {
  return {H5Aopen(object, name.c_str(), H5P_DEFAULT), "cannot open attribute " + name};
}

Datatype type_of(const Attribute& attribute) {
  return {H5Aget_type(attribute.get()), "cannot tell the type of an attribute"};
}

/// What no attribute of ours or of Keras comes near; a crafted one may announce anything.
constexpr hssize_t most_attribute_values = 1 << 20;
constexpr std::size_t longest_fixed_text = 1 << 24;

hssize_t count_of(const Attribute& attribute) {
  const Dataspace space(H5Aget_space(attribute.get()), "cannot tell the shape of an attribute");
  const hssize_t count =
      check(H5Sget_simple_extent_npoints(space.get()), "cannot count an attribute's values");
  if (count > most_attribute_values)
    throw Error("an attribute announces " + std::to_string(count) + " values");
  return count;
}

std::size_t text_bytes(const Datatype& type, std::size_t count) {
  const std::size_t bytes = H5Tget_size(type.get());
  if (bytes == 0 || bytes > longest_fixed_text / std::max<std::size_t>(count, 1)) {
    throw Error("an attribute announces texts of " + std::to_string(bytes) + " bytes");
  }
  return bytes;
}

std::string read_free_text(const Attribute& attribute, const std::string& name) {
  const Datatype type = free_text();
  char* text = nullptr;
  check(H5Aread(attribute.get(), type.get(), &text), "cannot read attribute " + name);
  const std::string copy = text == nullptr ? "" : text;
  H5free_memory(text);
  return copy;
}

std::string read_fixed_text(const Attribute& attribute, const Datatype& type, const std::string& name) {
  std::string text(text_bytes(type, 1), '\0');
  check(H5Aread(attribute.get(), type.get(), text.data()), "cannot read attribute " + name);
  return text.substr(0, text.find('\0'));
}

herr_t append_name(hid_t, const char* name, const H5A_info_t*, void* names) {
  static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  return 0;
}

}  // namespace

void write_attribute(hid_t object, const std::string& name, const std::string& text) {
  if (text.size() > longest_inline_text) {
    const Datatype type = free_text();
    const char* start = text.c_str();
    write(object, name, type.get(), scalar(), type.get(), &start);
  } else {
    const Datatype type = fixed_text(std::max<std::size_t>(text.size(), 1));
    write(object, name, type.get(), scalar(), type.get(), text.c_str());
  }
}

void write_attribute(hid_t object, const std::string& name, const std::vector<std::string>& texts) {
  const Datatype type = free_text();
  std::vector<const char*> starts;
  for (const std::string& text : texts) starts.push_back(text.c_str());
  write(object, name, type.get(), row_of(starts.size()), type.get(), starts.data());
}

template <class T>
requires requires { NumberType<T>::in_file(); }
void write_attribute(hid_t object, const std::string& name, T value) {
  write(object, name, NumberType<T>::in_file(), scalar(), NumberType<T>::in_memory(), &value);
}

template <class T>
requires requires { NumberType<T>::in_file(); }
void write_attribute(hid_t object, const std::string& name, const std::vector<T>& values) {
  write(object, name, NumberType<T>::in_file(), row_of(values.size()), NumberType<T>::in_memory(),
        values.data());
}

bool has_attribute(hid_t object, const std::string& name) {
  return check(H5Aexists(object, name.c_str()), "cannot look for attribute " + name) > 0;
}

std::vector<std::string> attribute_names(hid_t object) {
  std::vector<std::string> names;
  check(H5Aiterate2(object, H5_INDEX_CRT_ORDER, H5_ITER_INC, nullptr, append_name, &names),
        "cannot list attributes");
  return names;
}

Kind attribute_kind(hid_t object, const std::string& name) {
  return kind_of(type_of(open(object, name)).get());
}

std::string read_text_attribute(hid_t object, const std::string& name) {
  const Attribute attribute = open(object, name);
  const Datatype type = type_of(attribute);
  if (kind_of(type.get()) != Kind::text || count_of(attribute) != 1) {
    throw Error("attribute " + name + " is not one text");
  }
  return H5Tis_variable_str(type.get()) > 0 ? read_free_text(attribute, name)
                                            : read_fixed_text(attribute, type, name);
}

namespace {

/// @param type  the file's own: HDF5 converts no character sets
std::vector<std::string> read_free_texts(const Attribute& attribute, const Datatype& type, std::size_t count,
                                         const std::string& name) {
  std::vector<char*> starts(count, nullptr);
  check(H5Aread(attribute.get(), type.get(), starts.data()), "cannot read attribute " + name);
  std::vector<std::string> texts;
  for (char* start : starts) {
    texts.emplace_back(start == nullptr ? "" : start);
    H5free_memory(start);
  }
  return texts;
}

std::vector<std::string> read_fixed_texts(const Attribute& attribute, const Datatype& type, std::size_t count,
                                          const std::string& name) {
  const std::size_t size = text_bytes(type, count);
  std::string all(size * count, '\0');
  check(H5Aread(attribute.get(), type.get(), all.data()), "cannot read attribute " + name);
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < count; ++i) texts.emplace_back(all.substr(i * size, size).c_str());
  return texts;
}

}  // namespace

std::vector<std::string> read_texts_attribute(hid_t object, const std::string& name) {
  const Attribute attribute = open(object, name);
  const Datatype type = type_of(attribute);
  const hssize_t count = count_of(attribute);
  if (count == 0) return {};  // of any type: some programs know no empty row of texts
  if (kind_of(type.get()) != Kind::text || count < 0) throw Error("attribute " + name + " holds no texts");
  return H5Tis_variable_str(type.get()) > 0 ? read_free_texts(attribute, type, std::size_t(count), name)
                                            : read_fixed_texts(attribute, type, std::size_t(count), name);
}

template <class T>
requires requires { NumberType<T>::in_file(); }
T read_number_attribute(hid_t object, const std::string& name) {
  const Attribute attribute = open(object, name);
  const hssize_t count = count_of(attribute);
  if (count < 1) throw Error("attribute " + name + " is empty");
  std::vector<T> values(std::size_t(count), T{});
  check(H5Aread(attribute.get(), NumberType<T>::in_memory(), values.data()), "cannot read attribute " + name);
  return values.front();
}

template void write_attribute(hid_t, const std::string&, double);
template void write_attribute(hid_t, const std::string&, std::int8_t);
template void write_attribute(hid_t, const std::string&, std::int32_t);
template void write_attribute(hid_t, const std::string&, std::int64_t);
template void write_attribute(hid_t, const std::string&, std::uint64_t);
template void write_attribute(hid_t, const std::string&, const std::vector<double>&);
template void write_attribute(hid_t, const std::string&, const std::vector<std::int8_t>&);
template void write_attribute(hid_t, const std::string&, const std::vector<std::int32_t>&);
template void write_attribute(hid_t, const std::string&, const std::vector<std::int64_t>&);
template void write_attribute(hid_t, const std::string&, const std::vector<std::uint64_t>&);
template double read_number_attribute(hid_t, const std::string&);
template std::int64_t read_number_attribute(hid_t, const std::string&);
template std::uint64_t read_number_attribute(hid_t, const std::string&);

}  // namespace gradflow::hdf5
