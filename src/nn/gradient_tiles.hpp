#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "gradflow/core/scaled.hpp"
#include "gradflow/core/signal.hpp"
#include "gradflow/nn/weight_gradient.hpp"

namespace gradflow::nn {

/// The part of a point's weight gradient that one tile of samples contributes: what decides how it is added.
struct GradientTile {
  RowRange range;
  std::optional<std::int64_t> weight_exponent;  ///< of the largest dz x; none if every sample is zero
  std::optional<std::int64_t> bias_exponent;    ///< of the largest dz; none if every sample is zero
  bool even = true;                             ///< every sample that is not zero has that weight_exponent
  Scaled sample_squared;                        ///< sum over samples of |dz|^2 |x|^2
};

/// One entry per tile of tiles_of(stack), in that order.
template <class Real>
std::vector<GradientTile> gradient_tiles(const Signal<Real>& x, const Signal<Real>& dz, const Stack& stack);

/// sums[point] += dz' x, tile after tile, shared by the threads in panels of rows that depend on the shape
/// only.
/// @param sums  one per point of the bundle; null where none is wanted
template <class Real>
void add_weight_gradients(const std::vector<ScaledMatrix<Real>*>& sums,
                          const std::vector<GradientTile>& tiles, const Signal<Real>& x,
                          const Signal<Real>& dz);

/// sum += the sum over samples of dz, tile after tile of one point.
template <class Real>
void add_bias_gradient(ScaledVector& sum, int point, const std::vector<GradientTile>& tiles,
                       const Signal<Real>& dz);

}  // namespace gradflow::nn
