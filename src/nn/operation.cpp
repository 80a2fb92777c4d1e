#include "operation.hpp"

#include <algorithm>
#include <utility>

namespace gradflow::nn {
template <class Real>
Signal<Real> product_of(const Affine<Real>& affine, const Signal<Real>& x, Passage<Real>& passage) {
  expect(x.width == affine.fan_in(), "the input fits the weights");
  Signal<Real> z = Signal<Real>::unset(x.rows(), affine.fan_out());
  const Matrix<Real>& weight = affine.unit_weight();
  const auto finish = [&](const RowRange& tile) {
    for_samples(tile, [&](int row) {
      const FailureCode code = affine.finish(tile.point, row, x.exponents[std::size_t(row)], z);
      if (code != FailureCode::none) clear_sample(z, row);
      passage.codes.learn(row, code);
    });
    for_padding(tile, [&](int row) { clear_sample(z, row); });
  };
  const bool finds_scales = affine.finds_scales();  // which takes the whole product
  for_slices(passage.tiles, slice_rows(passage.tiles.size(), weight), [&](int first_row, auto slice) {
    multiply_transposed(x.values, first_row, rows_of(slice), weight, z.values);
    if (!finds_scales) std::ranges::for_each(slice, finish);
  });
  if (finds_scales) {
    affine.find_scales(x, z, passage.stack);
    passage.for_tiles(finish);
  }
  return z;
}

template <class Real>
Signal<Real> input_gradient_of(const Affine<Real>& affine, const Signal<Real>& dz, Passage<Real>& passage) {
  Signal<Real> dx = Signal<Real>::unset(dz.rows(), affine.fan_in());
  const Matrix<Real>& weight = affine.unit_weight();
  for_slices(passage.tiles, slice_rows(passage.tiles.size(), weight), [&](int first_row, auto slice) {
    multiply(dz.values, first_row, rows_of(slice), weight, dx.values);
    for (const RowRange& tile : slice) {
      for_samples(tile, [&](int row) {
        const std::int32_t exponent = dz.exponents[std::size_t(row)];
        passage.codes.learn(row, affine.finish_input_gradient(tile.point, row, exponent, dx));
      });
      for_padding(tile, [&](int row) { clear_sample(dx, row); });
    }
  });
  return dx;
}

template <class Real>
Signal<Real> activated(std::span<const Activation> phi, Signal<Real>& z, Passage<Real>& passage) {
  Signal<Real> h = Signal<Real>::unset(z.rows(), z.width);
  passage.for_tiles([&](const RowRange& tile) {
    for_samples(tile, [&](int row) {
      const FailureCode code = activate<Real>(phi[std::size_t(tile.point)], std::as_const(z.values).row(row),
                                              z.exponents[std::size_t(row)], z.width, h.values.row(row),
                                              h.exponents[std::size_t(row)]);
      passage.codes.learn(row, code);
      if (code == FailureCode::none) return;
      clear_sample(z, row);
      clear_sample(h, row);
    });
    for_padding(tile, [&](int row) { clear_sample(h, row); });
  });
  return h;
}

template <class Real>
void multiply_by_slopes(std::span<const Activation> phi, const Signal<Real>& z, Signal<Real>& dh,
                        Counted counted, Passage<Real>& passage) {
  std::vector<SlopeCounts> counts(static_cast<std::size_t>(dh.rows()));
  passage.for_tiles([&](const RowRange& tile) {
    for_samples(tile, [&](int row) {
      FailureCode code = FailureCode::none;
      counts[std::size_t(row)] = multiply_by_slope<Real>(
          phi[std::size_t(tile.point)], z.values.row(row), z.exponents[std::size_t(row)], z.width,
          dh.values.row(row), dh.exponents[std::size_t(row)], code);
      if (code != FailureCode::none) clear_sample(dh, row);
      passage.codes.learn(row, code);
    });
  });
  report(counts, passage.tiles, counted.act, counted.gradient, passage.observer);
}

template <class Real>
Signal<Real> Product<Real>::forward(Signal<Real> x, Passage<Real>& passage, Tape<Real>& tape) const {
  Signal<Real> z = product_of(affine_, x, passage);
  if (shown_.product) passage.show(*shown_.product, z);
  tape.push_back(std::move(x));
  return z;
}

template <class Real>
Signal<Real> Product<Real>::backward(Signal<Real> dz, Passage<Real>& passage, Tape<Real>& tape,
                                     WeightGradient<Real>& gradient) const {
  Signal<Real> x = taken_from(tape);
  if (shown_.gradient) passage.show(*shown_.gradient, dz);
  Signal<Real> dx;
  if (wants_input_gradient_) dx = input_gradient_of(affine_, dz, passage);
  gradient.add(role_, std::move(x), std::move(dz), passage.stack);
  return dx;
}

template <class Real>
void Product<Real>::pass_over(Passage<Real>&, Tape<Real>& tape) const {
  taken_from(tape);
}

template <class Real>
Activate<Real>::Activate(const Bundle& bundle, Counted counted, bool shows)
    : counted_(counted), shows_(shows) {
  for (const NetworkSpec& point : bundle) activations_.push_back(point.activation);
}

template <class Real>
Signal<Real> Activate<Real>::forward(Signal<Real> z, Passage<Real>& passage, Tape<Real>& tape) const {
  Signal<Real> h = activated<Real>(activations_, z, passage);
  if (shows_) passage.show(*counted_.act, h);
  tape.push_back(std::move(z));
  return h;
}

template <class Real>
Signal<Real> Activate<Real>::backward(Signal<Real> dh, Passage<Real>& passage, Tape<Real>& tape,
                                      WeightGradient<Real>&) const {
  multiply_by_slopes<Real>(activations_, taken_from(tape), dh, counted_, passage);
  return dh;
}

template <class Real>
void Activate<Real>::pass_over(Passage<Real>& passage, Tape<Real>& tape) const {
  const Signal<Real> z = taken_from(tape);
  std::vector<SlopeCounts> counts(static_cast<std::size_t>(z.rows()));
  passage.for_tiles([&](const RowRange& tile) {
    for_samples(tile, [&](int row) {
      counts[std::size_t(row)].saturated = count_saturated<Real>(
          activations_[std::size_t(tile.point)], z.values.row(row), z.exponents[std::size_t(row)], z.width);
    });
  });
  report(counts, passage.tiles, counted_.act, counted_.gradient, passage.observer);
}

template Signal<float> product_of(const Affine<float>&, const Signal<float>&, Passage<float>&);
template Signal<float> input_gradient_of(const Affine<float>&, const Signal<float>&, Passage<float>&);
template Signal<float> activated(std::span<const Activation>, Signal<float>&, Passage<float>&);
template void multiply_by_slopes(std::span<const Activation>, const Signal<float>&, Signal<float>&, Counted,
                                 Passage<float>&);
template class Product<float>;
template Signal<double> product_of(const Affine<double>&, const Signal<double>&, Passage<double>&);
template Signal<double> input_gradient_of(const Affine<double>&, const Signal<double>&, Passage<double>&);
template Signal<double> activated(std::span<const Activation>, Signal<double>&, Passage<double>&);
template void multiply_by_slopes(std::span<const Activation>, const Signal<double>&, Signal<double>&, Counted,
                                 Passage<double>&);
template class Product<double>;
template class Activate<float>;
template class Activate<double>;

}  // namespace gradflow::nn
