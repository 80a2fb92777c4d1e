#include "gradflow/nn/dense.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "gradflow/core/blas.hpp"
#include "gradflow/core/parallel.hpp"
#include "gradflow/core/rescale.hpp"
#include "gradflow/nn/layer_weights.hpp"
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
int slice_rows(std::size_t tiles, const Matrix<Real>& weight) {
  const int slice = (int(tiles) + concurrency() - 1) / concurrency() * tile_rows;
  return slices_keep_bits<Real>(slice, weight.cols(), weight.rows()) ? slice : tile_rows;
}

/// Calls body(first_row, tiles) for slices of `slice` rows, in parallel.
template <class Body>
void for_slices(const std::vector<RowRange>& tiles, int slice, Body body) {
  const std::size_t per_slice = std::size_t(slice / tile_rows);
  parallel_for(int((tiles.size() + per_slice - 1) / per_slice), [&](int i) {
    const std::size_t first = std::size_t(i) * per_slice;
    const std::size_t end = std::min(first + per_slice, tiles.size());
    body(int(first) * tile_rows, std::span(tiles).subspan(first, end - first));
  });
}

int rows_of(std::span<const RowRange> tiles) { return int(tiles.size()) * tile_rows; }

/// Calls body(row) for the samples of a tile.
template <class Body>
void for_samples(const RowRange& tile, Body body) {
  for (int row = tile.first_row; row < tile.first_row + tile.samples; ++row) body(row);
}

/// Calls body(row) for the padding of a tile.
template <class Body>
void for_padding(const RowRange& tile, Body body) {
  for (int row = tile.first_row + tile.samples; row < tile.first_row + tile_rows; ++row) body(row);
}

/// Failure codes of one pass, a place per row so that tasks do not meet.
class RowCodes {
 public:
  explicit RowCodes(int rows) : codes_(std::size_t(rows), FailureCode::none) {}

  FailureCode& operator[](int row) { return codes_[std::size_t(row)]; }

  void add_to(Failures& failures, const std::vector<RowRange>& tiles, int layer) const {
    for (const RowRange& tile : tiles) {
      for_samples(tile, [&](int row) {
        if (codes_[std::size_t(row)] == FailureCode::none) return;
        Failure& first = failures[std::size_t(tile.point)];
        const int sample = tile.first_sample + row - tile.first_row;
        first = first_of(first, Failure{codes_[std::size_t(row)], layer, sample});
      });
    }
  }

 private:
  std::vector<FailureCode> codes_;
};

template <class Real>
void report(const std::vector<SlopeCounts>& counts, const std::vector<RowRange>& tiles,
            Observer<Real>& observer) {
  for (const RowRange& tile : tiles) {
    std::int64_t saturated = 0;
    for_samples(tile, [&](int row) {
      const SlopeCounts& of_sample = counts[std::size_t(row)];
      saturated += of_sample.saturated;
      if (!of_sample.lost_log2.empty()) observer.count_lost(tile.point, of_sample.lost_log2);
    });
    observer.count_saturated(tile.point, saturated);
  }
}

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
  unit_weight_ = unit_weights<Real>(shared, layer);
  unit_weight_squared_ = frobenius_squared(unit_weight_);

  for (const NetworkSpec& point : bundle) {
    expect(may_share_bundle(shared, point), "the points of a bundle share their unit weights");
    Member member;
    member.activation = point.activation;
    member.batch = point.batch;
    member.weight_scale_exact = nn::weight_scale(point, layer);
    member.weight_scale = Factor<Real>::of(member.weight_scale_exact);
    member.has_bias = bias_scale(point, layer) > 0;
    if (member.has_bias) {
      const Factor<Real> std_of_bias = Factor<Real>::of(bias_scale(point, layer));
      member.bias = unit_bias<Real>(point, layer);
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

/// z and h of one sample from the product that z holds.
template <class Real>
FailureCode Dense<Real>::finish_sample(const Member& point, int row, std::int32_t input_exponent,
                                       Signal<Real>& z, Signal<Real>& h) const {
  std::int32_t& e = z.exponents[std::size_t(row)];
  e = input_exponent;
  FailureCode code = preactivation(z.values.row(row), e, point);
  if (code == FailureCode::none) {
    code = activate<Real>(point.activation, std::as_const(z.values).row(row), e, fan_out_, h.values.row(row),
                          h.exponents[std::size_t(row)]);
  }
  if (code != FailureCode::none) {
    clear_sample(z, row);
    clear_sample(h, row);
  }
  return code;
}

template <class Real>
State<Real> Dense<Real>::forward(State<Real> x, const Stack& stack, Tape<Real>& tape,
                                 Observer<Real>& observer, Failures& failures) const {
  Signal<Real> input = std::move(x.front());
  expect(input.width == fan_in_ && input.rows() == gradflow::rows_of(stack),
         "the input fits the layer and the stack");
  Signal<Real> z = Signal<Real>::unset(input.rows(), fan_out_);  // the product writes every row
  Signal<Real> h = Signal<Real>::unset(input.rows(), fan_out_);
  const std::vector<RowRange> tiles = tiles_of(stack);
  RowCodes codes(input.rows());

  for_slices(tiles, slice_rows(tiles.size(), unit_weight_), [&](int first_row, auto slice) {
    multiply_transposed(input.values, first_row, rows_of(slice), unit_weight_, z.values);
    for (const RowRange& rows : slice) {
      const Member& point = points_[std::size_t(rows.point)];
      for_samples(rows, [&](int row) {
        codes[row] = finish_sample(point, row, input.exponents[std::size_t(row)], z, h);
      });
      for_padding(rows, [&](int row) { clear_sample(h, row); });
      observer.see(Role::preact, z, rows);
      observer.see(Role::act, h, rows);
    }
  });
  codes.add_to(failures, tiles, layer_);

  tape.push_back(std::move(input));
  tape.push_back(std::move(z));
  State<Real> y;
  y.push_back(std::move(h));
  return y;
}

/// dz = dh * phi'(z) of one sample, in place.
template <class Real>
SlopeCounts Dense<Real>::preactivation_gradient(const Member& point, int row, Entry entry,
                                                const Signal<Real>& z, Signal<Real>& dz,
                                                FailureCode& code) const {
  const std::int32_t e = z.exponents[std::size_t(row)];
  if (entry == Entry::preactivation) {
    return {count_saturated<Real>(point.activation, z.values.row(row), e, fan_out_), {}};
  }
  SlopeCounts counts = multiply_by_slope<Real>(point.activation, z.values.row(row), e, fan_out_,
                                               dz.values.row(row), dz.exponents[std::size_t(row)], code);
  if (code != FailureCode::none) clear_sample(dz, row);
  return counts;
}

/// dh = dz W of one sample from the product that dx holds.
template <class Real>
FailureCode Dense<Real>::input_gradient(const Member& point, int row, std::int32_t dz_exponent,
                                        Signal<Real>& dx) const {
  std::int32_t& e = dx.exponents[std::size_t(row)];
  e = dz_exponent + point.weight_scale.exponent;
  scale(dx.values.row(row), point.weight_scale.mantissa);
  const FailureCode code = rescale(dx.values.row(row), e);
  if (code != FailureCode::none) clear_sample(dx, row);
  return code;
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
  Signal<Real> dx;
  if (layer_ > 1) dx = Signal<Real>::unset(dz.rows(), fan_in_);
  const std::vector<RowRange> tiles = tiles_of(stack);
  RowCodes codes(dz.rows());
  std::vector<SlopeCounts> counts(static_cast<std::size_t>(dz.rows()));

  for_slices(tiles, slice_rows(tiles.size(), unit_weight_), [&](int first_row, auto slice) {
    for (const RowRange& rows : slice) {
      const Member& point = points_[std::size_t(rows.point)];
      for_samples(rows, [&](int row) {
        counts[std::size_t(row)] = preactivation_gradient(point, row, entry, z, dz, codes[row]);
      });
      observer.see(Role::dgrad, dz, rows);
    }
    if (layer_ == 1) return;
    multiply(dz.values, first_row, rows_of(slice), unit_weight_, dx.values);
    for (const RowRange& rows : slice) {
      const Member& point = points_[std::size_t(rows.point)];
      for_samples(rows, [&](int row) {
        const FailureCode code = input_gradient(point, row, dz.exponents[std::size_t(row)], dx);
        if (codes[row] == FailureCode::none) codes[row] = code;
      });
    }
  });
  codes.add_to(failures, tiles, layer_);
  report(counts, tiles, observer);

  gradient.add(std::move(x), std::move(dz), stack);
  State<Real> state;
  if (layer_ > 1) state.push_back(std::move(dx));
  return state;
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
