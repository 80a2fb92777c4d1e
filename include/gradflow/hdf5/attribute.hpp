#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gradflow/hdf5/datatype.hpp"
#include "gradflow/hdf5/handle.hpp"

namespace gradflow::hdf5 {

/// Attributes of the root group (of a file's identifier) or of a dataset. Each is written once.
///
/// A text stands in the attribute itself, as netCDF programs write it; above 32 KiB, which an object header
/// cannot hold, in the file's heap.
void write_attribute(hid_t object, const std::string& name, const std::string& text);
void write_attribute(hid_t object, const std::string& name, const std::vector<std::string>& texts);

/// One number.
template <class T>
requires requires { NumberType<T>::in_file(); }
void write_attribute(hid_t object, const std::string& name, T value);

/// A row of numbers.
template <class T>
requires requires { NumberType<T>::in_file(); }
void write_attribute(hid_t object, const std::string& name, const std::vector<T>& values);

bool has_attribute(hid_t object, const std::string& name);
/// Names in the order of their creation.
std::vector<std::string> attribute_names(hid_t object);
Kind attribute_kind(hid_t object, const std::string& name);

/// A scalar text attribute. @throws Error if there is none of that name or it is no text
std::string read_text_attribute(hid_t object, const std::string& name);

/// A row of texts. @throws Error if there is none of that name or it holds no texts
std::vector<std::string> read_texts_attribute(hid_t object, const std::string& name);

/// The first number of an attribute, converted to T.
template <class T>
requires requires { NumberType<T>::in_file(); }
T read_number_attribute(hid_t object, const std::string& name);

}  // namespace gradflow::hdf5
