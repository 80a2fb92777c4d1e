#include "gradient_tiles.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "gradflow/core/blas.hpp"
#include "gradflow/core/parallel.hpp"
#include "gradflow/core/sum_of_squares.hpp"

namespace gradflow::nn {
namespace {

/// The gradient is summed patch by patch, each a task: a patch stays in the cache from tile to tile, and is
/// what OpenBLAS takes its kernel for small products for. The shape alone decides.
std::vector<Patch> patches_of(int rows, int cols) {
  constexpr int side = 128;
  const int height = rows > side ? side : side / 2;  // two tasks where the whole gradient is small
  std::vector<Patch> patches;
  for (int row = 0; row < rows; row += height) {
    for (int col = 0; col < cols; col += side) {
      patches.push_back({row, std::min(height, rows - row), col, std::min(side, cols - col)});
    }
  }
  return patches;
}

/// 2^shift for shift <= 0: zero where nothing would be left.
template <class Real>
Real power_of_two(std::int64_t shift) {
  return std::ldexp(Real(1), int(std::clamp<std::int64_t>(shift, -2000, 0)));
}

/// Of a sample or a tile against the sum it enters: below it, nothing of it enters. It could change no digit
/// of the sum's norm, and subnormal factors cost a product a hundred times its time.
template <class Real>
constexpr std::int64_t least_shift = std::numeric_limits<Real>::min_exponent * 4 / 5;

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
  std::array<double, tile_rows> squares{};
  for (int i = 0; i < range.samples; ++i) {
    const int row = range.first_row + i;
    const double dz_squared = sum_of_squares<Real>(dz.values.row(row));
    squares[std::size_t(i)] = dz_squared * sum_of_squares<Real>(x.values.row(row));
    if (dz_squared > 0) raise(tile.bias_exponent, dz.exponents[std::size_t(row)]);
    if (squares[std::size_t(i)] > 0) raise(tile.weight_exponent, product_exponent(x, dz, row));
  }
  double sum = 0;
  for (int i = 0; i < range.samples; ++i) {
    if (squares[std::size_t(i)] == 0) continue;
    const std::int64_t shift = product_exponent(x, dz, range.first_row + i) - *tile.weight_exponent;
    tile.even = tile.even && shift == 0;
    sum += squares[std::size_t(i)] * power_of_two<double>(2 * shift);
  }
  tile.sample_squared = Scaled::of(sum, 2 * tile.weight_exponent.value_or(0));
  return tile;
}

/// How one tile enters the sum of its point.
template <class Real>
struct Term {
  bool enters = false;        ///< something of it is not zero, and the sum is wanted
  std::int64_t exponent = 0;  ///< of the sum from here on
  Real keep = 0;              ///< of the sum so far: 1, less if the tile is larger, 0 for the first tile
  Matrix<Real> shifted;       ///< dz at that exponent, [tile_rows][padded fan_out]; empty: dz as it stands
};

/// Decides the exponent of each sum after each of its tiles.
template <class Real>
std::vector<Term<Real>> terms_of(const std::vector<ScaledMatrix<Real>*>& sums,
                                 const std::vector<GradientTile>& tiles, const Signal<Real>& x,
                                 const Signal<Real>& dz) {
  std::vector<Term<Real>> terms(tiles.size());
  for (std::size_t t = 0; t < tiles.size(); ++t) {
    ScaledMatrix<Real>* sum = sums[std::size_t(tiles[t].range.point)];
    if (!sum || !tiles[t].weight_exponent) continue;
    const bool first = sum->values.empty();
    if (!first && *tiles[t].weight_exponent - sum->exponent < least_shift<Real>) continue;
    if (first) *sum = {Matrix<Real>::unset(dz.values.cols(), x.values.cols()), *tiles[t].weight_exponent};
    terms[t].enters = true;
    terms[t].exponent = std::max(sum->exponent, *tiles[t].weight_exponent);
    const std::int64_t shift = sum->exponent - terms[t].exponent;
    terms[t].keep = first || shift < least_shift<Real> ? 0 : power_of_two<Real>(shift);
    sum->exponent = terms[t].exponent;
  }
  return terms;
}

template <class Real>
bool stands_at(const Term<Real>& term, const GradientTile& tile) {
  return !term.enters || (tile.even && *tile.weight_exponent == term.exponent);
}

/// dz of one tile at the exponent of its term.
template <class Real>
void shift_to(Term<Real>& term, const GradientTile& tile, const Signal<Real>& x, const Signal<Real>& dz) {
  term.shifted = Matrix<Real>(tile_rows, dz.values.cols());
  for (int i = 0; i < tile.range.samples; ++i) {
    const int row = tile.range.first_row + i;
    const std::int64_t shift = product_exponent(x, dz, row) - term.exponent;
    if (shift < least_shift<Real>) continue;
    const Real scale = power_of_two<Real>(shift);
    std::ranges::transform(dz.values.row(row), term.shifted.row(i).begin(),
                           [scale](Real v) { return v * scale; });
  }
}

}  // namespace

template <class Real>
std::vector<GradientTile> gradient_tiles(const Signal<Real>& x, const Signal<Real>& dz, const Stack& stack) {
  const std::vector<RowRange> ranges = tiles_of(stack);
  std::vector<GradientTile> tiles(ranges.size());
  parallel_for(int(tiles.size()),
               [&](int i) { tiles[std::size_t(i)] = look_at(x, dz, ranges[std::size_t(i)]); });
  return tiles;
}

template <class Real>
void add_weight_gradients(const std::vector<ScaledMatrix<Real>*>& sums,
                          const std::vector<GradientTile>& tiles, const Signal<Real>& x,
                          const Signal<Real>& dz) {
  std::vector<Term<Real>> terms = terms_of(sums, tiles, x, dz);
  if (std::ranges::none_of(terms, &Term<Real>::enters)) return;
  std::vector<std::size_t> elsewhere;  // mostly empty: a round of tasks costs more than a narrow layer's sums
  for (std::size_t t = 0; t < tiles.size(); ++t) {
    if (!stands_at(terms[t], tiles[t])) elsewhere.push_back(t);
  }
  parallel_for(int(elsewhere.size()), [&](int i) {
    const std::size_t t = elsewhere[std::size_t(i)];
    shift_to(terms[t], tiles[t], x, dz);
  });

  const std::vector<Patch> patches = patches_of(dz.values.cols(), x.values.cols());
  parallel_for(int(sums.size() * patches.size()), [&](int task) {
    const int point = task / int(patches.size());
    const Patch& patch = patches[std::size_t(task) % patches.size()];
    for (std::size_t t = 0; t < tiles.size(); ++t) {
      const Term<Real>& term = terms[t];
      if (tiles[t].range.point != point || !term.enters) continue;
      const int row = tiles[t].range.first_row;
      const bool shifted = !term.shifted.empty();
      add_outer(shifted ? term.shifted : dz.values, shifted ? 0 : row, x.values, row, tile_rows, term.keep,
                sums[std::size_t(point)]->values, patch);
    }
  });
}

template <class Real>
void add_bias_gradient(ScaledVector& sum, int point, const std::vector<GradientTile>& tiles,
                       const Signal<Real>& dz) {
  for (const GradientTile& tile : tiles) {
    if (tile.range.point != point || !tile.bias_exponent) continue;
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

#define GRADFLOW_INSTANTIATE(Real)                                                                           \
  template std::vector<GradientTile> gradient_tiles(const Signal<Real>&, const Signal<Real>&, const Stack&); \
  template void add_weight_gradients(const std::vector<ScaledMatrix<Real>*>&,                                \
                                     const std::vector<GradientTile>&, const Signal<Real>&,                  \
                                     const Signal<Real>&);                                                   \
  template void add_bias_gradient(ScaledVector&, int, const std::vector<GradientTile>&, const Signal<Real>&);
GRADFLOW_INSTANTIATE(float)
GRADFLOW_INSTANTIATE(double)
#undef GRADFLOW_INSTANTIATE

}  // namespace gradflow::nn
