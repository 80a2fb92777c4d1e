#include "gradflow/nn/loss.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <type_traits>
#include <vector>

#include "gradflow/core/catalogue.hpp"
#include "gradflow/core/parallel.hpp"
#include "gradflow/core/random.hpp"
#include "gradflow/core/rescale.hpp"

namespace gradflow::nn {
namespace {

/// dE_s/dz_L ~ N(0, I), one per sample or one for the whole batch.
template <class Real>
FailureCode random_cotangent(const NetworkSpec& point, int sample, std::span<Real> row,
                             std::int32_t& exponent) {
  const Stream stream{point.seed, Purpose::cotangent, 0};
  const int width = point.widths[point.depth()];
  fill_normal<Real>(stream, std::uint32_t(point.backward.shared ? 0 : sample), row.first(std::size_t(width)));
  std::ranges::fill(row.subspan(std::size_t(width)), Real(0));
  exponent = 0;
  return FailureCode::none;
}

/// E_s = 1/2 |h_L - y|^2 with y ~ N(0, I), so dE_s/dh_L = h_L - y; the larger exponent wins.
template <class Real>
FailureCode mean_squared_error(const NetworkSpec& point, int sample, std::span<Real> row,
                               std::int32_t& exponent) {
  const Stream stream{point.seed, Purpose::target, 0};
  std::vector<Real> target(std::size_t(point.widths[point.depth()]));
  fill_normal<Real>(stream, std::uint32_t(sample), std::span<Real>(target));
  const std::int32_t common = std::max(exponent, 0);
  const Real shift_output = std::ldexp(Real(1), std::max(exponent - common, -4000));
  const Real shift_target = std::ldexp(Real(1), std::max(-common, -4000));
  for (std::size_t j = 0; j < target.size(); ++j) row[j] = row[j] * shift_output - target[j] * shift_target;
  exponent = common;
  return rescale(row, exponent);
}

constexpr std::array loss_catalogue{
    LossRow{"random", Entry::preactivation, random_cotangent<float>, random_cotangent<double>,
            "a cotangent ~ N(0, I) per sample at z_L, or x_L behind a residual block (no loss: what theory "
            "describes)"},
    LossRow{"mse", Entry::output, mean_squared_error<float>, mean_squared_error<double>,
            "E_s = 1/2 |h_L - y|^2 with targets y ~ N(0, I)"},
};

template <class Real>
void gaussian_input(const NetworkSpec& point, int sample, std::span<Real> row) {
  const int width = point.widths[0];
  fill_normal<Real>({point.seed, Purpose::data, 0}, std::uint32_t(sample), row.first(std::size_t(width)));
}

constexpr std::array data_catalogue{
    DataRow{"gaussian", gaussian_input<float>, gaussian_input<double>, "independent N(0, 1) features"},
};

template <class Real, class Row>
auto row_of(const Row& row) {
  if constexpr (std::is_same_v<Real, float>) {
    return row.row_float32;
  } else {
    return row.row_float64;
  }
}

/// Calls body(range, sample, row) for every sample, in parallel over tiles.
template <class Body>
void for_samples_of(const RowRange& range, Body body) {
  parallel_for(range.rows() / tile_rows, [&](int tile) {
    const int end = std::min(range.samples, (tile + 1) * tile_rows);
    for (int i = tile * tile_rows; i < end; ++i) body(range.first_sample + i, range.first_row + i);
  });
}

}  // namespace

std::span<const LossRow> losses() { return loss_catalogue; }
std::span<const DataRow> data_sources() { return data_catalogue; }

Entry entry_of(const NetworkSpec& network) {
  const Entry entry = find(losses(), "loss", network.backward.loss).entry;
  return entry == Entry::preactivation ? block_of(network).random_cotangent : entry;
}

template <class Real>
State<Real> cotangent(const Bundle& bundle, State<Real> output, const Stack& stack, Failures& failures) {
  Signal<Real>& signal = output.front();
  std::vector<FailureCode> codes(std::size_t(signal.rows()), FailureCode::none);
  for (const RowRange& range : stack) {
    const NetworkSpec& point = bundle[std::size_t(range.point)];
    const auto fill = row_of<Real>(find(losses(), "loss", point.backward.loss));
    for_samples_of(range, [&](int sample, int row) {
      codes[std::size_t(row)] =
          fill(point, sample, signal.values.row(row), signal.exponents[std::size_t(row)]);
    });
    for (int i = 0; i < range.samples; ++i) {
      Failure& first = failures[std::size_t(range.point)];
      first =
          first_of(first, {codes[std::size_t(range.first_row + i)], point.depth(), range.first_sample + i});
    }
  }
  for (std::size_t i = 1; i < output.size(); ++i) output[i] = Signal<Real>(output[i].rows(), output[i].width);
  return output;
}

template <class Real>
State<Real> input(const Bundle& bundle, const Stack& stack) {
  Signal<Real> signal(rows_of(stack), bundle.front().widths[0]);
  for (const RowRange& range : stack) {
    const NetworkSpec& point = bundle[std::size_t(range.point)];
    const auto fill = row_of<Real>(find(data_sources(), "data source", point.data));
    for_samples_of(range, [&](int sample, int row) { fill(point, sample, signal.values.row(row)); });
  }
  State<Real> state;
  state.push_back(std::move(signal));
  for (std::size_t i = 1; i < state_widths(bundle.front(), 0).size(); ++i) {
    state.push_back(Signal<Real>(state.front().rows(), state.front().width));
  }
  return state;
}

template State<float> cotangent(const Bundle&, State<float>, const Stack&, Failures&);
template State<double> cotangent(const Bundle&, State<double>, const Stack&, Failures&);
template State<float> input(const Bundle&, const Stack&);
template State<double> input(const Bundle&, const Stack&);

}  // namespace gradflow::nn
