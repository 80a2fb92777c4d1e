#include "gradflow/nn/weight_gradient.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "gradflow/core/parallel.hpp"
#include "gradflow/core/sum_of_squares.hpp"
#include "gradient_tiles.hpp"
#include "gram_sum.hpp"

namespace gradflow::nn {
namespace {

constexpr double cancellation = 1e-10;  ///< of the absolute Gram sum; below it the gradient itself is formed

template <class Real>
Scaled squared(const ScaledMatrix<Real>& matrix) {
  return Scaled::of(sum_of_squares<Real>(matrix.values.all()), 2 * matrix.exponent);
}

Scaled squared(const ScaledVector& vector) {
  double sum = 0;
  for (const double v : vector.values) sum += v * v;
  return Scaled::of(sum, 2 * vector.exponent);
}

}  // namespace

Scaled DensePoint::weight_squared() const {
  const Scaled scale = Scaled::of(deviation ? 1 / *deviation * weight_scale : weight_scale);
  return unit_weight_squared * scale * scale;
}

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
  const std::vector<GradientTile> tiles = gradient_tiles(x, dz, stack);
  std::vector<ScaledMatrix<Real>*> formed;
  for (Sum& sum : sums_) formed.push_back(sum.gram ? nullptr : &sum.weight);
  add_weight_gradients(formed, tiles, x, dz);
  if (std::ranges::any_of(sums_, [](const Sum& sum) { return sum.point.has_bias; })) {
    parallel_for(int(sums_.size()), [&](int point) {
      Sum& sum = sums_[std::size_t(point)];
      if (sum.point.has_bias) add_bias_gradient(sum.bias, point, tiles, dz);
    });
  }
  for (const GradientTile& tile : tiles) {
    Scaled& total = sums_[std::size_t(tile.range.point)].sample_squared;
    total = total + tile.sample_squared;
  }
  if (std::ranges::any_of(sums_, &Sum::gram)) pieces_.push_back({std::move(x), std::move(dz), stack});
}

/// |sum over samples of dz x'|_F^2
template <class Real>
typename DenseGradient<Real>::Squared DenseGradient<Real>::gradient_squared(int point) const {
  constexpr double error_of_sum = std::numeric_limits<Real>::epsilon();
  const Sum& sum = sums_[std::size_t(point)];
  if (!sum.gram) return {squared(sum.weight), error_of_sum};

  BatchRows x(sum.point.batch, fan_in_);
  BatchRows dz(sum.point.batch, fan_out_);
  for (const Piece& piece : pieces_) {
    for (const RowRange& range : piece.stack) {
      if (range.point != point) continue;
      x.copy(piece.x, range);
      dz.copy(piece.dz, range);
    }
  }
  const GramSum found = gram_sum(x, dz);
  const bool cancelled = !found.absolute.is_zero() && found.sum < Scaled::of(cancellation) * found.absolute;
  if (!cancelled)
    return {found.sum, std::numeric_limits<double>::epsilon() * (found.absolute / found.sum).value()};

  ScaledMatrix<Real> formed;
  std::vector<ScaledMatrix<Real>*> of_this_point(sums_.size(), nullptr);
  of_this_point[std::size_t(point)] = &formed;
  for (const Piece& piece : pieces_) {
    add_weight_gradients(of_this_point, gradient_tiles(piece.x, piece.dz, piece.stack), piece.x, piece.dz);
  }
  return {squared(formed), error_of_sum};
}

template <class Real>
std::vector<WeightGradientNorms> DenseGradient<Real>::norms() const {
  std::vector<WeightGradientNorms> norms;
  for (int point = 0; point < int(sums_.size()); ++point) {
    const Sum& sum = sums_[std::size_t(point)];
    const Scaled batch_squared = Scaled::of(double(sum.point.batch) * sum.point.batch);
    const Squared gradient = gradient_squared(point);
    norms.push_back({.weight_gradient_squared = gradient.value / batch_squared,
                     .bias_gradient_squared = squared(sum.bias) / batch_squared,
                     .weight_squared = sum.point.weight_squared(),
                     .sample_squared_sum = sum.sample_squared,
                     .relative_error = gradient.relative_error,
                     .has_bias = sum.point.has_bias});
  }
  return norms;
}

template <class Real>
void MatrixGradients<Real>::add(WeightRole matrix, Signal<Real> input, Signal<Real> product_gradient,
                                const Stack& stack) {
  const auto found = std::ranges::find(gradients_, matrix, &Entry::first);
  expect(found != gradients_.end(), "a gradient of a matrix of the block");
  found->second.add(std::move(input), std::move(product_gradient), stack);
}

template <class Real>
std::vector<WeightGradientNorms> MatrixGradients<Real>::norms(WeightRole matrix) const {
  const auto found = std::ranges::find(gradients_, matrix, &Entry::first);
  return found == gradients_.end() ? std::vector<WeightGradientNorms>() : found->second.norms();
}

template class DenseGradient<float>;
template class DenseGradient<double>;
template class MatrixGradients<float>;
template class MatrixGradients<double>;

}  // namespace gradflow::nn
