#pragma once

#include <cstdint>
#include <memory>

#include "gradflow/nn/block.hpp"

namespace gradflow::nn {

/// A factor as the arithmetic uses it: `mantissa * 2^exponent`, exponent 0 unless the factor leaves 2^-60 ..
/// 2^60.
template <class Real>
struct Factor {
  static Factor of(double value);

  Real mantissa = 1;
  std::int32_t exponent = 0;
};

/// A fully connected layer: z = h W' + b, y = phi(z), for every point of a bundle at once.
///
/// The points share the unit matrix Z; W = scale * Z with a scale of each point, applied after the product,
/// so a point has the same bits alone and stacked. Preactivation z is Role::preact, y is Role::act, dE/dz is
/// Role::dgrad.
template <class Real>
class Dense final : public Block<Real> {
 public:
  static BlockParts parts(const NetworkSpec&) { return dense_parts(); }

  Dense(const Bundle& bundle, int layer);

  State<Real> forward(State<Real> x, const Stack& stack, Tape<Real>& tape, Observer<Real>& observer,
                      Failures& failures) const override;
  State<Real> backward(State<Real> dy, Entry entry, const Stack& stack, Tape<Real>& tape,
                       Observer<Real>& observer, WeightGradient<Real>& gradient,
                       Failures& failures) const override;
  std::unique_ptr<WeightGradient<Real>> weight_gradient() const override;

 private:
  struct Member {
    Activation activation;
    Factor<Real> weight_scale;  ///< std of W over std of Z
    double weight_scale_exact = 0;
    bool has_bias = false;
    Matrix<Real> bias;  ///< [1][padded fan_out], true value times 2^-bias_exponent; empty without a bias
    std::int32_t bias_exponent = 0;
    int batch = 0;
  };

  FailureCode preactivation(std::span<Real> z, std::int32_t& exponent, const Member& point) const;
  FailureCode finish_sample(const Member& point, int row, std::int32_t input_exponent, Signal<Real>& z,
                            Signal<Real>& h) const;
  SlopeCounts preactivation_gradient(const Member& point, int row, Entry entry, const Signal<Real>& z,
                                     Signal<Real>& dz, FailureCode& code) const;
  FailureCode input_gradient(const Member& point, int row, std::int32_t dz_exponent, Signal<Real>& dx) const;

  int layer_ = 0;
  int fan_in_ = 0;
  int fan_out_ = 0;
  Matrix<Real> unit_weight_;    ///< Z, [padded fan_out][padded fan_in]
  Scaled unit_weight_squared_;  ///< |Z|_F^2
  std::vector<Member> points_;
};

}  // namespace gradflow::nn
