#include "gradflow/nn/dense.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "gradflow/core/blas.hpp"
#include "gradflow/core/parallel.hpp"
#include "gradflow/core/rescale.hpp"
#include "gradflow/nn/weight_gradient.hpp"

namespace gradflow::nn {
namespace {

/// 2^-shift in Real, zero where nothing of a shifted value would be left.
template <class Real>
Real shifted_by(std::int64_t shift) {
  return std::ldexp(Real(1), -int(std::min<std::int64_t>(shift, 4000)));
}

/// Rows of one product call: the batch shared out over the threads, in 32-row calls where the shape demands
/// it.
template <class Real>
int slice_rows(int rows, const Matrix<Real>& weight) {
  const int tiles = rows / tile_rows;
  const int slice = (tiles + concurrency() - 1) / concurrency() * tile_rows;
  return slices_keep_bits<Real>(slice, weight.cols(), weight.rows()) ? slice : tile_rows;
}

/// Calls body(first_row, rows) for slices that cover all rows, in parallel.
template <class Body>
void for_slices(int rows, int slice, Body body) {
  parallel_for((rows + slice - 1) / slice, [&](int i) {
    const int first = i * slice;
    body(first, std::min(slice, rows - first));
  });
}

/// Calls body(row, range) for the samples among `rows` rows from first_row on, padding left out.
template <class Body>
void for_samples(const Stack& stack, int first_row, int rows, Body body) {
  for (const RowRange& range : stack) {
    const int first = std::max(first_row, range.first_row);
    const int end = std::min(first_row + rows, range.first_row + range.samples);
    for (int row = first; row < end; ++row) body(row, range);
  }
}

/// Calls body(row) for the padding among `rows` rows from first_row on.
template <class Body>
void for_padding(const Stack& stack, int first_row, int rows, Body body) {
  for (const RowRange& range : stack) {
    const int first = std::max(first_row, range.first_row + range.samples);
    const int end = std::min(first_row + rows, range.end_row());
    for (int row = first; row < end; ++row) body(row);
  }
}

/// Failure codes of one pass, a place per row so that tasks do not meet.
class RowCodes {
 public:
  explicit RowCodes(int rows) : codes_(std::size_t(rows), FailureCode::none) {}

  FailureCode& operator[](int row) { return codes_[std::size_t(row)]; }

  void add_to(Failures& failures, const Stack& stack, int layer) const {
    for_samples(stack, 0, rows_of(stack), [&](int row, const RowRange& range) {
      if (codes_[std::size_t(row)] == FailureCode::none) return;
      Failure& first = failures[std::size_t(range.point)];
      const int sample = range.first_sample + row - range.first_row;
      first = first_of(first, Failure{codes_[std::size_t(row)], layer, sample});
    });
  }

 private:
  std::vector<FailureCode> codes_;
};

/// A sample that failed goes on as zeros.
template <class Real>
void clear_sample(Signal<Real>& signal, int row) {
  std::ranges::fill(signal.values.row(row), Real(0));
  signal.exponents[std::size_t(row)] = 0;
}

template <class Real>
void scale(std::span<Real> row, Real factor) {
  for (Real& v : row) v *= factor;
}

/// row * 2^exponent += bias * 2^bias_exponent: the larger exponent wins and the smaller operand is shifted. A
/// zero row has no say: its exponent means nothing, and a tiny bias is all there is.
template <class Real>
void add_bias(std::span<Real> row, std::int32_t& exponent, std::span<const Real> bias,
              std::int32_t bias_exponent) {
  if (exponent > bias_exponent && max_abs<Real>(row) == 0) exponent = bias_exponent;
  const std::int32_t common = std::max(exponent, bias_exponent);
  const Real shift_row = shifted_by<Real>(std::int64_t(common) - exponent);
  const Real shift_bias = shifted_by<Real>(std::int64_t(common) - bias_exponent);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = row[j] * shift_row + bias[j] * shift_bias;
  exponent = common;
}

}  // namespace

template <class Real>
Factor<Real> Factor<Real>::of(double value) {
  int exponent = 0;
  const double mantissa = std::frexp(value, &exponent);
  if (-60 <= exponent && exponent <= 60) return {Real(value), 0};
  return {Real(2 * mantissa), exponent - 1};
}

template <class Real>
Dense<Real>::Dense(const Bundle& bundle, int layer)
    : layer_(layer),
      fan_in_(bundle.front().widths.fan_in(layer)),
      fan_out_(bundle.front().widths.fan_out(layer)) {
  const NetworkSpec& shared = bundle.front();
  unit_weight_ = unit_weights<Real>(*shared.init.scheme, shared.seed, layer, fan_in_, fan_out_);
  unit_weight_squared_ = frobenius_squared(unit_weight_);

  for (const NetworkSpec& point : bundle) {
    expect(may_share_bundle(shared, point), "the points of a bundle share their unit weights");
    Member member;
    member.activation = point.activation;
    member.batch = point.batch;
    member.weight_scale_exact = point.init.weight_scale(fan_in_, fan_out_);
    member.weight_scale = Factor<Real>::of(member.weight_scale_exact);
    member.has_bias = point.init.has_bias(fan_in_);
    if (member.has_bias) {
      const Factor<Real> std_of_bias = Factor<Real>::of(point.init.effective_sigma_b(fan_in_));
      member.bias = unit_bias<Real>(*point.init.scheme, point.seed, layer, fan_out_);
      member.bias_exponent = std_of_bias.exponent;
      scale(member.bias.row(0), std_of_bias.mantissa);
    }
    points_.push_back(std::move(member));
  }
}

/// z = scale * (h Z') + b of one sample, in place.
template <class Real>
FailureCode Dense<Real>::preactivation(std::span<Real> z, std::int32_t& exponent, const Member& point) const {
  scale(z, point.weight_scale.mantissa);
  exponent += point.weight_scale.exponent;
  if (point.has_bias) add_bias(z, exponent, point.bias.row(0), point.bias_exponent);
  return rescale(z, exponent);
}

template <class Real>
State<Real> Dense<Real>::forward(State<Real> x, const Stack& stack, Tape<Real>& tape,
                                 Observer<Real>& observer, Failures& failures) const {
  Signal<Real> input = std::move(x.front());
  expect(input.width == fan_in_ && input.rows() == rows_of(stack), "the input fits the layer and the stack");
  const int rows = input.rows();
  Signal<Real> z = Signal<Real>::unset(rows, fan_out_);  // the product writes every row, padding included
  Signal<Real> h = Signal<Real>::unset(rows, fan_out_);
  RowCodes codes(rows);

  for_slices(rows, slice_rows(rows, unit_weight_), [&](int first, int count) {
    multiply_transposed(input.values, first, count, unit_weight_, z.values);
    for_samples(stack, first, count, [&](int row, const RowRange& range) {
      const Member& point = points_[std::size_t(range.point)];
      std::int32_t& e = z.exponents[std::size_t(row)];
      e = input.exponents[std::size_t(row)];
      codes[row] = preactivation(z.values.row(row), e, point);
      if (codes[row] == FailureCode::none) {
        codes[row] = activate<Real>(point.activation, std::as_const(z.values).row(row), e, fan_out_,
                                    h.values.row(row), h.exponents[std::size_t(row)]);
      }
      if (codes[row] == FailureCode::none) return;
      clear_sample(z, row);
      clear_sample(h, row);
    });
    for_padding(stack, first, count, [&](int row) { clear_sample(h, row); });
  });
  codes.add_to(failures, stack, layer_);

  observer.see(Role::preact, z, stack);
  observer.see(Role::act, h, stack);
  tape.push_back(std::move(input));
  tape.push_back(std::move(z));
  State<Real> y;
  y.push_back(std::move(h));
  return y;
}

/// dh = dz W of every sample.
template <class Real>
State<Real> Dense<Real>::input_gradient(const Signal<Real>& dz, const Stack& stack,
                                        Failures& failures) const {
  const int rows = dz.rows();
  Signal<Real> dx = Signal<Real>::unset(rows, fan_in_);
  RowCodes codes(rows);
  for_slices(rows, slice_rows(rows, unit_weight_), [&](int first, int count) {
    multiply(dz.values, first, count, unit_weight_, dx.values);
    for_samples(stack, first, count, [&](int row, const RowRange& range) {
      const Factor<Real>& factor = points_[std::size_t(range.point)].weight_scale;
      std::int32_t& e = dx.exponents[std::size_t(row)];
      e = dz.exponents[std::size_t(row)] + factor.exponent;
      scale(dx.values.row(row), factor.mantissa);
      codes[row] = rescale(dx.values.row(row), e);
      if (codes[row] != FailureCode::none) clear_sample(dx, row);
    });
  });
  codes.add_to(failures, stack, layer_);
  State<Real> state;
  state.push_back(std::move(dx));
  return state;
}

template <class Real>
State<Real> Dense<Real>::backward(State<Real> dy, Entry entry, const Stack& stack, Tape<Real>& tape,
                                  Observer<Real>& observer, WeightGradient<Real>& gradient,
                                  Failures& failures) const {
  expect(tape.size() == 2, "backward follows its forward");
  Signal<Real> x = std::move(tape[0]);
  const Signal<Real> z = std::move(tape[1]);
  tape.clear();
  Signal<Real> dz = std::move(dy.front());
  const int rows = dz.rows();
  RowCodes codes(rows);
  std::vector<SlopeCounts> counts(static_cast<std::size_t>(rows));

  parallel_for(rows / tile_rows, [&](int tile) {  // dz = dh * phi'(z)
    for_samples(stack, tile * tile_rows, tile_rows, [&](int row, const RowRange& range) {
      const Activation& phi = points_[std::size_t(range.point)].activation;
      const std::int32_t e = z.exponents[std::size_t(row)];
      SlopeCounts& count = counts[std::size_t(row)];
      if (entry == Entry::preactivation) {
        count.saturated = count_saturated<Real>(phi, z.values.row(row), e, fan_out_);
      } else {
        count = multiply_by_slope<Real>(phi, z.values.row(row), e, fan_out_, dz.values.row(row),
                                        dz.exponents[std::size_t(row)], codes[row]);
      }
      if (codes[row] != FailureCode::none) clear_sample(dz, row);
    });
  });
  codes.add_to(failures, stack, layer_);

  observer.see(Role::dgrad, dz, stack);
  for (const RowRange& range : stack) {
    SlopeCounts total;
    for (int row = range.first_row; row < range.first_row + range.samples; ++row) {
      total.saturated += counts[std::size_t(row)].saturated;
      total.lost += counts[std::size_t(row)].lost;
    }
    observer.count(range.point, total.saturated, total.lost);
  }

  State<Real> dx = layer_ > 1 ? input_gradient(dz, stack, failures) : State<Real>{};
  gradient.add(std::move(x), std::move(dz), stack);
  return dx;
}

template <class Real>
std::unique_ptr<WeightGradient<Real>> Dense<Real>::weight_gradient() const {
  std::vector<DensePoint> points;
  for (const Member& point : points_) {
    const Scaled scale = Scaled::of(point.weight_scale_exact);
    points.push_back({point.batch, point.has_bias, unit_weight_squared_ * scale * scale});
  }
  return std::make_unique<DenseGradient<Real>>(fan_in_, fan_out_, std::move(points));
}

template struct Factor<float>;
template struct Factor<double>;
template class Dense<float>;
template class Dense<double>;

}  // namespace gradflow::nn
