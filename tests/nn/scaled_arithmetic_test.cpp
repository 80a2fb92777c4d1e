#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "gradflow/core/blas.hpp"
#include "networks.hpp"
#include "plain_network.hpp"
#include "recording.hpp"

namespace gradflow::nn {
namespace {

/// The same products in the same precision, a tile at a time, and nothing else: no exponents.
template <class Real>
struct Unscaled {
  std::vector<Matrix<Real>> preact, act, dgrad;  ///< place l - 1

  explicit Unscaled(const NetworkSpec& spec) {
    const int rows = padded_rows(spec.batch), depth = spec.depth();
    Matrix<Real> h = filled(spec, Purpose::data, spec.widths[0]);
    for (int l = 1; l <= depth; ++l) {
      const Matrix<Real> weight = unit_weights_of(spec, l);
      Matrix<Real> z(rows, weight.rows());
      for (int row = 0; row < rows; row += tile_rows) multiply_transposed(h, row, tile_rows, weight, z);
      scale(z, scale_of(spec, l));
      h = z.copy();
      for_units(spec, l, [&](int s, int j) { h(s, j) = value(spec.activation, z(s, j)); });
      preact.push_back(std::move(z));
      act.push_back(h.copy());
    }
    dgrad.resize(preact.size());
    dgrad.back() = filled(spec, Purpose::cotangent, spec.widths[depth]);
    for (int l = depth - 1; l >= 1; --l) {
      const Matrix<Real> weight = unit_weights_of(spec, l + 1);
      Matrix<Real> dh(rows, weight.cols());
      for (int row = 0; row < rows; row += tile_rows) {
        multiply(dgrad[std::size_t(l)], row, tile_rows, weight, dh);
      }
      scale(dh, scale_of(spec, l + 1));
      const Matrix<Real>& z = preact[std::size_t(l - 1)];
      for_units(spec, l, [&](int s, int j) { dh(s, j) *= Real(spec.activation.slope(double(z(s, j)))); });
      dgrad[std::size_t(l - 1)] = std::move(dh);
    }
  }

 private:
  static Matrix<Real> unit_weights_of(const NetworkSpec& spec, int l) {
    return unit_weights<Real>(*spec.init.scheme, spec.seed, l, spec.widths.fan_in(l), spec.widths.fan_out(l));
  }
  static Real scale_of(const NetworkSpec& spec, int l) {
    return Real(spec.init.weight_scale(spec.widths.fan_in(l), spec.widths.fan_out(l)));
  }
  static void scale(Matrix<Real>& m, Real factor) {
    std::for_each(m.data(), m.data() + m.size(), [&](Real& v) { v *= factor; });
  }
  template <class Body>
  static void for_units(const NetworkSpec& spec, int l, Body body) {
    for (int s = 0; s < spec.batch; ++s) {
      for (int j = 0; j < spec.widths[l]; ++j) body(s, j);
    }
  }
  static Matrix<Real> filled(const NetworkSpec& spec, Purpose purpose, int width) {
    Matrix<Real> m(padded_rows(spec.batch), padded_width<Real>(width));
    for (int s = 0; s < spec.batch; ++s) {
      fill_normal<Real>({spec.seed, purpose, 0}, std::uint32_t(s), m.row(s).first(std::size_t(width)));
    }
    return m;
  }
  /// In one rounding, because the pieces of phi are straight lines.
  static Real value(const Activation& phi, Real x) {
    return phi.positively_homogeneous() ? Real(phi.slope(double(x))) * x : Real(phi.value(double(x)));
  }
};

template <class Real>
void expect_same_bits(const Samples& scaled, const Matrix<Real>& unscaled) {
  for (std::size_t s = 0; s < scaled.size(); ++s) {
    for (std::size_t j = 0; j < scaled[s].values.size(); ++j) {
      ASSERT_EQ(scaled[s][j], double(unscaled(int(s), int(j)))) << "sample " << s << ", unit " << j;
    }
  }
}

int largest_exponent_in(const Recording& recording) {
  std::int64_t largest = 0;
  for (const LayerRecording& layer : recording.layers) {
    for (const auto* role : {&layer.preact, &layer.act, &layer.dgrad}) {
      for (const Row& row : role->front()) largest = std::max(largest, std::abs(row.exponent));
    }
  }
  return int(largest);
}

template <class Real>
void expect_arithmetic_without_exponents(std::string_view activation) {
  for (const double sigma_w : {0.1, 1.0, 15.0}) {  // 20 layers: 1e-20 to 1e24, so no float32 is subnormal
    for (const Widths& widths : {Widths::uniform(20, 64), Widths::listed({10, 100, 50, 5, 70, 48, 16})}) {
      SCOPED_TRACE(testing::Message()
                   << activation << ", sigma_w " << sigma_w << ", depth " << widths.depth());
      const NetworkSpec spec = with_batch(network(widths, activation, sigma_w), 40);

      const Recording scaled = record<Real>({spec});
      const Unscaled<Real> unscaled(spec);

      for (int l = 1; l <= spec.depth(); ++l) {
        SCOPED_TRACE(l);
        expect_same_bits(scaled.layer(l).preact.front(), unscaled.preact[std::size_t(l - 1)]);
        expect_same_bits(scaled.layer(l).act.front(), unscaled.act[std::size_t(l - 1)]);
        expect_same_bits(scaled.layer(l).dgrad.front(), unscaled.dgrad[std::size_t(l - 1)]);
      }
      const bool goes_far = sigma_w != 1.0 && spec.depth() == 20;
      EXPECT_TRUE(!goes_far || largest_exponent_in(scaled) > 16);  // the exponents are not idle
    }
  }
}

class PiecewiseLinearActivation : public testing::TestWithParam<std::string_view> {};

TEST_P(PiecewiseLinearActivation, HasTheBitsOfUnscaledFloat32) {
  expect_arithmetic_without_exponents<float>(GetParam());
}

TEST_P(PiecewiseLinearActivation, HasTheBitsOfUnscaledFloat64) {
  expect_arithmetic_without_exponents<double>(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Catalogue, PiecewiseLinearActivation,
                         testing::Values("linear", "relu", "leaky_relu", "hard_tanh"), row_name);

double distance(const Row& a, const plain::Vector& b) {
  double squared = 0;
  for (std::size_t j = 0; j < b.size(); ++j) squared += (a[j] - b[j]) * (a[j] - b[j]);
  return std::sqrt(squared);
}

double norm(const plain::Vector& a) { return distance({std::vector<double>(a.size(), 0.0)}, a); }

/// A gate is a piece of the line between two kinks.
std::vector<bool> gates(const Activation& phi, const plain::Vector& z) {
  std::vector<bool> sides;
  for (const double kink : phi.kinks()) {
    for (const double x : z) sides.push_back(x > kink);
  }
  return sides;
}

plain::Vector true_values(const Row& row) {
  plain::Vector x;
  for (std::size_t j = 0; j < row.values.size(); ++j) x.push_back(row[j]);
  return x;
}

class EveryActivation : public testing::TestWithParam<std::string_view> {
 protected:
  /// chi1 = sigma_w^2 E phi'^2 <= 1 by construction: small errors do not grow.
  NetworkSpec ordered_network(int depth, double sigma_b) const {
    const double sigma_w = 1 / Activation::named(GetParam()).sup_slope();
    return with_batch(network(Widths::uniform(depth, 64), GetParam(), sigma_w, sigma_b), 3);
  }

  template <class Real>
  void expect_plain_float64(const NetworkSpec& spec, double tolerance) const {
    const Recording scaled = record<Real>({spec});
    const plain::Network plain_network(spec);
    for (int s = 0; s < spec.batch; ++s) {
      const plain::Signals signals = plain_network.forward(s);
      const std::vector<plain::Vector> dz = plain_network.backward(s, signals);
      for (int l = 1; l <= spec.depth(); ++l) {
        const auto place = std::size_t(l - 1), sample = std::size_t(s);
        const LayerRecording& layer = scaled.layer(l);
        const plain::Vector &z = signals.z[place], &h = signals.h[place + 1];
        ASSERT_EQ(gates(spec.activation, true_values(layer.preact.front()[sample])),
                  gates(spec.activation, z));
        EXPECT_LE(distance(layer.preact.front()[sample], z), tolerance * norm(z)) << "layer " << l;
        EXPECT_LE(distance(layer.act.front()[sample], h), tolerance * norm(h)) << "layer " << l;
        EXPECT_LE(distance(layer.dgrad.front()[sample], dz[place]), tolerance * norm(dz[place]))
            << "layer " << l;
      }
    }
  }
};

TEST_P(EveryActivation, InScaledFloat64IsThatOfPlainFloat64) {
  for (const double sigma_b : {0.0, 0.1}) {
    for (const LossRow& loss : losses()) {
      expect_plain_float64<double>(with_loss(ordered_network(20, sigma_b), loss.name), 1e-12);
    }
  }
}

TEST_P(EveryActivation, InFloat32IsThatOfFloat64) {
  for (const double sigma_b : {0.0, 0.1}) {
    for (const LossRow& loss : losses()) {
      expect_plain_float64<float>(with_loss(ordered_network(20, sigma_b), loss.name), 1e-5);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryActivation, testing::ValuesIn(activation_names()), row_name);

}  // namespace
}  // namespace gradflow::nn
