#include <utility>

#include "gradflow/nn/weight_gradient.hpp"
#include "wide_row.hpp"

namespace gradflow::nn {
namespace {

void add_to(ScaledVector& total, ScaledVector tile) {
  WideRow both = sum({std::move(total.values), total.exponent}, {std::move(tile.values), tile.exponent});
  total = {std::move(both.values), both.exponent};
}

Scaled squared(const ScaledVector& vector) {
  double sum = 0;
  for (const double v : vector.values) sum += v * v;
  return Scaled::of(sum, 2 * vector.exponent);
}

}  // namespace

NormalizationGradient::NormalizationGradient(int normalizations, std::vector<int> batches)
    : batches_(std::move(batches)), sums_(std::size_t(normalizations), std::vector<Sum>(batches_.size())) {}

void NormalizationGradient::add(int normalization, std::vector<NormalizationTile> tiles) {
  for (NormalizationTile& tile : tiles) {
    Sum& sum = sums_.at(std::size_t(normalization))[std::size_t(tile.point)];
    add_to(sum.scale, std::move(tile.scale));
    add_to(sum.shift, std::move(tile.shift));
  }
}

std::vector<NormalizationNorms> NormalizationGradient::norms() const {
  std::vector<NormalizationNorms> norms(sums_.empty() ? 0 : batches_.size());
  for (std::size_t point = 0; point < norms.size(); ++point) {
    const Scaled batch_squared = Scaled::of(double(batches_[point]) * batches_[point]);
    for (const std::vector<Sum>& of_points : sums_) {
      NormalizationNorms& total = norms[point];
      const Sum& sum = of_points[point];
      total.scale_gradient_squared = total.scale_gradient_squared + squared(sum.scale) / batch_squared;
      total.shift_gradient_squared = total.shift_gradient_squared + squared(sum.shift) / batch_squared;
    }
  }
  return norms;
}

}  // namespace gradflow::nn
