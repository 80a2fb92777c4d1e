#pragma once

#include <cstddef>
#include <cstdint>

#include "gradflow/hdf5/handle.hpp"

namespace gradflow::hdf5 {

/// The number types gradflow stores, little-endian in every file.
template <class T>
struct NumberType;

template <>
struct NumberType<double> {
  static hid_t in_memory() { return H5T_NATIVE_DOUBLE; }
  static hid_t in_file() { return H5T_IEEE_F64LE; }
};
template <>
struct NumberType<std::int8_t> {
  static hid_t in_memory() { return H5T_NATIVE_INT8; }
  static hid_t in_file() { return H5T_STD_I8LE; }
};
template <>
struct NumberType<std::int32_t> {
  static hid_t in_memory() { return H5T_NATIVE_INT32; }
  static hid_t in_file() { return H5T_STD_I32LE; }
};
template <>
struct NumberType<std::int64_t> {
  static hid_t in_memory() { return H5T_NATIVE_INT64; }
  static hid_t in_file() { return H5T_STD_I64LE; }
};
template <>
struct NumberType<std::uint64_t> {
  static hid_t in_memory() { return H5T_NATIVE_UINT64; }
  static hid_t in_file() { return H5T_STD_U64LE; }
};

/// UTF-8 text of `bytes` bytes, filled up with zeros.
Datatype fixed_text(std::size_t bytes);

/// UTF-8 text of any length, kept in the file's heap.
Datatype free_text();

/// What a dataset or an attribute holds, as far as gradflow tells types apart.
enum class Kind { real, signed_integer, unsigned_integer, text, other };

Kind kind_of(hid_t datatype);

}  // namespace gradflow::hdf5
