#pragma once

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "gradflow/nn/block.hpp"

namespace gradflow::nn {

/// Whether |dE/dW|_F comes from two batch x batch Gram matrices in float64 instead of the gradient itself. A
/// rule on the shape alone, so it never depends on ranks, threads or microbatches.
constexpr bool uses_gram_matrices(int fan_in, int fan_out, int batch) {
  return double(batch) * (double(fan_in) + fan_out) < double(fan_in) * fan_out;
}

/// The same for a reader of a result file: from fan_in, fan_out and batch of a layer follows how it was
/// measured.
inline constexpr std::string_view weight_gradient_rule =
    "from Gram matrices of the batch in float64 where batch (fan_in + fan_out) < fan_in fan_out, unless "
    "their sum cancels below 1e-10 of its absolute sum; else from dE/dW itself";

/// What a dense layer knows of one point when it asks for gradient norms.
struct DensePoint {
  int batch = 0;
  bool has_bias = false;
  Scaled unit_weight_squared;  ///< |Z|_F^2
  double weight_scale = 1;     ///< W = weight_scale * Z
  /// What that is divided by, once the forward pass has found it; or null.
  std::shared_ptr<const double> deviation = nullptr;

  Scaled weight_squared() const;  ///< |W|_F^2
};

/// A matrix with one exponent, empty until something was added.
template <class Real>
struct ScaledMatrix {
  Matrix<Real> values;
  std::int64_t exponent = 0;
};

/// dE/dW = dz' x / B and dE/db of one weight matrix, for every point of a bundle.
///
/// Tiles of 32 samples enter at a common exponent and are added in the order of the batch, one product each,
/// so the sum knows nothing of microbatches or threads; see uses_gram_matrices for the other way. Where the
/// Gram sum cancels below 1e-10 of its absolute sum, the gradient is formed after all.
template <class Real>
class DenseGradient {
 public:
  DenseGradient(int fan_in, int fan_out, std::vector<DensePoint> points);

  void add(Signal<Real> x, Signal<Real> dz, const Stack& stack);

  /// One entry per point of the bundle. @pre every microbatch was added
  std::vector<WeightGradientNorms> norms() const;

 private:
  struct Piece {  ///< one microbatch, kept for the Gram matrices
    Signal<Real> x;
    Signal<Real> dz;
    Stack stack;
  };
  struct Sum {
    DensePoint point;
    bool gram = false;
    ScaledMatrix<Real> weight;  ///< sum over samples of dz x', [padded fan_out][padded fan_in]
    ScaledVector bias;          ///< sum over samples of dz, [fan_out]
    Scaled sample_squared;      ///< sum over samples of |dz|^2 |x|^2
  };

  struct Squared {
    Scaled value;
    double relative_error = 0;
  };

  Squared gradient_squared(int point) const;

  int fan_in_;
  int fan_out_;
  std::vector<Sum> sums_;
  std::vector<Piece> pieces_;  ///< only if a point uses Gram matrices
};

/// The gradients of the scales and shifts of a block's normalisations, for every point of a bundle. Tiles are
/// added in the order of the batch, as in DenseGradient.
class NormalizationGradient {
 public:
  /// Of a block that does not normalise.
  NormalizationGradient() = default;
  /// @param batches  of the points
  NormalizationGradient(int normalizations, std::vector<int> batches);

  void add(int normalization, std::vector<NormalizationTile> tiles);
  std::vector<NormalizationNorms> norms() const;

 private:
  struct Sum {
    ScaledVector scale, shift;
  };

  std::vector<int> batches_;
  std::vector<std::vector<Sum>> sums_;  ///< [normalisation][point]
};

/// The gradients of all matrices and normalisations of a block.
template <class Real>
class MatrixGradients final : public WeightGradient<Real> {
 public:
  using Entry = std::pair<WeightRole, DenseGradient<Real>>;
  explicit MatrixGradients(std::vector<Entry> gradients, NormalizationGradient normalizations = {})
      : gradients_(std::move(gradients)), normalizations_(std::move(normalizations)) {}

  void add(WeightRole matrix, Signal<Real> input, Signal<Real> product_gradient, const Stack& stack) override;
  std::vector<WeightGradientNorms> norms(WeightRole matrix) const override;
  void add_normalization(int normalization, std::vector<NormalizationTile> tiles) override {
    normalizations_.add(normalization, std::move(tiles));
  }
  std::vector<NormalizationNorms> normalization_norms() const override { return normalizations_.norms(); }

 private:
  std::vector<Entry> gradients_;
  NormalizationGradient normalizations_;
};

}  // namespace gradflow::nn
