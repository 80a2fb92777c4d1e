// Arithmetic that breaks a promise, for LD_PRELOAD: no product over this many terms succeeds. The first is in
// the layer that has this fan-out.
//   BROKEN_ARITHMETIC_TERMS=k
#include <cstdlib>
#include <dlfcn.h>

#include <cblas.h>

#include "gradflow/core/errors.hpp"

extern "C" void cblas_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE op_a, CBLAS_TRANSPOSE op_b, blasint m,
                            blasint n, blasint k, float alpha, const float* a, blasint lda, const float* b,
                            blasint ldb, float beta, float* c, blasint ldc) {
  static const auto real = reinterpret_cast<decltype(&cblas_sgemm)>(dlsym(RTLD_NEXT, "cblas_sgemm"));
  static const char* const terms = std::getenv("BROKEN_ARITHMETIC_TERMS");
  gradflow::expect(terms == nullptr || k != std::atoi(terms), "a product that succeeds");
  real(order, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
