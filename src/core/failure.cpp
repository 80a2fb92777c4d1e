#include "gradflow/core/failure.hpp"

namespace gradflow {

std::string_view meaning(FailureCode code) {
  switch (code) {
    case FailureCode::none:
      return "none";
    case FailureCode::phase_lost:
      return "the phase of sin has no bits left";
    case FailureCode::exponent_overflow:
      return "an exponent left the range of 32 bits";
    case FailureCode::non_finite:
      return "a signal is not finite";
    case FailureCode::too_large:
      return "more memory than a rank may use";
  }
  return "unknown";
}

}  // namespace gradflow
