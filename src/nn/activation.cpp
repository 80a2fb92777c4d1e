#include "gradflow/nn/activation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "activation_kernels.hpp"
#include "gradflow/core/catalogue.hpp"
#include "gradflow/core/rescale.hpp"

namespace gradflow::nn {
namespace {

/// Exponents of a sample up to here enter the argument itself; outside, the sample keeps them.
constexpr int common_exponents = 60;
/// Where the largest of a sample is below, some of the others underflow that are within 2^125 of it.
constexpr double vanished = 0x1p-24;

template <class Real>
const ActivationKernels<Real>& kernels_of(const Activation& phi) {
  if constexpr (sizeof(Real) == 4) {
    return *phi.row().float32;
  } else {
    return *phi.row().float64;
  }
}

/// How stored values of this exponent become arguments.
template <class Real>
ArgumentScale<Real> scale_of(const Activation& phi, std::int32_t exponent) {
  constexpr int most = std::numeric_limits<Real>::max_exponent - 2;
  if (exponent == 0 || phi.positively_homogeneous()) return {};
  // From here on phi is a straight line to rounding, or two that meet at 0: the sign has to survive.
  if (exponent < -common_exponents) exponent = -std::numeric_limits<Real>::digits - rescale_bits - 5;
  const int first = std::clamp(exponent, -most, most);
  const int second = std::clamp(exponent - first, -most, most);
  return {Real(std::ldexp(1.0, first)), Real(std::ldexp(1.0, second)), Real(std::ldexp(1.0, -exponent))};
}

template <class Real>
bool loses_phase(std::span<const Real> z, std::int32_t exponent) {
  const Scaled last = Scaled::of(1, std::numeric_limits<Real>::digits);  // 2^24, 2^53
  return last < Scaled::of(double(max_abs<Real>(z)), exponent);
}

/// How one sample is computed, and the exponent its result then has.
template <class Real>
struct Form {
  ForwardRow<Real> row;
  std::int32_t exponent;
};

template <class Real>
Form<Real> form_of(const Activation& phi, std::int32_t exponent) {
  const ActivationKernels<Real>& kernels = kernels_of<Real>(phi);
  if (phi.positively_homogeneous()) return {kernels.value, exponent};
  if (exponent < -common_exponents && kernels.ratio) return {kernels.ratio, exponent};
  if (exponent > common_exponents && kernels.far) return {kernels.far, exponent};
  return {kernels.value, 0};
}

/// What phi would give, up to a factor of order 1, were the sample not deep in a tail. In units of the
/// result.
template <class Real>
double expected_size(std::span<const Real> z, std::int32_t z_exponent, std::int32_t h_exponent) {
  const double largest = double(max_abs<Real>(z));
  return h_exponent != 0 ? largest : std::min(1.0, std::ldexp(largest, z_exponent));
}

/// Stores y[j] * 2^exponent with the largest |y| in [1, 2).
template <class Real>
FailureCode store_scaled(const std::vector<Scaled>& y, std::span<Real> row, std::int32_t& exponent) {
  std::int64_t top = std::numeric_limits<std::int64_t>::min();
  for (const Scaled& value : y) {
    if (!value.is_zero()) top = std::max(top, value.exponent);
  }
  std::ranges::fill(row, Real(0));
  const bool all_zero = top == std::numeric_limits<std::int64_t>::min();
  const std::int64_t sum = all_zero ? 0 : exponent + top;
  if (std::abs(sum) > largest_exponent) return FailureCode::exponent_overflow;
  exponent = std::int32_t(sum);
  for (std::size_t j = 0; j < y.size(); ++j)
    row[j] = Real(Scaled{y[j].mantissa, y[j].exponent - top}.value());
  return FailureCode::none;
}

template <class Real>
FailureCode activate_scaled(const Activation& phi, std::span<const Real> z, std::int32_t z_exponent,
                            int width, std::span<Real> h, std::int32_t& h_exponent) {
  std::vector<Scaled> y;
  for (const Real v : z.first(std::size_t(width))) {
    y.push_back(
        kernels_of<Real>(phi).scaled_value(Scaled::of(double(v), z_exponent), Scaled::of(phi.parameter())));
  }
  h_exponent = 0;
  return store_scaled(y, h, h_exponent);
}

/// phi'(x), right however far in a tail.
template <class Real>
Scaled exact_slope(const Activation& phi, Scaled x) {
  const ActivationKernels<Real>& kernels = kernels_of<Real>(phi);
  if (kernels.scaled_slope) return kernels.scaled_slope(x, Scaled::of(phi.parameter()));
  return Scaled::of(phi.slope(x.value()));
}

/// d phi' of one sample, its exponent left out.
template <class Real>
std::vector<Scaled> exact_products(const Activation& phi, std::span<const Real> z, std::int32_t z_exponent,
                                   std::span<const Real> d) {
  std::vector<Scaled> products;
  for (std::size_t j = 0; j < d.size(); ++j) {
    products.push_back(Scaled::of(double(d[j])) *
                       exact_slope<Real>(phi, Scaled::of(double(z[j]), z_exponent)));
  }
  return products;
}

/// Magnitudes of the products that a row stores as zero. @param exponent  of the products
template <class Real>
std::vector<std::int64_t> lost_of(const std::vector<Scaled>& products, std::int32_t exponent,
                                  std::span<const Real> stored) {
  std::vector<std::int64_t> lost_log2;
  for (std::size_t j = 0; j < products.size(); ++j) {
    if (stored[j] == 0 && !products[j].is_zero()) lost_log2.push_back(exponent + products[j].exponent);
  }
  return lost_log2;
}

}  // namespace

Activation Activation::named(std::string_view name, std::optional<double> parameter) {
  const ActivationRow& row = find(activations(), "activation", name);
  if (parameter && row.parameter.empty()) {
    throw UserError("activation \"" + std::string(name) + "\" has no parameter; write \"" +
                    std::string(name) + "\" alone");
  }
  if (parameter && !std::isfinite(*parameter)) {
    throw UserError("activation \"" + std::string(name) + "\": " + std::string(row.parameter) + " is " +
                    std::to_string(*parameter) + "; expected a finite number, for example " +
                    std::to_string(row.default_parameter));
  }
  return {row, parameter.value_or(row.default_parameter)};
}

double Activation::value(double x) const { return row_->float64->value_at(x, parameter_); }
double Activation::slope(double x) const { return row_->float64->slope_at(x, parameter_); }

template <class Real>
FailureCode activate(const Activation& phi, std::span<const Real> z, std::int32_t z_exponent, int width,
                     std::span<Real> h, std::int32_t& h_exponent) {
  const ActivationKernels<Real>& kernels = kernels_of<Real>(phi);
  if (kernels.periodic && loses_phase(z, z_exponent)) return FailureCode::phase_lost;

  const Form<Real> form = form_of<Real>(phi, z_exponent);
  const Real largest = form.row(scale_of<Real>(phi, z_exponent), z.data(), width, h.data(), phi.parameter());
  std::ranges::fill(h.subspan(std::size_t(width)), Real(0));
  h_exponent = form.exponent;

  if (largest < vanished * (1 << rescale_bits) && kernels.scaled_value &&
      largest < vanished * expected_size(z, z_exponent, h_exponent)) {
    return activate_scaled(phi, z, z_exponent, width, h, h_exponent);
  }
  return rescale(h, h_exponent, largest);
}

template <class Real>
SlopeCounts multiply_by_slope(const Activation& phi, std::span<const Real> z, std::int32_t z_exponent,
                              int width, std::span<Real> d, std::int32_t& d_exponent, FailureCode& code) {
  const ActivationKernels<Real>& kernels = kernels_of<Real>(phi);
  if (kernels.periodic && loses_phase(z, z_exponent)) {
    code = FailureCode::phase_lost;
    return {};
  }
  thread_local std::vector<Real> before;
  before.assign(d.begin(), d.begin() + width);
  const std::int32_t exponent = d_exponent;

  const SlopeSweep<Real> sweep =
      kernels.slope(scale_of<Real>(phi, z_exponent), z.data(), width, d.data(), phi.parameter(),
                    saturation_threshold * phi.sup_slope(), phi.slope_has_zeros());
  SlopeCounts counts{.saturated = sweep.saturated, .lost_log2 = {}};
  const bool too_small = kernels.scaled_slope && sweep.largest < vanished &&
                         std::ranges::any_of(before, [](Real v) { return v != 0; });
  if (!too_small && !sweep.lost) {
    code = rescale(d, d_exponent, sweep.largest);
    return counts;
  }
  const std::vector<Scaled> products = exact_products<Real>(phi, z, z_exponent, before);
  code = too_small ? store_scaled(products, d, d_exponent) : rescale(d, d_exponent, sweep.largest);
  counts.lost_log2 = lost_of<Real>(products, exponent, d);
  return counts;
}

template <class Real>
std::int64_t count_saturated(const Activation& phi, std::span<const Real> z, std::int32_t z_exponent,
                             int width) {
  return kernels_of<Real>(phi).saturated(scale_of<Real>(phi, z_exponent), z.data(), width, phi.parameter(),
                                         saturation_threshold * phi.sup_slope());
}

#define GRADFLOW_INSTANTIATE(Real)                                                                    \
  template FailureCode activate(const Activation&, std::span<const Real>, std::int32_t, int,          \
                                std::span<Real>, std::int32_t&);                                      \
  template SlopeCounts multiply_by_slope(const Activation&, std::span<const Real>, std::int32_t, int, \
                                         std::span<Real>, std::int32_t&, FailureCode&);               \
  template std::int64_t count_saturated(const Activation&, std::span<const Real>, std::int32_t, int);
GRADFLOW_INSTANTIATE(float)
GRADFLOW_INSTANTIATE(double)
#undef GRADFLOW_INSTANTIATE

}  // namespace gradflow::nn
