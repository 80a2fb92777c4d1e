#include "gradflow/nn/affine.hpp"

#include <cmath>
#include <utility>

#include "gradflow/nn/layer_weights.hpp"
#include "rows.hpp"

namespace gradflow::nn {

template <class Real>
Factor<Real> Factor<Real>::of(double value) {
  int exponent = 0;
  const double mantissa = std::frexp(value, &exponent);
  if (-60 <= exponent && exponent <= 60) return {Real(value), 0};
  return {Real(2 * mantissa), exponent - 1};
}

template <class Real>
Affine<Real>::Affine(const Bundle& bundle, int layer, WeightRole role) {
  const NetworkSpec& shared = bundle.front();
  const MatrixShape shape = shape_of(shared, layer, role);
  fan_in_ = shape.fan_in;
  fan_out_ = shape.fan_out;
  unit_weight_ = unit_weights<Real>(shared, layer, role);
  unit_weight_squared_ = frobenius_squared(unit_weight_);

  for (const NetworkSpec& point : bundle) {
    expect(may_share_bundle(shared, point), "the points of a bundle share their unit weights");
    Member member;
    member.batch = point.batch;
    member.weight_scale_exact = nn::weight_scale(point, layer, role);
    member.weight_scale = Factor<Real>::of(member.weight_scale_exact);
    const double bias_scale = nn::bias_scale(point, layer, role);
    member.has_bias = bias_scale > 0;
    if (member.has_bias) {
      const Factor<Real> std_of_bias = Factor<Real>::of(bias_scale);
      member.bias = unit_bias<Real>(point, layer, role);
      member.bias_exponent = std_of_bias.exponent;
      scale(member.bias.row(0), std_of_bias.mantissa);
    }
    points_.push_back(std::move(member));
  }
}

template <class Real>
FailureCode Affine<Real>::finish(int point, int row, std::int32_t input_exponent, Signal<Real>& z) const {
  const Member& member = points_[std::size_t(point)];
  const std::span<Real> values = z.values.row(row);
  std::int32_t& e = z.exponents[std::size_t(row)];
  scale(values, member.weight_scale.mantissa);
  e = input_exponent + member.weight_scale.exponent;
  if (member.has_bias) add_bias(values, e, member.bias.row(0), member.bias_exponent);
  return rescale(values, e);
}

template <class Real>
FailureCode Affine<Real>::finish_input_gradient(int point, int row, std::int32_t dz_exponent,
                                                Signal<Real>& dh) const {
  const Member& member = points_[std::size_t(point)];
  std::int32_t& e = dh.exponents[std::size_t(row)];
  e = dz_exponent + member.weight_scale.exponent;
  scale(dh.values.row(row), member.weight_scale.mantissa);
  const FailureCode code = rescale(dh.values.row(row), e);
  if (code != FailureCode::none) clear_sample(dh, row);
  return code;
}

template <class Real>
DenseGradient<Real> Affine<Real>::gradient() const {
  std::vector<DensePoint> points;
  for (const Member& member : points_) {
    const Scaled scale = Scaled::of(member.weight_scale_exact);
    points.push_back({member.batch, member.has_bias, unit_weight_squared_ * scale * scale});
  }
  return DenseGradient<Real>(fan_in_, fan_out_, std::move(points));
}

template struct Factor<float>;
template struct Factor<double>;
template class Affine<float>;
template class Affine<double>;

}  // namespace gradflow::nn
