#include "gradflow/nn/dense.hpp"

#include <cmath>
#include <utility>

#include "rows.hpp"

namespace gradflow::nn {
template <class Real>
Dense<Real>::Dense(const Bundle& bundle, int layer)
    : layer_(layer), affine_(bundle, layer, WeightRole::first) {
  for (const NetworkSpec& point : bundle) activations_.push_back(point.activation);
}

/// z and h of one sample from the product that z holds.
template <class Real>
FailureCode Dense<Real>::finish_sample(int point, int row, std::int32_t input_exponent, Signal<Real>& z,
                                       Signal<Real>& h) const {
  FailureCode code = affine_.finish(point, row, input_exponent, z);
  if (code == FailureCode::none) {
    code = activate<Real>(activations_[std::size_t(point)], std::as_const(z.values).row(row),
                          z.exponents[std::size_t(row)], affine_.fan_out(), h.values.row(row),
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
  expect(input.width == affine_.fan_in() && input.rows() == gradflow::rows_of(stack),
         "the input fits the layer and the stack");
  Signal<Real> z = Signal<Real>::unset(input.rows(), affine_.fan_out());  // the product writes every row
  Signal<Real> h = Signal<Real>::unset(input.rows(), affine_.fan_out());
  const std::vector<RowRange> tiles = tiles_of(stack);
  RowCodes codes(input.rows());

  for_slices(tiles, slice_rows(tiles.size(), affine_.unit_weight()), [&](int first_row, auto slice) {
    multiply_transposed(input.values, first_row, rows_of(slice), affine_.unit_weight(), z.values);
    for (const RowRange& rows : slice) {
      for_samples(rows, [&](int row) {
        codes[row] = finish_sample(rows.point, row, input.exponents[std::size_t(row)], z, h);
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
SlopeCounts Dense<Real>::preactivation_gradient(int point, int row, Entry entry, const Signal<Real>& z,
                                                Signal<Real>& dz, FailureCode& code) const {
  const Activation& phi = activations_[std::size_t(point)];
  const std::int32_t e = z.exponents[std::size_t(row)];
  if (entry == Entry::preactivation) {
    return {count_saturated<Real>(phi, z.values.row(row), e, affine_.fan_out()), {}};
  }
  SlopeCounts counts = multiply_by_slope<Real>(phi, z.values.row(row), e, affine_.fan_out(),
                                               dz.values.row(row), dz.exponents[std::size_t(row)], code);
  if (code != FailureCode::none) clear_sample(dz, row);
  return counts;
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
  if (layer_ > 1) dx = Signal<Real>::unset(dz.rows(), affine_.fan_in());
  const std::vector<RowRange> tiles = tiles_of(stack);
  RowCodes codes(dz.rows());
  std::vector<SlopeCounts> counts(static_cast<std::size_t>(dz.rows()));

  for_slices(tiles, slice_rows(tiles.size(), affine_.unit_weight()), [&](int first_row, auto slice) {
    for (const RowRange& rows : slice) {
      for_samples(rows, [&](int row) {
        counts[std::size_t(row)] = preactivation_gradient(rows.point, row, entry, z, dz, codes[row]);
      });
      observer.see(Role::dgrad, dz, rows);
    }
    if (layer_ == 1) return;
    multiply(dz.values, first_row, rows_of(slice), affine_.unit_weight(), dx.values);
    for (const RowRange& rows : slice) {
      for_samples(rows, [&](int row) {
        codes.learn(row, affine_.finish_input_gradient(rows.point, row, dz.exponents[std::size_t(row)], dx));
      });
    }
  });
  codes.add_to(failures, tiles, layer_);
  report(counts, tiles, Role::act, Role::dgrad, observer);

  gradient.add(WeightRole::first, std::move(x), std::move(dz), stack);
  State<Real> state;
  if (layer_ > 1) state.push_back(std::move(dx));
  return state;
}

template <class Real>
std::unique_ptr<WeightGradient<Real>> Dense<Real>::weight_gradient() const {
  std::vector<typename MatrixGradients<Real>::Entry> gradients;
  gradients.emplace_back(WeightRole::first, affine_.gradient());
  return std::make_unique<MatrixGradients<Real>>(std::move(gradients));
}

template class Dense<float>;
template class Dense<double>;

}  // namespace gradflow::nn
