#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "gradflow/nn/block.hpp"
#include "gradflow/nn/weight_gradient.hpp"

namespace gradflow::nn {

/// A factor as the arithmetic uses it: `mantissa * 2^exponent`, exponent 0 unless the factor leaves 2^-60 ..
/// 2^60.
template <class Real>
struct Factor {
  static Factor of(double value);

  Real mantissa = 1;
  std::int32_t exponent = 0;
};

/// One weight matrix of a block with its bias, for every point of a bundle at once: z = h W' + b.
///
/// The points share the unit matrix Z; W = scale * Z with a scale of each point, applied after the product,
/// so a point has the same bits alone and stacked.
template <class Real>
class Affine {
 public:
  /// @pre the points may share a bundle, and their block has such a matrix
  Affine(const Bundle& bundle, int layer, WeightRole role);

  int fan_in() const noexcept { return fan_in_; }
  int fan_out() const noexcept { return fan_out_; }

  /// Z, [padded fan_out][padded fan_in]
  const Matrix<Real>& unit_weight() const noexcept { return unit_weight_; }

  /// Takes the scales that data decide from the product h Z' of a whole batch, for points that have none yet.
  /// @param product  of the rows of x, without scale or bias
  void find_scales(const Signal<Real>& x, const Signal<Real>& product, const Stack& stack) const;
  bool finds_scales() const;

  /// z = scale * (h Z') + b of one sample, in place of the product. A sample that fails is not touched
  /// further.
  FailureCode finish(int point, int row, std::int32_t input_exponent, Signal<Real>& z) const;

  /// dh = scale * (dz Z) of one sample, in place of the product; zeros if it fails.
  FailureCode finish_input_gradient(int point, int row, std::int32_t dz_exponent, Signal<Real>& dh) const;

  /// An empty sum of gradients.
  DenseGradient<Real> gradient() const;

 private:
  struct Member {
    Factor<Real> weight_scale;  ///< std of W over std of Z
    double weight_scale_exact = 0;
    std::shared_ptr<double> deviation;  ///< that the forward pass finds, see FoundScales; else null
    bool has_bias = false;
    Matrix<Real> bias;  ///< [1][padded fan_out], true value times 2^-bias_exponent; empty without a bias
    std::int32_t bias_exponent = 0;
    int batch = 0;
  };

  Factor<Real> scale_of(const Member& member) const {
    return member.deviation ? Factor<Real>::of(1 / *member.deviation * member.weight_scale_exact)
                            : member.weight_scale;
  }

  int fan_in_ = 0;
  int fan_out_ = 0;
  Matrix<Real> unit_weight_;
  Scaled unit_weight_squared_;  ///< |Z|_F^2
  std::vector<Member> points_;
};

}  // namespace gradflow::nn
