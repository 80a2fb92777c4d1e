#pragma once

#include <vector>

#include "gradflow/core/matrix.hpp"

namespace gradflow::bench {

/// Rates of the three products of a dense layer, in operations per second.
struct GemmRates {
  double forward = 0;          ///< [rows, N] x [N, N]'
  double backward = 0;         ///< [rows, N] x [N, N]
  double weight_gradient = 0;  ///< [rows, N]' x [rows, N]

  /// The rate of a forward and a backward product together: what points are compared with.
  double sgemm() const { return 2 / (1 / forward + 1 / backward); }
};

/// Plain cblas_sgemm on one shape. Operands rotate over more memory than the last cache holds, as the layers
/// of a deep network do, so no product finds its weights in a cache.
class GemmShape {
 public:
  GemmShape(int rows, int width);

  int rows() const noexcept { return rows_; }
  int width() const noexcept { return width_; }

  GemmRates one_core();

  /// Each core its own products, all cores of the enclosing Threads::run() at once.
  GemmRates all_cores();

 private:
  struct Operands {
    Matrix<float> weight;    ///< [N][N]
    Matrix<float> input;     ///< [rows][N]
    Matrix<float> output;    ///< [rows][N]
    Matrix<float> gradient;  ///< [N][N]
  };

  template <class Product>
  double rate(bool all_cores, Product product);
  GemmRates rates(bool all_cores);

  int rows_;
  int width_;
  std::vector<Operands> ring_;
};

}  // namespace gradflow::bench
