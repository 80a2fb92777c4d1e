#pragma once

#include <cstdint>
#include <span>

#include "gradflow/core/failure.hpp"

namespace gradflow::nn {

/// dE/dz of E = -ln p_y, p = softmax(z): p_j for every other class and -(the sum of those) for `label`, which
/// is p_y - 1 without cancellation. Probabilities are mantissas and exponents, so a confident network still
/// has a gradient.
/// @param row  z = row * 2^exponent on entry, the gradient on return; what lies beyond `classes` is zero
/// @return exponent_overflow if the largest of them is below 2^-2^30
template <class Real>
FailureCode cross_entropy_gradient(std::span<Real> row, std::int32_t& exponent, int classes, int label);

}  // namespace gradflow::nn
