#pragma once

#include <cmath>

#include <gtest/gtest.h>

#include "activation_reference.hpp"
#include "recording.hpp"

/// The arithmetic of one layer in float64 with an exponent, from what the layers beside it have stored: however deep a
/// network is, its arithmetic is right if every single step is.
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
    return of(z, [&](Scaled x) { return near_value(x); }, reference::value);
  }
  std::vector<Scaled> slopes(const Row& z) const {
    return of(z, [&](Scaled x) { return Scaled::of(phi_.slope(in_range(x))); }, reference::slope);
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

/// One layer's W = scale * Z, in the precision of the network.
template <class Real>
class Layer {
 public:
  Layer(const NetworkSpec& spec, int l)
      : fan_in_(spec.widths.fan_in(l)),
        fan_out_(spec.widths.fan_out(l)),
        unit_(unit_weights<Real>(*spec.init.scheme, spec.seed, l, fan_in_, fan_out_)),
        scale_(Scaled::of(spec.init.weight_scale(fan_in_, fan_out_))) {}

  Row times(const Row& h) const {  // W h
    Row z{std::vector<double>(std::size_t(fan_out_), 0.0), h.exponent + scale_.exponent};
    for (int i = 0; i < fan_out_; ++i) {
      for (int j = 0; j < fan_in_; ++j) z.values[std::size_t(i)] += weight(i, j) * h.values[std::size_t(j)];
    }
    return z;
  }
  Row transposed_times(const Row& dz) const {  // W' dz
    Row dh{std::vector<double>(std::size_t(fan_in_), 0.0), dz.exponent + scale_.exponent};
    for (int i = 0; i < fan_out_; ++i) {
      for (int j = 0; j < fan_in_; ++j) dh.values[std::size_t(j)] += weight(i, j) * dz.values[std::size_t(i)];
    }
    return dh;
  }

 private:
  double weight(int i, int j) const { return scale_.mantissa * double(unit_(i, j)); }

  int fan_in_, fan_out_;
  Matrix<Real> unit_;
  Scaled scale_;
};

inline void expect_same_size(Scaled squared, Scaled expected, double tolerance, const char* what, int layer) {
  ASSERT_EQ(squared.is_zero(), expected.is_zero()) << what << " of layer " << layer;
  if (squared.is_zero()) return;
  ASSERT_NEAR(squared.log10(), expected.log10(), tolerance) << what << " of layer " << layer;
}

/// Every norm of every layer of the first point follows from the layer before it (or after it, backwards).
/// @pre no bias, random cotangent
/// @param tolerance  of log10 of the squared norms
template <class Real>
void expect_every_step(const NetworkSpec& spec, const Recording& recording, double tolerance) {
  const Elementwise phi(spec.activation);
  for (int l = 1; l <= spec.depth(); ++l) {
    const Layer<Real> layer(spec, l);
    const LayerRecording* before = l > 1 ? &recording.layer(l - 1) : nullptr;
    for (std::size_t s = 0; s < std::size_t(spec.batch); ++s) {
      const Row &z = recording.layer(l).preact[0][s], &h = recording.layer(l).act[0][s];
      const Row& input = before ? before->act[0][s] : recording.input[0][s];
      expect_same_size(z.squared_norm(), layer.times(input).squared_norm(), tolerance, "preactivation", l);
      expect_same_size(h.squared_norm(), squared_sum(phi.values(z)), tolerance, "activation", l);
      if (testing::Test::HasFatalFailure()) return;
      if (!before) continue;
      const Row dh = layer.transposed_times(recording.layer(l).dgrad[0][s]);
      std::vector<Scaled> dz = phi.slopes(before->preact[0][s]);
      for (std::size_t j = 0; j < dz.size(); ++j) dz[j] = dz[j] * Scaled::of(dh.values[j], dh.exponent);
      expect_same_size(before->dgrad[0][s].squared_norm(), squared_sum(dz), tolerance, "gradient", l - 1);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

}  // namespace gradflow::nn
