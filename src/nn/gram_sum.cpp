#include "gram_sum.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "gradflow/core/blas.hpp"

namespace gradflow::nn {
namespace {

/// Exponent of the largest gradient of a single sample; none if every sample's is zero.
std::optional<std::int64_t> largest_exponent(const Matrix<double>& xx, const Matrix<double>& zz,
                                             const std::vector<std::int64_t>& exponents) {
  std::optional<std::int64_t> most;
  for (int s = 0; s < xx.rows(); ++s) {
    const std::int64_t e = exponents[std::size_t(s)];
    if (xx(s, s) > 0 && zz(s, s) > 0) most = std::max(most.value_or(e), e);
  }
  return most;
}

}  // namespace

BatchRows::BatchRows(int batch, int width)
    : values(padded_rows(batch), padded_width<double>(width)),
      exponents(std::size_t(padded_rows(batch)), 0) {}

template <class Real>
void BatchRows::copy(const Signal<Real>& signal, RowRange range) {
  for (int i = 0; i < range.samples; ++i) {
    const std::span<const Real> from = signal.values.row(range.first_row + i);
    std::copy_n(from.begin(), signal.width, values.row(range.first_sample + i).begin());
    exponents[std::size_t(range.first_sample + i)] = signal.exponents[std::size_t(range.first_row + i)];
  }
}

GramSum gram_sum(const BatchRows& x, const BatchRows& dz) {
  const Matrix<double> xx = gram(x.values);
  const Matrix<double> zz = gram(dz.values);
  const int batch = xx.rows();
  std::vector<std::int64_t> exponents = x.exponents;
  for (int s = 0; s < batch; ++s) exponents[std::size_t(s)] += dz.exponents[std::size_t(s)];
  const std::optional<std::int64_t> most = largest_exponent(xx, zz, exponents);
  if (!most) return {};

  std::vector<double> scale(exponents.size());
  std::ranges::transform(exponents, scale.begin(), [&](std::int64_t e) {
    return std::ldexp(1.0, int(std::clamp<std::int64_t>(e - *most, -2000, 0)));
  });
  double sum = 0;
  double absolute = 0;
  for (int s = 0; s < batch; ++s) {
    double row_sum = 0;
    double row_absolute = 0;
    for (int t = 0; t < batch; ++t) {
      const double term = zz(s, t) * xx(s, t) * scale[std::size_t(t)];
      row_sum += term;
      row_absolute += std::abs(term);
    }
    sum += row_sum * scale[std::size_t(s)];
    absolute += row_absolute * scale[std::size_t(s)];
  }
  return {Scaled::of(sum, 2 * *most), Scaled::of(absolute, 2 * *most)};
}

template void BatchRows::copy(const Signal<float>&, RowRange);
template void BatchRows::copy(const Signal<double>&, RowRange);

}  // namespace gradflow::nn
