#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gradflow/core/failure.hpp"
#include "gradflow/core/signal.hpp"

namespace gradflow::nn {

/// One sample in float64 with one exponent: where values of different sizes meet, and are rounded once.
struct WideRow {
  std::vector<double> values;  ///< [width]
  std::int64_t exponent = 0;

  double& operator[](std::size_t j) { return values[j]; }
  double operator[](std::size_t j) const { return values[j]; }
  std::size_t size() const { return values.size(); }
};

/// The sample in `row` as it is.
template <class Real>
WideRow wide(const Signal<Real>& signal, int row);

/// a + b: the larger exponent wins, a zero row has no say.
WideRow sum(WideRow a, WideRow b);

/// a[j] * b[j]
WideRow product(WideRow a, const WideRow& b);

/// factor * a, for any finite factor
WideRow scaled(WideRow a, double factor);

/// Features first .. first + width - 1
WideRow part_of(const WideRow& a, int first, int width);

/// The features of all, one behind the other: the larger exponent wins, a zero row has no say.
WideRow joined(std::vector<WideRow> parts);

/// Rounds a sample to Real, its largest magnitude in 2^-16 .. 2^16 or, outside, brought to [1, 2); the
/// columns beyond the width become 0. @return as rescale; a sample that fails becomes zeros
template <class Real>
FailureCode store(const WideRow& sample, Signal<Real>& signal, int row);

}  // namespace gradflow::nn
