#include "gradient_tiles.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "gradflow/core/blas.hpp"
#include "gradflow/core/parallel.hpp"
#include "gradflow/core/sum_of_squares.hpp"

namespace gradflow::nn {
namespace {

constexpr int panel_rows = 64;  ///< of the gradient, per task

/// 2^shift for shift <= 0: zero where nothing would be left.
template <class Real>
Real power_of_two(std::int64_t shift) {
  return std::ldexp(Real(1), int(std::clamp<std::int64_t>(shift, -2000, 0)));
}

template <class Real>
std::int64_t product_exponent(const Signal<Real>& x, const Signal<Real>& dz, int row) {
  return std::int64_t(x.exponents[std::size_t(row)]) + dz.exponents[std::size_t(row)];
}

void raise(std::optional<std::int64_t>& most, std::int64_t exponent) {
  most = std::max(most.value_or(exponent), exponent);
}

/// Zero samples count for nothing, whatever their exponent.
template <class Real>
GradientTile look_at(const Signal<Real>& x, const Signal<Real>& dz, RowRange range) {
  GradientTile tile;
  tile.range = range;
  for (int row = range.first_row; row < range.first_row + range.samples; ++row) {
    const double dz_squared = sum_of_squares<Real>(dz.values.row(row));
    const double x_squared = sum_of_squares<Real>(x.values.row(row));
    if (dz_squared > 0) raise(tile.bias_exponent, dz.exponents[std::size_t(row)]);
    if (dz_squared > 0 && x_squared > 0) raise(tile.weight_exponent, product_exponent(x, dz, row));
    tile.sample_squared =
        tile.sample_squared + Scaled::of(dz_squared * x_squared, 2 * product_exponent(x, dz, row));
  }
  return tile;
}

/// One tile's dz at the exponent of the sum, ready to be multiplied.
template <class Real>
struct Term {
  int first_row = 0;     ///< of x
  Real rescale_sum = 1;  ///< what the sum is multiplied by first, because the tile is larger
  Matrix<Real> dz;       ///< [tile_rows][padded fan_out]
};

template <class Real>
Matrix<Real> at_exponent(const Signal<Real>& x, const Signal<Real>& dz, RowRange range,
                         std::int64_t exponent) {
  Matrix<Real> shifted(tile_rows, dz.values.cols());
  for (int i = 0; i < range.samples; ++i) {
    const int row = range.first_row + i;
    const Real scale = power_of_two<Real>(product_exponent(x, dz, row) - exponent);
    std::ranges::transform(dz.values.row(row), shifted.row(i).begin(), [scale](Real v) { return v * scale; });
  }
  return shifted;
}

/// Decides the exponent of the sum after each tile; the sum's own exponent moves along.
template <class Real>
std::vector<Term<Real>> terms_of(ScaledMatrix<Real>& sum, const std::vector<GradientTile>& tiles,
                                 const Signal<Real>& x, const Signal<Real>& dz) {
  std::vector<Term<Real>> terms;
  for (const GradientTile& tile : tiles) {
    if (!tile.weight_exponent) continue;
    if (sum.values.empty()) {
      sum = {Matrix<Real>(dz.values.cols(), x.values.cols()), *tile.weight_exponent};
    }
    const std::int64_t exponent = std::max(sum.exponent, *tile.weight_exponent);
    terms.push_back({tile.range.first_row, power_of_two<Real>(sum.exponent - exponent),
                     at_exponent(x, dz, tile.range, exponent)});
    sum.exponent = exponent;
  }
  return terms;
}

template <class Real>
void rescale_rows(Matrix<Real>& sum, int first_row, int rows, Real factor) {
  if (factor == 1) return;
  for (int row = first_row; row < first_row + rows; ++row) {
    for (Real& v : sum.row(row)) v *= factor;
  }
}

}  // namespace

template <class Real>
std::vector<GradientTile> gradient_tiles(const Signal<Real>& x, const Signal<Real>& dz, const Stack& stack,
                                         int point) {
  std::vector<RowRange> ranges;
  for (const RowRange& range : stack) {
    if (range.point != point) continue;
    for (int first = 0; first < range.samples; first += tile_rows) {
      ranges.push_back({point, range.first_row + first, std::min(tile_rows, range.samples - first),
                        range.first_sample + first});
    }
  }
  std::vector<GradientTile> tiles(ranges.size());
  parallel_for(int(tiles.size()),
               [&](int i) { tiles[std::size_t(i)] = look_at(x, dz, ranges[std::size_t(i)]); });
  return tiles;
}

template <class Real>
void add_weight_gradient(ScaledMatrix<Real>& sum, const std::vector<GradientTile>& tiles,
                         const Signal<Real>& x, const Signal<Real>& dz) {
  const std::vector<Term<Real>> terms = terms_of(sum, tiles, x, dz);
  if (terms.empty()) return;
  parallel_for((sum.values.rows() + panel_rows - 1) / panel_rows, [&](int panel) {
    const int first_row = panel * panel_rows;
    const int rows = std::min(panel_rows, sum.values.rows() - first_row);
    for (const Term<Real>& term : terms) {
      rescale_rows(sum.values, first_row, rows, term.rescale_sum);
      add_outer(term.dz, 0, x.values, term.first_row, tile_rows, sum.values, first_row, rows);
    }
  });
}

template <class Real>
void add_bias_gradient(ScaledVector& sum, const std::vector<GradientTile>& tiles, const Signal<Real>& dz) {
  for (const GradientTile& tile : tiles) {
    if (!tile.bias_exponent) continue;
    const bool first = std::ranges::all_of(sum.values, [](double v) { return v == 0; });
    const std::int64_t exponent = first ? *tile.bias_exponent : std::max(sum.exponent, *tile.bias_exponent);
    const double rescale_sum = first ? 1 : power_of_two<double>(sum.exponent - exponent);
    for (double& v : sum.values) v *= rescale_sum;
    for (int row = tile.range.first_row; row < tile.range.first_row + tile.range.samples; ++row) {
      const double scale = power_of_two<double>(dz.exponents[std::size_t(row)] - exponent);
      const std::span<const Real> values = dz.values.row(row);
      for (std::size_t j = 0; j < sum.values.size(); ++j) sum.values[j] += double(values[j]) * scale;
    }
    sum.exponent = exponent;
  }
}

template std::vector<GradientTile> gradient_tiles(const Signal<float>&, const Signal<float>&, const Stack&,
                                                  int);
template std::vector<GradientTile> gradient_tiles(const Signal<double>&, const Signal<double>&, const Stack&,
                                                  int);
template void add_weight_gradient(ScaledMatrix<float>&, const std::vector<GradientTile>&,
                                  const Signal<float>&, const Signal<float>&);
template void add_weight_gradient(ScaledMatrix<double>&, const std::vector<GradientTile>&,
                                  const Signal<double>&, const Signal<double>&);
template void add_bias_gradient(ScaledVector&, const std::vector<GradientTile>&, const Signal<float>&);
template void add_bias_gradient(ScaledVector&, const std::vector<GradientTile>&, const Signal<double>&);

}  // namespace gradflow::nn
