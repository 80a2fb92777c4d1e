#pragma once

#include <cstdint>
#include <string_view>
#include <tuple>

namespace gradflow {

/// Why one point of a sweep cannot be measured. The sweep goes on; the file stores the code and the layer.
enum class FailureCode : std::int8_t {
  none = 0,
  phase_lost = 1,         ///< sin of an argument so large that its phase has no bits
  exponent_overflow = 2,  ///< a power of two outside the 32-bit exponent
  non_finite = 3,         ///< infinity or NaN in a signal
  too_large = 4,          ///< more memory than a rank may use, even if as little as possible is kept
};
inline constexpr FailureCode last_failure_code = FailureCode::too_large;

std::string_view meaning(FailureCode code);

/// Where a point failed first. `sample` counts within the point's batch, `layer` from 1.
struct Failure {
  static constexpr std::int32_t no_sample = -1;  ///< the layer itself cannot be measured

  FailureCode code = FailureCode::none;
  std::int32_t layer = 0;
  std::int32_t sample = 0;

  explicit operator bool() const noexcept { return code != FailureCode::none; }
  friend bool operator==(const Failure&, const Failure&) = default;
};

/// The earlier of two failures in network order, which does not depend on how the batch was cut.
inline Failure first_of(Failure a, Failure b) {
  if (!b) return a;
  if (!a) return b;
  return std::tie(a.layer, a.sample, a.code) <= std::tie(b.layer, b.sample, b.code) ? a : b;
}

}  // namespace gradflow
