#include "gradflow/nn/loss.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <type_traits>
#include <vector>

#include <fmt/format.h>

#include "cross_entropy.hpp"
#include "gradflow/core/catalogue.hpp"
#include "gradflow/core/parallel.hpp"
#include "gradflow/core/random.hpp"
#include "gradflow/core/rescale.hpp"
#include "gradflow/nn/data.hpp"

namespace gradflow::nn {
namespace {

int units_of(const NetworkSpec& network) { return network.widths[network.depth()]; }

/// dE_s/dz_L ~ N(0, I), one per sample or one for the whole batch.
template <class Real>
FailureCode random_cotangent(const LossSample& of, std::span<Real> row, std::int32_t& exponent) {
  const Stream stream{of.network.seed, Purpose::cotangent, 0};
  const auto width = std::size_t(units_of(of.network));
  fill_normal<Real>(stream, std::uint32_t(of.network.backward.shared ? 0 : of.sample), row.first(width));
  std::ranges::fill(row.subspan(width), Real(0));
  exponent = 0;
  return FailureCode::none;
}

/// dE_s/dz_L = e_y: the gradient of one unit, that of the sample's class.
template <class Real>
FailureCode one_hot_cotangent(const LossSample& of, std::span<Real> row, std::int32_t& exponent) {
  std::ranges::fill(row, Real(0));
  row[std::size_t(of.label)] = 1;
  exponent = 0;
  return FailureCode::none;
}

/// y: e_y where the data says the class, otherwise N(0, I).
template <class Real>
std::vector<Real> target_of(const LossSample& of) {
  std::vector<Real> target(std::size_t(units_of(of.network)), Real(0));
  if (of.labelled) {
    target[std::size_t(of.label)] = 1;
  } else {
    fill_normal<Real>({of.network.seed, Purpose::target, 0}, std::uint32_t(of.sample),
                      std::span<Real>(target));
  }
  return target;
}

/// E_s = 1/2 |h_L - y|^2, so dE_s/dh_L = h_L - y; the larger exponent wins.
template <class Real>
FailureCode mean_squared_error(const LossSample& of, std::span<Real> row, std::int32_t& exponent) {
  const std::vector<Real> target = target_of<Real>(of);
  const std::int32_t common = std::max(exponent, 0);
  const Real shift_output = std::ldexp(Real(1), std::max(exponent - common, -4000));
  const Real shift_target = std::ldexp(Real(1), std::max(-common, -4000));
  for (std::size_t j = 0; j < target.size(); ++j) row[j] = row[j] * shift_output - target[j] * shift_target;
  exponent = common;
  return rescale(row, exponent);
}

template <class Real>
FailureCode cross_entropy(const LossSample& of, std::span<Real> row, std::int32_t& exponent) {
  return cross_entropy_gradient(row, exponent, units_of(of.network), of.label);
}

/// E_s = 1/2 |h_L|^2, so dE_s/dh_L = h_L.
template <class Real>
FailureCode sum_of_squares(const LossSample&, std::span<Real> row, std::int32_t& exponent) {
  return rescale(row, exponent);
}

constexpr bool on_logits = true, on_output = false;

constexpr std::array loss_catalogue{
    LossRow{"random", Entry::preactivation, on_output, Labels::unused, random_cotangent<float>,
            random_cotangent<double>,
            "a cotangent ~ N(0, I) per sample at z_L (no loss: what theory describes)"},
    LossRow{"one_hot", Entry::preactivation, on_output, Labels::wanted, one_hot_cotangent<float>,
            one_hot_cotangent<double>, "the cotangent e_y at z_L, y the sample's class (no loss: one unit)"},
    LossRow{"mse", Entry::output, on_output, Labels::if_given, mean_squared_error<float>,
            mean_squared_error<double>,
            "E_s = 1/2 |h_L - y|^2, y one-hot where the data has labels, otherwise ~ N(0, I)"},
    LossRow{"cross_entropy", Entry::preactivation, on_logits, Labels::wanted, cross_entropy<float>,
            cross_entropy<double>, "E_s = -ln softmax(z_L)_y, y the sample's class"},
    LossRow{"sum_of_squares", Entry::output, on_output, Labels::unused, sum_of_squares<float>,
            sum_of_squares<double>, "E_s = 1/2 |h_L|^2"},
};

const LossRow& loss_of(const NetworkSpec& network) { return find(losses(), "loss", network.backward.loss); }

template <class Real>
auto row_of(const LossRow& row) {
  if constexpr (std::is_same_v<Real, float>) {
    return row.row_float32;
  } else {
    return row.row_float64;
  }
}

/// The class of every sample of a range; 0 where nobody asks.
std::vector<int> classes_of(const NetworkSpec& network, const RowRange& range) {
  const LossRow& loss = loss_of(network);
  std::vector<int> classes(std::size_t(range.samples), 0);
  if (reads_labels(network) || loss.labels == Labels::wanted) {
    classes = labels(network, range.first_sample, range.samples);
  }
  const bool is_shared = network.backward.shared && loss.row_float32 == one_hot_cotangent<float>;
  if (is_shared) std::ranges::fill(classes, labels(network, 0, 1).front());
  for (const int label : classes)
    expect(0 <= label && label < units_of(network), "a class of the last layer");
  return classes;
}

/// One cotangent per sample of a range, in place. @return what went wrong with each
template <class Real>
std::vector<FailureCode> fill(const NetworkSpec& network, const RowRange& range, Signal<Real>& signal) {
  const LossRow& loss = loss_of(network);
  const bool labelled = reads_labels(network);
  const std::vector<int> classes = classes_of(network, range);
  std::vector<FailureCode> codes(std::size_t(range.samples), FailureCode::none);
  parallel_for(range.rows() / tile_rows, [&](int tile) {
    const int end = std::min(range.samples, (tile + 1) * tile_rows);
    for (int i = tile * tile_rows; i < end; ++i) {
      const auto row = std::size_t(range.first_row + i);
      const LossSample sample{network, range.first_sample + i, classes[std::size_t(i)], labelled};
      codes[std::size_t(i)] = row_of<Real>(loss)(sample, signal.values.row(int(row)), signal.exponents[row]);
    }
  });
  return codes;
}

}  // namespace

std::span<const LossRow> losses() { return loss_catalogue; }

Entry entry_of(const NetworkSpec& network) {
  const Entry entry = loss_of(network).entry;
  return entry == Entry::preactivation ? block_of(network).random_cotangent : entry;
}

bool takes_logits(const NetworkSpec& network) { return loss_of(network).takes_logits; }

bool reads_labels(const NetworkSpec& network) {
  return loss_of(network).labels != Labels::unused && network.data_set && network.data_set->has_labels();
}

std::string complaint_of_labels(const NetworkSpec& network) {
  if (!reads_labels(network)) return "";
  for (std::int64_t sample = 0; sample < network.data_set->size(); ++sample) {
    const int label = network.data_set->label(sample);
    if (0 <= label && label < units_of(network)) continue;
    return fmt::format(
        "sample {} of the data has label {}, but the last layer has {} units, for labels 0 to {}; write a "
        "wider last layer, such as network.widths",
        sample, label, units_of(network), units_of(network) - 1);
  }
  return "";
}

template <class Real>
State<Real> cotangent(const Bundle& bundle, State<Real> last, const Stack& stack, Failures& failures) {
  Signal<Real>& signal = last.front();
  for (const RowRange& range : stack) {
    const NetworkSpec& point = bundle[std::size_t(range.point)];
    const std::vector<FailureCode> codes = fill(point, range, signal);
    Failure& first = failures[std::size_t(range.point)];
    for (int i = 0; i < range.samples; ++i) {
      first = first_of(first, {codes[std::size_t(i)], point.depth(), range.first_sample + i});
    }
  }
  return last;
}

template State<float> cotangent(const Bundle&, State<float>, const Stack&, Failures&);
template State<double> cotangent(const Bundle&, State<double>, const Stack&, Failures&);

}  // namespace gradflow::nn
