#include "gradflow/experiment/identity.hpp"

#include <cfenv>
#include <limits>

#include <H5public.h>
#include <fmt/core.h>
#include <hwy/targets.h>
#include <mpi.h>
#include <sleef.h>
#include <tbb/version.h>

#include "gradflow/core/blas.hpp"

namespace gradflow::experiment {
namespace {

#ifndef GRADFLOW_VERSION
#error "the build names the version and the commit"
#endif

/// Whether subnormal results and operands are kept. Tried, not asked: the answer then holds on every
/// architecture.
bool keeps_subnormals() {
  volatile double smallest = std::numeric_limits<double>::min();
  const volatile double half = smallest / 2;
  return half > 0 && half * 2 == smallest;
}

std::string rounding() { return std::fegetround() == FE_TONEAREST ? "to nearest" : "not to nearest"; }

std::string mpi_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string whole(text, std::size_t(length));
  return whole.substr(0, whole.find(','));
}

std::string hdf5_version() {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned release = 0;
  H5get_libversion(&major, &minor, &release);
  return fmt::format("{}.{}.{}", major, minor, release);
}

std::string compiler() {
#if defined(__clang__)
  return fmt::format("clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  return fmt::format("gcc {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

}  // namespace

std::string NumericsIdentity::text() const {
  return fmt::format("gradflow {}; {} on {}; {}; {}", gradflow, openblas, openblas_core, instruction_set,
                     floating_point);
}

NumericsIdentity numerics_identity() {
  const BlasIdentity blas = blas_identity();
  return {.gradflow = GRADFLOW_VERSION,
          .openblas = blas.version,
          .openblas_core = blas.core,
          .instruction_set = hwy::TargetName(HWY_STATIC_TARGET),
          .floating_point =
              fmt::format("round {}, subnormals {}", rounding(), keeps_subnormals() ? "kept" : "flushed")};
}

std::vector<std::pair<std::string, std::string>> versions() {
  return {{"gradflow_version", GRADFLOW_VERSION},
          {"gradflow_commit", GRADFLOW_COMMIT},
          {"compiler", compiler()},
          {"mpi_version", mpi_version()},
          {"hdf5_version", hdf5_version()},
          {"openblas_version", blas_identity().version},
          {"tbb_version", fmt::format("{}.{}", TBB_VERSION_MAJOR, TBB_VERSION_MINOR)},
          {"sleef_version",
           fmt::format("{}.{}.{}", SLEEF_VERSION_MAJOR, SLEEF_VERSION_MINOR, SLEEF_VERSION_PATCHLEVEL)},
          {"fmt_version", fmt::format("{}", FMT_VERSION)}};
}

}  // namespace gradflow::experiment
