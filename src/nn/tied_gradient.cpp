#include "gradflow/nn/tied_gradient.hpp"

#include <algorithm>
#include <limits>

#include "gradflow/core/sum_of_squares.hpp"
#include "gradient_tiles.hpp"

namespace gradflow::nn {
namespace {

/// The exponent of a sum to which nothing was added.
constexpr std::int32_t nothing_yet = std::numeric_limits<std::int32_t>::min();

}  // namespace

template <class Real>
TiedGradient<Real>::TiedGradient(const Bundle& bundle)
    : fan_in_(bundle.front().widths.fan_in(1)),
      fan_out_(gates_of(bundle.front()) * bundle.front().widths.fan_out(1)),
      sums_(bundle.size()) {
  expect(block_of(bundle.front()).steps_in_time, "blocks that share their weights");
  for (const NetworkSpec& point : bundle) batches_.push_back(point.batch);
}

template <class Real>
void TiedGradient<Real>::add(const Signal<Real>& input, const Signal<Real>& product_gradient,
                             const Stack& stack) {
  std::vector<ScaledMatrix<Real>*> sums;
  for (ScaledMatrix<Real>& sum : sums_) sums.push_back(&sum);
  add_weight_gradients(sums, gradient_tiles(input, product_gradient, stack), input, product_gradient);
}

template <class Real>
std::vector<Scaled> TiedGradient<Real>::squared() const {
  std::vector<Scaled> squares;
  for (std::size_t point = 0; point < sums_.size(); ++point) {
    const ScaledMatrix<Real>& sum = sums_[point];
    double square = 0;
    for (int i = 0; i < sum.values.rows(); ++i) square += sum_of_squares<Real>(sum.values.row(i));
    const double batch = batches_[point];
    squares.push_back(Scaled::of(square, 2 * sum.exponent) / Scaled::of(batch * batch));
  }
  return squares;
}

template <class Real>
SignalShape TiedGradient<Real>::packed_shape(const Bundle& bundle) {
  const NetworkSpec& network = bundle.front();
  const int rows = padded_width<Real>(gates_of(network) * network.widths.fan_out(1));
  return {int(bundle.size()) * rows, network.widths.fan_in(1)};
}

template <class Real>
Signal<Real> TiedGradient<Real>::packed() const {
  const int rows = padded_width<Real>(fan_out_);
  Signal<Real> signal(int(sums_.size()) * rows, fan_in_);
  std::ranges::fill(signal.exponents, nothing_yet);
  for (std::size_t point = 0; point < sums_.size(); ++point) {
    for (int i = 0; i < sums_[point].values.rows(); ++i) {
      const int row = int(point) * rows + i;
      std::ranges::copy(sums_[point].values.row(i), signal.values.row(row).begin());
      signal.exponents[std::size_t(row)] = std::int32_t(sums_[point].exponent);
    }
  }
  return signal;
}

template <class Real>
void TiedGradient<Real>::unpack(const Signal<Real>& sum) {
  const int rows = padded_width<Real>(fan_out_);
  expect(sum.rows() == int(sums_.size()) * rows && sum.width == fan_in_, "the sum of these points");
  for (std::size_t point = 0; point < sums_.size(); ++point) {
    const std::int32_t exponent = sum.exponents[point * std::size_t(rows)];
    sums_[point] = {};
    if (exponent == nothing_yet) continue;
    sums_[point] = {Matrix<Real>(rows, sum.values.cols()), exponent};
    for (int i = 0; i < rows; ++i) {
      std::ranges::copy(sum.values.row(int(point) * rows + i), sums_[point].values.row(i).begin());
    }
  }
}

template class TiedGradient<float>;
template class TiedGradient<double>;

}  // namespace gradflow::nn
