#pragma once

#include <string>
#include <utility>
#include <vector>

namespace gradflow::experiment {

/// What the bits of a measurement depend on beside the sweep. Ranks that differ, or a file measured under
/// another one, stop the run: their results could not be compared bit for bit.
struct NumericsIdentity {
  std::string gradflow;         ///< version
  std::string openblas;         ///< version
  std::string openblas_core;    ///< kernels in use; a user can choose them by OPENBLAS_CORETYPE
  std::string instruction_set;  ///< of gradflow's own loops
  std::string floating_point;   ///< rounding and subnormal mode

  std::string text() const;  ///< one line
};

/// Of this process, measured now.
NumericsIdentity numerics_identity();

/// Name and version of gradflow, the compiler, and every library, in a fixed order.
std::vector<std::pair<std::string, std::string>> versions();

}  // namespace gradflow::experiment
