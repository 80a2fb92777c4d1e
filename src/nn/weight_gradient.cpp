#include "gradflow/nn/weight_gradient.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "gradflow/core/blas.hpp"

namespace gradflow::nn {
namespace {

constexpr double cancellation = 1e-10;  ///< of the absolute Gram sum; below it the gradient itself is formed

/// 2^shift for shift <= 0: zero where nothing would be left.
template <class Real>
Real power_of_two(std::int64_t shift) {
  return std::ldexp(Real(1), int(std::max<std::int64_t>(shift, -2000)));
}

template <class Real>
double squared(std::span<const Real> row) {
  double sum = 0;
  for (const Real v : row) sum += double(v) * double(v);
  return sum;
}

/// Sample rows of one tile that carry a gradient, with their common exponent.
template <class Real>
class Tile {
 public:
  Tile(const Signal<Real>& x, const Signal<Real>& dz, RowRange range) : x_(x), dz_(dz), range_(range) {
    for (int row = range.first_row; row < range.first_row + range.samples; ++row) {
      const double dz_squared = squared<Real>(dz.values.row(row));
      const double x_squared = squared<Real>(x.values.row(row));
      if (dz_squared > 0) raise(bias_exponent_, dz.exponents[std::size_t(row)]);
      if (dz_squared > 0 && x_squared > 0) raise(weight_exponent_, product_exponent(row));
      sample_squared_ = sample_squared_ + Scaled::of(dz_squared * x_squared, 2 * product_exponent(row));
    }
  }

  Scaled sample_squared() const { return sample_squared_; }

  /// Adds the sum over samples of dz. Zero samples count for nothing, whatever their exponent.
  void add_bias(ScaledVector& sum) const {
    if (!bias_exponent_) return;
    ScaledVector tile{std::vector<double>(sum.values.size(), 0.0), *bias_exponent_};
    for (int row = range_.first_row; row < range_.first_row + range_.samples; ++row) {
      const double scale = power_of_two<double>(dz_.exponents[std::size_t(row)] - *bias_exponent_);
      const std::span<const Real> dz = dz_.values.row(row);
      for (std::size_t j = 0; j < tile.values.size(); ++j) tile.values[j] += double(dz[j]) * scale;
    }
    fold(sum, tile);
  }

  /// Adds dz' x of the tile, one product whatever the batch.
  void add_weight(ScaledMatrix<Real>& sum) const {
    if (!weight_exponent_) return;
    Matrix<Real> scaled(tile_rows, dz_.values.cols());
    Matrix<Real> x(tile_rows, x_.values.cols());
    for (int i = 0; i < range_.samples; ++i) copy_row(i, scaled, x);
    ScaledMatrix<Real> tile{Matrix<Real>(dz_.values.cols(), x_.values.cols()), *weight_exponent_};
    outer(scaled, x, 0, tile_rows, tile.values);
    fold(sum, std::move(tile));
  }

 private:
  static void raise(std::optional<std::int64_t>& most, std::int64_t exponent) {
    most = std::max(most.value_or(exponent), exponent);
  }

  std::int64_t product_exponent(int row) const {
    return std::int64_t(dz_.exponents[std::size_t(row)]) + x_.exponents[std::size_t(row)];
  }

  void copy_row(int i, Matrix<Real>& scaled, Matrix<Real>& x) const {
    const int row = range_.first_row + i;
    const Real scale = power_of_two<Real>(std::min<std::int64_t>(0, product_exponent(row) - *weight_exponent_));
    std::ranges::transform(dz_.values.row(row), scaled.row(i).begin(), [&](Real v) { return v * scale; });
    std::ranges::copy(x_.values.row(row), x.row(i).begin());
  }

  static void fold(ScaledVector& sum, const ScaledVector& next) {
    const bool first = std::ranges::all_of(sum.values, [](double v) { return v == 0; });
    const std::int64_t exponent = first ? next.exponent : std::max(sum.exponent, next.exponent);
    const double a = first ? 0 : power_of_two<double>(sum.exponent - exponent);
    const double b = power_of_two<double>(next.exponent - exponent);
    for (std::size_t j = 0; j < sum.values.size(); ++j) sum.values[j] = sum.values[j] * a + next.values[j] * b;
    sum.exponent = exponent;
  }

  static void fold(ScaledMatrix<Real>& sum, ScaledMatrix<Real> next) {
    if (sum.values.empty()) {
      sum = std::move(next);
      return;
    }
    const std::int64_t exponent = std::max(sum.exponent, next.exponent);
    const Real a = power_of_two<Real>(sum.exponent - exponent);
    const Real b = power_of_two<Real>(next.exponent - exponent);
    Real* s = sum.values.data();
    const Real* n = next.values.data();
    for (std::size_t i = 0; i < sum.values.size(); ++i) s[i] = s[i] * a + n[i] * b;
    sum.exponent = exponent;
  }

  const Signal<Real>& x_;
  const Signal<Real>& dz_;
  RowRange range_;
  std::optional<std::int64_t> bias_exponent_;    ///< of the largest dz; none if every sample is zero
  std::optional<std::int64_t> weight_exponent_;  ///< of the largest dz x
  Scaled sample_squared_;
};

/// Visits the tiles of one point in the order of its batch.
template <class Visit>
void for_each_tile(const Stack& stack, int point, Visit visit) {
  for (const RowRange& range : stack) {
    if (range.point != point) continue;
    for (int first = 0; first < range.samples; first += tile_rows) {
      visit(RowRange{point, range.first_row + first, std::min(tile_rows, range.samples - first),
                     range.first_sample + first});
    }
  }
}

/// One signal of the whole batch in float64, a row per sample, its exponents apart.
struct BatchRows {
  Matrix<double> values;
  std::vector<std::int64_t> exponents;
};

template <class Real>
void copy_samples(const Signal<Real>& signal, RowRange range, BatchRows& rows) {
  for (int i = 0; i < range.samples; ++i) {
    const std::span<const Real> from = signal.values.row(range.first_row + i);
    std::ranges::copy(from, rows.values.row(range.first_sample + i).begin());
    rows.exponents[std::size_t(range.first_sample + i)] += signal.exponents[std::size_t(range.first_row + i)];
  }
}

/// Sum over sample pairs of (dz_s . dz_t)(x_s . x_t) and of its absolute values.
struct GramSum {
  Scaled sum;
  Scaled absolute;
};

GramSum gram_sum(const BatchRows& x, const BatchRows& dz) {
  const Matrix<double> xx = gram(x.values);
  const Matrix<double> zz = gram(dz.values);
  const int batch = xx.rows();

  std::optional<std::int64_t> most;
  for (int s = 0; s < batch; ++s) {
    const std::int64_t e = x.exponents[std::size_t(s)] + dz.exponents[std::size_t(s)];
    if (xx(s, s) > 0 && zz(s, s) > 0) most = std::max(most.value_or(e), e);
  }
  if (!most) return {};

  std::vector<double> scale(static_cast<std::size_t>(batch));
  for (int s = 0; s < batch; ++s) {
    const std::int64_t shift = x.exponents[std::size_t(s)] + dz.exponents[std::size_t(s)] - *most;
    scale[std::size_t(s)] = power_of_two<double>(std::min<std::int64_t>(shift, 0));
  }
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

template <class Real>
Scaled frobenius_squared(const ScaledMatrix<Real>& matrix) {
  double sum = 0;
  for (int i = 0; i < matrix.values.rows(); ++i) sum += squared<Real>(std::as_const(matrix.values).row(i));
  return Scaled::of(sum, 2 * matrix.exponent);
}

}  // namespace

template <class Real>
DenseGradient<Real>::DenseGradient(int fan_in, int fan_out, std::vector<DensePoint> points)
    : fan_in_(fan_in), fan_out_(fan_out) {
  for (const DensePoint& point : points) {
    Sum sum;
    sum.point = point;
    sum.gram = uses_gram_matrices(fan_in, fan_out, point.batch);
    sum.bias.values.assign(std::size_t(fan_out), 0.0);
    sums_.push_back(std::move(sum));
  }
}

template <class Real>
void DenseGradient<Real>::add(Signal<Real> x, Signal<Real> dz, const Stack& stack) {
  bool keep = false;
  for (int point = 0; point < int(sums_.size()); ++point) {
    Sum& sum = sums_[std::size_t(point)];
    for_each_tile(stack, point, [&](RowRange range) {
      const Tile<Real> tile(x, dz, range);
      sum.sample_squared = sum.sample_squared + tile.sample_squared();
      if (sum.point.has_bias) tile.add_bias(sum.bias);
      if (!sum.gram) tile.add_weight(sum.weight);
    });
    keep = keep || sum.gram;
  }
  if (keep) pieces_.push_back({std::move(x), std::move(dz), stack});
}

template <class Real>
ScaledMatrix<Real> DenseGradient<Real>::formed(int point) const {
  ScaledMatrix<Real> sum;
  for (const Piece& piece : pieces_) {
    for_each_tile(piece.stack, point,
                  [&](RowRange range) { Tile<Real>(piece.x, piece.dz, range).add_weight(sum); });
  }
  return sum;
}

template <class Real>
Scaled DenseGradient<Real>::gradient_squared(int point) const {
  const Sum& sum = sums_[std::size_t(point)];
  if (!sum.gram) return frobenius_squared(sum.weight);

  const auto rows_of = [&](int width) {
    return BatchRows{Matrix<double>(padded_rows(sum.point.batch), padded_width<double>(width)),
                     std::vector<std::int64_t>(std::size_t(padded_rows(sum.point.batch)), 0)};
  };
  BatchRows x = rows_of(fan_in_);
  BatchRows dz = rows_of(fan_out_);
  for (const Piece& piece : pieces_) {
    for (const RowRange& range : piece.stack) {
      if (range.point != point) continue;
      copy_samples(piece.x, range, x);
      copy_samples(piece.dz, range, dz);
    }
  }
  const GramSum found = gram_sum(x, dz);
  const bool cancelled = !found.absolute.is_zero() && found.sum < Scaled::of(cancellation) * found.absolute;
  return cancelled ? frobenius_squared(formed(point)) : found.sum;
}

template <class Real>
std::vector<WeightGradientNorms> DenseGradient<Real>::norms() const {
  std::vector<WeightGradientNorms> norms;
  for (int point = 0; point < int(sums_.size()); ++point) {
    const Sum& sum = sums_[std::size_t(point)];
    const double batch = sum.point.batch;
    double bias = 0;
    for (const double v : sum.bias.values) bias += v * v;
    norms.push_back({.weight_gradient_squared = gradient_squared(point) / Scaled::of(batch * batch),
                     .bias_gradient_squared = Scaled::of(bias / (batch * batch), 2 * sum.bias.exponent),
                     .weight_squared = sum.point.weight_squared,
                     .sample_squared_sum = sum.sample_squared,
                     .has_bias = sum.point.has_bias});
  }
  return norms;
}

template class DenseGradient<float>;
template class DenseGradient<double>;

}  // namespace gradflow::nn
