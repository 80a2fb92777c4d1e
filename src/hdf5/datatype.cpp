#include "gradflow/hdf5/datatype.hpp"

namespace gradflow::hdf5 {

Datatype fixed_text(std::size_t bytes) {
  Datatype type(H5Tcopy(H5T_C_S1), "cannot make a text type");
  check(H5Tset_size(type.get(), bytes), "cannot size a text type");
  check(H5Tset_cset(type.get(), H5T_CSET_UTF8), "cannot make a text type UTF-8");
  check(H5Tset_strpad(type.get(), H5T_STR_NULLPAD), "cannot pad a text type");
  return type;
}

Datatype free_text() {
  Datatype type(H5Tcopy(H5T_C_S1), "cannot make a text type");
  check(H5Tset_size(type.get(), H5T_VARIABLE), "cannot free the length of a text type");
  check(H5Tset_cset(type.get(), H5T_CSET_UTF8), "cannot make a text type UTF-8");
  return type;
}

Kind kind_of(hid_t datatype) {
  switch (H5Tget_class(datatype)) {
    case H5T_FLOAT:
      return Kind::real;
    case H5T_INTEGER:
      return H5Tget_sign(datatype) == H5T_SGN_NONE ? Kind::unsigned_integer : Kind::signed_integer;
    case H5T_STRING:
      return Kind::text;
    default:
      return Kind::other;
  }
}

}  // namespace gradflow::hdf5
