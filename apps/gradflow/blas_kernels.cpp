#include "blas_kernels.hpp"

#include <cstdlib>
#include <string>
#include <unistd.h>

#include "gradflow/core/blas.hpp"

namespace gradflow::apps {
namespace {

/// The kernels a CPU of this instruction set should get; null if OpenBLAS knows better than we do.
const char* kernels_for_this_cpu() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq")) {
    return "SkylakeX";
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
#endif
  return nullptr;
}

bool is_fallback(const std::string& core) {
  return core == "Prescott" || core == "Core2" || core == "Generic";
}

}  // namespace

void choose_blas_kernels(char** argv) {
  setenv("OPENBLAS_NUM_THREADS", "1", 1);
  const char* kernels = kernels_for_this_cpu();
  if (!kernels || std::getenv("OPENBLAS_CORETYPE") || !is_fallback(blas_identity().core)) return;
  setenv("OPENBLAS_CORETYPE", kernels, 1);
  execv("/proc/self/exe", argv);  // only returns where there is no such file: slower, but as right
}

}  // namespace gradflow::apps
