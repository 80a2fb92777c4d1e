#include "gradflow/hdf5/handle.hpp"

#include <string>

#include "gradflow/core/errors.hpp"

namespace gradflow::hdf5 {
namespace {

herr_t append_frame(unsigned, const H5E_error2_t* frame, void* text) {
  auto& account = *static_cast<std::string*>(text);
  if (frame->desc != nullptr && *frame->desc != '\0') {
    account += account.empty() ? "" : ": ";
    for (const char* c = frame->desc; *c != '\0'; ++c) {
      if (*c != '\n') account += *c;  // after the time of day
    }
  }
  return 0;
}

}  // namespace

void prepare_library() {
  static const bool ready = [] {
    H5dont_atexit();
    H5open();
    H5Lunregister(H5L_TYPE_EXTERNAL);  // no file may name another
    return H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
  }();
  (void)ready;
}

void raise(std::string_view what) {
  std::string account;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, append_frame, &account);  // outermost call first
  H5Eclear2(H5E_DEFAULT);
  throw Error(std::string(what) + " (HDF5: " + (account.empty() ? "no further account" : account) + ")");
}

}  // namespace gradflow::hdf5
