#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "activation_reference.hpp"
#include "gradflow/core/rescale.hpp"
#include "gradflow/core/signal.hpp"
#include "gradflow/nn/activation.hpp"

/// One sample through one activation, as a test wants to write it.
namespace gradflow::nn {

using reference::Exact;

/// One sample: a padded row with its exponent.
template <class Real>
struct Sample {
  explicit Sample(const std::vector<Real>& units, std::int32_t e = 0)
      : row(1, padded_width<Real>(int(units.size()))), exponent(e), width(int(units.size())) {
    std::copy(units.begin(), units.end(), row.data());
  }
  Exact operator[](int j) const { return ldexp(Exact(row(0, j)), exponent); }

  Matrix<Real> row;
  std::int32_t exponent;
  int width;
};

/// As it would arrive in a network: rescaled.
template <class Real>
Sample<Real> arriving(const std::vector<Real>& units) {
  Sample<Real> z(units);
  EXPECT_EQ(rescale(z.row.row(0), z.exponent), FailureCode::none);
  return z;
}

template <class Real>
struct Outcome {
  Sample<Real> sample;
  FailureCode code = FailureCode::none;
  SlopeCounts counts = {};
};

template <class Real>
Outcome<Real> activated(const Activation& phi, const Sample<Real>& z) {
  Outcome<Real> h{Sample<Real>(std::vector<Real>(std::size_t(z.width), Real(7)))};
  std::ranges::fill(h.sample.row.row(0), Real(7));
  h.code = activate<Real>(phi, z.row.row(0), z.exponent, z.width, h.sample.row.row(0), h.sample.exponent);
  return h;
}

template <class Real>
Outcome<Real> multiplied(const Activation& phi, const Sample<Real>& z, const Sample<Real>& d) {
  Outcome<Real> out{
      Sample<Real>(std::vector<Real>(d.row.row(0).begin(), d.row.row(0).begin() + d.width), d.exponent)};
  out.counts = multiply_by_slope<Real>(phi, z.row.row(0), z.exponent, z.width, out.sample.row.row(0),
                                       out.sample.exponent, out.code);
  return out;
}

inline double relative_error(const Exact& got, const Exact& truth, double floor) {
  if (truth == got) return 0;
  return double(abs(got - truth) / std::max<Exact>(abs(truth), floor));
}

inline std::string name_of(const testing::TestParamInfo<std::string_view>& info) {
  return std::string(info.param);
}

}  // namespace gradflow::nn
