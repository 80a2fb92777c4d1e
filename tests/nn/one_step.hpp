#pragma once

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "activation_reference.hpp"
#include "recording.hpp"

/// The arithmetic of one layer in float64 with an exponent, from what the layers beside it have stored:
/// however deep a network is, its arithmetic is right if every single step is.
namespace gradflow::nn {

inline Scaled scaled_of(const reference::Exact& x) {
  if (x == 0) return {};
  const auto exponent = ilogb(x);
  return Scaled::of(double(ldexp(x, -exponent)), exponent);
}

/// phi(x) or phi'(x) of every element of a row of any size.
class Elementwise {
 public:
  explicit Elementwise(const Activation& phi) : phi_(phi) {}

  std::vector<Scaled> values(const Row& z) const {
    return of(
        z, [&](Scaled x) { return near_value(x); }, reference::value);
  }
  std::vector<Scaled> slopes(const Row& z) const {
    return of(
        z, [&](Scaled x) { return Scaled::of(phi_.slope(in_range(x))); }, reference::slope);
  }

 private:
  /// By float64; if that makes zeros of all elements, by the textbook formulas in 100 digits.
  template <class Near, class Exact>
  std::vector<Scaled> of(const Row& z, Near near, Exact exact) const {
    std::vector<Scaled> y;
    bool all_zero = true;
    for (const double v : z.values) {
      y.push_back(near(Scaled::of(v, z.exponent)));
      all_zero = all_zero && (y.back().is_zero() || y.back().exponent < -500);
    }
    if (!all_zero || z.is_zero() || near(Scaled::of(z.values[0], z.exponent)).exponent < -1500) return y;
    for (std::size_t j = 0; j < y.size(); ++j) {
      const reference::Exact x = ldexp(reference::Exact(z.values[j]), int(z.exponent));
      y[j] = scaled_of(exact(phi_.name(), x, phi_.parameter()));
    }
    return y;
  }

  /// Beyond every activation is at its asymptote, or a straight line through 0.
  static double in_range(Scaled x) {
    if (x.is_zero()) return 0;
    const double size = x.exponent > 900 ? 0x1p900 : x.exponent < -900 ? 0x1p-900 : std::abs(x.value());
    return std::copysign(size, x.mantissa);
  }
  Scaled near_value(Scaled x) const {
    const bool straight = (x.exponent < -900 && phi_.zero_at_zero()) || (x.exponent > 900 && !phi_.bounded());
    return straight ? x * Scaled::of(phi_.slope(in_range(x))) : Scaled::of(phi_.value(in_range(x)));
  }

  Activation phi_;
};

inline Scaled squared_sum(const std::vector<Scaled>& x) {
  Scaled sum;
  for (const Scaled v : x) sum = sum + v * v;
  return sum;
}

/// A product with what its rounding is relative to: the sum of the absolute values of its terms, element by
/// element.
struct Product {
  Row value;
  std::vector<double> size;  ///< with the exponent of `value`
};

/// One layer's W = scale * Z, in the precision of the network.
template <class Real>
class Layer {
 public:
  Layer(const NetworkSpec& spec, int l)
      : unit_(unit_weights<Real>(*spec.init.scheme, spec.seed, l, spec.widths.fan_in(l),
                                 spec.widths.fan_out(l))),
        scale_(Scaled::of(spec.init.weight_scale(spec.widths.fan_in(l), spec.widths.fan_out(l)))),
        fan_in_(std::size_t(spec.widths.fan_in(l))),
        fan_out_(std::size_t(spec.widths.fan_out(l))) {}

  Product times(const Row& h) const {  // W h
    return product(fan_out_, h, [&](std::size_t i, std::size_t j) { return unit_(int(i), int(j)); });
  }
  Product transposed_times(const Row& dz) const {  // W' dz
    return product(fan_in_, dz, [&](std::size_t j, std::size_t i) { return unit_(int(i), int(j)); });
  }

 private:
  template <class Weight>
  Product product(std::size_t rows, const Row& x, Weight weight) const {
    Product y{{std::vector<double>(rows), x.exponent + scale_.exponent}, std::vector<double>(rows)};
    for (std::size_t i = 0; i < rows; ++i) {
      double sum = 0, size = 0;
      for (std::size_t j = 0; j < x.values.size(); ++j) {
        const double term = double(weight(i, j)) * x.values[j];
        sum += term;
        size += std::abs(term);
      }
      y.value.values[i] = scale_.mantissa * sum;
      y.size[i] = scale_.mantissa * size;
    }
    return y;
  }

  Matrix<Real> unit_;
  Scaled scale_;
  std::size_t fan_in_, fan_out_;
};

/// Whether a row has the norm it should have.
template <class Real>
class StepCheck {
 public:
  explicit StepCheck(int layer) : layer_(layer) {}

  /// @param expected     its elements
  /// @param uncertainty  what their rounding is relative to
  void expect(const char* signal, const Row& row, const std::vector<Scaled>& expected,
              const std::vector<Scaled>& uncertainty) const {
    const Scaled got = row.squared_norm(), truth = squared_sum(expected);
    ASSERT_EQ(got.is_zero(), truth.is_zero()) << signal << " of layer " << layer_;
    if (got.is_zero()) return;
    const double condition = sqrt(squared_sum(uncertainty) / truth).value();
    // As many roundings as terms, and the error of phi or phi'. The factor is for log10 of the squared norm.
    const double relative = (double(row.values.size()) * unit_roundoff + function_error) * condition;
    ASSERT_NEAR(got.log10(), truth.log10(), 2 * relative / std::log(10.0))
        << signal << " of layer " << layer_;
  }

 private:
  static constexpr double unit_roundoff = double(std::numeric_limits<Real>::epsilon()) / 2;
  static constexpr double function_error = sizeof(Real) == 4 ? 1e-6 : 1e-13;
  int layer_;
};

inline std::vector<Scaled> scaled(const std::vector<double>& values, std::int64_t exponent) {
  std::vector<Scaled> all;
  for (const double v : values) all.push_back(Scaled::of(v, exponent));
  return all;
}

/// What an error of phi' is relative to: the smooth rectifiers have a minimum between -2 and -0.3, where phi'
/// is the small difference of terms of size 0.1.
inline std::vector<Scaled> sizes_of_slopes(const Row& z, std::vector<Scaled> slopes) {
  for (std::size_t j = 0; j < slopes.size(); ++j) {
    const bool near_minimum = -2 < z[j] && z[j] < -0.3 && std::abs(slopes[j].value()) < 0.1;
    if (near_minimum) slopes[j] = Scaled::of(0.1);
  }
  return slopes;
}

inline std::vector<Scaled> times(std::vector<Scaled> a, const std::vector<Scaled>& b) {
  for (std::size_t j = 0; j < a.size(); ++j) a[j] = a[j] * b[j];
  return a;
}

/// Every norm of every layer of the first point follows from the layer before it (backwards: after it).
/// @pre no bias, random cotangent, equal widths
template <class Real>
void expect_every_step(const NetworkSpec& spec, const Recording& recording) {
  const Elementwise phi(spec.activation);
  for (int l = 1; l <= spec.depth() && !testing::Test::HasFatalFailure(); ++l) {
    const Layer<Real> layer(spec, l);
    const LayerRecording& here = recording.layer(l);
    for (std::size_t s = 0; s < std::size_t(spec.batch); ++s) {
      const Product z = layer.times(l == 1 ? recording.input[0][s] : recording.layer(l - 1).act[0][s]);
      const std::vector<Scaled> h = phi.values(here.preact[0][s]);
      StepCheck<Real>(l).expect("preactivation", here.preact[0][s], scaled(z.value.values, z.value.exponent),
                                scaled(z.size, z.value.exponent));
      StepCheck<Real>(l).expect("activation", here.act[0][s], h, h);
      if (l == 1) continue;
      const LayerRecording& before = recording.layer(l - 1);
      const Product dh = layer.transposed_times(here.dgrad[0][s]);
      const std::vector<Scaled> slopes = phi.slopes(before.preact[0][s]);
      StepCheck<Real>(l - 1).expect(
          "gradient", before.dgrad[0][s], times(scaled(dh.value.values, dh.value.exponent), slopes),
          times(scaled(dh.size, dh.value.exponent), sizes_of_slopes(before.preact[0][s], slopes)));
    }
  }
}

}  // namespace gradflow::nn
