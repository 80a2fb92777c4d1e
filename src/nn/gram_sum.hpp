#pragma once

#include <cstdint>
#include <vector>

#include "gradflow/core/matrix.hpp"
#include "gradflow/core/scaled.hpp"
#include "gradflow/core/signal.hpp"

namespace gradflow::nn {

/// One signal of the whole batch of a point in float64, a row per sample, exponents apart.
class BatchRows {
 public:
  BatchRows(int batch, int width);

  template <class Real>
  void copy(const Signal<Real>& signal, RowRange range);

  Matrix<double> values;                ///< [padded batch][padded width]
  std::vector<std::int64_t> exponents;  ///< [padded batch]
};

/// Sum over sample pairs of (dz_s . dz_t)(x_s . x_t), which is |sum over samples of dz x'|_F^2, and of its
/// absolute values.
struct GramSum {
  Scaled sum;
  Scaled absolute;
};

/// @pre equally many rows
GramSum gram_sum(const BatchRows& x, const BatchRows& dz);

}  // namespace gradflow::nn
