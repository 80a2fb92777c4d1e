#include "gradflow/theory/shattering.hpp"

#include "gradflow/theory/moments.hpp"

namespace gradflow::theory {

std::vector<double> gradient_correlation(const nn::Activation& phi, double q,
                                         std::span<const double> preact_corr) {
  const Moments moments(phi);
  const Scaled at = Scaled::of(q);
  const Scaled square = moments.slope_square(at);
  std::vector<double> correlation(preact_corr.size(), 1);
  for (std::size_t l = correlation.size(); l-- > 1;) {
    const Scaled shared = moments.slope_product(at, preact_corr[l - 1]);
    correlation[l - 1] = correlation[l] * (shared / square).value();
  }
  return correlation;
}

double bias_shift_share(const nn::Activation& phi, double q) {
  const Moments moments(phi);
  const Scaled at = Scaled::of(q);
  const Scaled mean = moments.mean(at);
  return (mean * mean / moments.square(at)).value();
}

}  // namespace gradflow::theory
