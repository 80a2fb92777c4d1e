#include "gradflow/nn/affine.hpp"

#include <algorithm>
#include <cmath>
#include <span>
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

namespace {

/// Of all units and samples of one point, in the order of its rows.
template <class Real>
double standard_deviation(const Signal<Real>& signal, const std::vector<std::int32_t>& of_rows,
                          const RowRange& range) {
  const auto exponents = std::span(of_rows).subspan(std::size_t(range.first_row), std::size_t(range.samples));
  const std::int32_t common = *std::ranges::max_element(exponents);
  const auto sum_over = [&](auto term) {
    double total = 0;
    for (int sample = 0; sample < range.samples; ++sample) {
      const double unit = std::ldexp(1.0, exponents[std::size_t(sample)] - common);
      double of_row = 0;
      for (const Real x : signal.values.row(range.first_row + sample).first(std::size_t(signal.width))) {
        of_row += term(unit * double(x));
      }
      total += of_row;
    }
    return total / (double(range.samples) * signal.width);
  };
  const double mean = sum_over([](double x) { return x; });
  const double variance = sum_over([&](double x) { return (x - mean) * (x - mean); });
  return std::ldexp(std::sqrt(variance), common);
}

}  // namespace

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
    if (point.init.finds_scales()) {
      expect(point.init.found != nullptr, "a place for the scales that the forward pass finds");
      member.deviation = point.init.found->place(layer, role);
    }
    member.weight_scale_exact = member.deviation ? point.init.weight_scale(fan_in_, fan_out_, role)
                                                 : nn::weight_scale(point, layer, role);
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
bool Affine<Real>::finds_scales() const {
  return std::ranges::any_of(points_, [](const Member& member) { return bool(member.deviation); });
}

template <class Real>
void Affine<Real>::find_scales(const Signal<Real>& x, const Signal<Real>& product, const Stack& stack) const {
  for (const RowRange& range : stack) {
    const std::shared_ptr<double>& deviation = points_[std::size_t(range.point)].deviation;
    if (!deviation || !std::isnan(*deviation)) continue;
    const double found = standard_deviation(product, x.exponents, range);
    *deviation = found > 0 && std::isfinite(1 / found) ? found : 1;
  }
}

template <class Real>
FailureCode Affine<Real>::finish(int point, int row, std::int32_t input_exponent, Signal<Real>& z) const {
  const Member& member = points_[std::size_t(point)];
  const std::span<Real> values = z.values.row(row);
  std::int32_t& e = z.exponents[std::size_t(row)];
  const Factor<Real> factor = scale_of(member);
  scale(values, factor.mantissa);
  e = input_exponent + factor.exponent;
  if (member.has_bias) add_bias(values, e, member.bias.row(0), member.bias_exponent);
  return rescale(values, e);
}

template <class Real>
FailureCode Affine<Real>::finish_input_gradient(int point, int row, std::int32_t dz_exponent,
                                                Signal<Real>& dh) const {
  const Member& member = points_[std::size_t(point)];
  std::int32_t& e = dh.exponents[std::size_t(row)];
  const Factor<Real> factor = scale_of(member);
  e = dz_exponent + factor.exponent;
  scale(dh.values.row(row), factor.mantissa);
  const FailureCode code = rescale(dh.values.row(row), e);
  if (code != FailureCode::none) clear_sample(dh, row);
  return code;
}

template <class Real>
DenseGradient<Real> Affine<Real>::gradient() const {
  std::vector<DensePoint> points;
  for (const Member& member : points_) {
    points.push_back(
        {member.batch, member.has_bias, unit_weight_squared_, member.weight_scale_exact, member.deviation});
  }
  return DenseGradient<Real>(fan_in_, fan_out_, std::move(points));
}

template struct Factor<float>;
template struct Factor<double>;
template class Affine<float>;
template class Affine<double>;

}  // namespace gradflow::nn
