#include "gradflow/theory/jacobian.hpp"

#include "gradflow/core/errors.hpp"
#include "gradflow/theory/moments.hpp"

namespace gradflow::theory {

Increment lyapunov_exponent(int units, double weight_variance, int index) {
  expect(1 <= index && index <= units, "an index from 1 to the number of units");
  const Increment squared = linear_increment(units - index + 1, weight_variance);  // of ln |R_ii|^2
  return {squared.mean / 2, squared.variance / 4};
}

JacobianMoments linear_jacobian_moments(int units, double sigma_w, int factors) {
  const double n = units;
  const double scale = sigma_w * sigma_w * sigma_w * sigma_w;
  JacobianMoments t{n, n * n};
  for (int l = 0; l < factors; ++l) {
    t = {scale * ((n + 1) * t.trace_of_square + t.square_of_trace) / n,
         scale * (t.square_of_trace + 2 * t.trace_of_square / n)};
  }
  return t;
}

JacobianMoments relu_jacobian_moments(int units, double sigma_w, int factors) {
  const double n = units;
  const double scale = sigma_w * sigma_w * sigma_w * sigma_w / 4;
  JacobianMoments t{n, n * n};
  for (int l = 0; l < factors; ++l) {
    t = {scale * ((n + 3) * t.trace_of_square + 2 * t.square_of_trace) / n,
         scale * ((n + 1) * t.square_of_trace + 4 * t.trace_of_square) / n};
  }
  return t;
}

double isometry_variance(const nn::Activation& phi, double q, int factors, bool orthogonal) {
  const Moments moments(phi);
  const Scaled at = Scaled::of(q);
  const Scaled mean = moments.slope_square(at);
  const double spread = (moments.slope_fourth(at) / (mean * mean)).value() - 1;
  return factors * (spread + (orthogonal ? 0 : 1));
}

}  // namespace gradflow::theory
