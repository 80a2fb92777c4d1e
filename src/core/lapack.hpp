#pragma once

#include <vector>

#include <fmt/format.h>

#include "gradflow/core/errors.hpp"

/// How LAPACK is called. It is inside libopenblas; Debian's build has no C interface to it.
namespace gradflow::lapack {

inline void require_success(int info, const char* routine) {
  if (info != 0) throw Error(fmt::format("LAPACK {} failed: info = {}", routine, info));
}

/// Calls a routine twice: for the workspace it wants, then for the work.
/// @param call  (double* work, int size, int* info)
template <class Call>
void with_workspace(const char* routine, Call call) {
  int info = 0;
  double wanted = 0;
  call(&wanted, -1, &info);
  require_success(info, routine);
  std::vector<double> work(static_cast<std::size_t>(wanted));
  call(work.data(), int(work.size()), &info);
  require_success(info, routine);
}

}  // namespace gradflow::lapack
