#include "gradflow/nn/directions.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <numbers>
#include <optional>
#include <utility>

#include "gradflow/core/haar.hpp"
#include "gradflow/core/orthonormalise.hpp"
#include "orthonormal_rows.hpp"
#include "wide_row.hpp"

namespace gradflow::nn {
namespace {

constexpr double minus_infinity = -std::numeric_limits<double>::infinity();
constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

/// Keeps one of the signals a pass shows.
template <class Real>
class Keeper final : public Observer<Real> {
 public:
  Keeper(Role role, int rows) : role_(role), rows_(rows) {}

  void see(Role role, const Signal<Real>& signal, const RowRange& tile) override {
    if (role != role_) return;
    std::call_once(once_, [&] { kept = Signal<Real>(rows_, signal.width); });
    for (int row = tile.first_row; row < tile.end_row(); ++row) {
      std::ranges::copy(signal.values.row(row), kept.values.row(row).begin());
      kept.exponents[std::size_t(row)] = signal.exponents[std::size_t(row)];
    }
  }
  void count_saturated(Role, int, std::int64_t) override {}
  void count_lost(Role, int, std::span<const std::int64_t>) override {}

  Signal<Real> kept;

 private:
  Role role_;
  int rows_;
  std::once_flag once_;
};

template <class Real>
class Nothing final : public WeightGradient<Real> {
 public:
  void add(WeightRole, Signal<Real>, Signal<Real>, const Stack&) override {}
  std::vector<WeightGradientNorms> norms(WeightRole) const override { return {}; }
};

/// One sample of a tape, as often as there are directions.
template <class Real>
Tape<Real> repeated(const Tape<Real>& tape, int row, int times) {
  Tape<Real> rows;
  for (const Signal<Real>& signal : tape) {
    Signal<Real>& copies = rows.emplace_back(padded_rows(times), signal.width);
    for (int i = 0; i < times; ++i) {
      std::ranges::copy(signal.values.row(row), copies.values.row(i).begin());
      copies.exponents[std::size_t(i)] = signal.exponents[std::size_t(row)];
    }
  }
  return rows;
}

/// Columns in which some row is not zero.
std::vector<int> live_columns(const Matrix<double>& a) {
  std::vector<bool> live(std::size_t(a.cols()), false);
  for (int i = 0; i < a.rows(); ++i) {
    for (int j = 0; j < a.cols(); ++j) live[std::size_t(j)] = live[std::size_t(j)] || a(i, j) != 0;
  }
  std::vector<int> columns;
  for (int j = 0; j < a.cols(); ++j) {
    if (live[std::size_t(j)]) columns.push_back(j);
  }
  return columns;
}

/// The rows without their exponents. Several signals: one behind the other.
struct Rows {
  Matrix<double> values;
  std::vector<std::int64_t> exponents;
};

template <class Real>
Rows rows_of(const State<Real>& state, int count) {
  int width = 0;
  for (const Signal<Real>& signal : state) width += signal.width;
  Rows rows{Matrix<double>(count, width), {}};
  for (int i = 0; i < count; ++i) {
    std::vector<WideRow> parts;
    for (const Signal<Real>& signal : state) parts.push_back(wide(signal, i));
    const WideRow whole = joined(std::move(parts));
    std::ranges::copy(whole.values, rows.values.row(i).begin());
    rows.exponents.push_back(whole.exponent);
  }
  return rows;
}

Matrix<double> with_columns(const Matrix<double>& a, const std::vector<int>& columns) {
  Matrix<double> part = Matrix<double>::unset(a.rows(), int(columns.size()));
  for (int i = 0; i < a.rows(); ++i) {
    for (int j = 0; j < part.cols(); ++j) part(i, j) = a(i, columns[std::size_t(j)]);
  }
  return part;
}

/// The first rows of a Haar-distributed orthogonal matrix.
Matrix<double> haar_rows(std::uint64_t seed, int rows, int width) {
  const Stream stream{seed, Purpose::direction, 0};
  return rows == width ? haar_orthogonal(stream, width) : orthonormal_rows(stream, 0, rows, width);
}

}  // namespace

int first_directions(const NetworkSpec& network) {
  const JacobianRequest& request = *network.jacobian;
  return request.all ? network.widths[request.to] : request.directions;
}

template <class Real>
Directions<Real>::Directions(const NetworkSpec& network, int point)
    : network_(network),
      request_(*network.jacobian),
      signal_(block_of(network).jacobian),
      point_(point),
      log_sums_(std::size_t(first_directions(network)), 0.0),
      product_(first_directions(network)) {
  expect(1 <= request_.from && request_.from < request_.to && request_.to <= network.depth(),
         "a Jacobian between two layers");
}

/// The state of which block `to` is given the gradient.
template <class Real>
State<Real> Directions<Real>::first_rows() const {
  const int count = first_directions(network_);
  const int width = network_.widths[request_.to];
  const Matrix<double> q = haar_rows(network_.seed, count, width);
  State<Real> state;
  const int signals = block_of(network_).state_signals;
  for (int s = 0; s < signals; ++s) state.emplace_back(padded_rows(count), width);
  Signal<Real>& beginning = signal_ == JacobianSignal::cell ? state.back() : state.front();
  for (int i = 0; i < count; ++i) store<Real>({{q.row(i).begin(), q.row(i).end()}, 0}, beginning, i);
  return state;
}

template <class Real>
State<Real> Directions<Real>::through(const Block<Real>& block, int layer, const Tape<Real>& tape, int row,
                                      Observer<Real>& observer, Failures& failures) const {
  const int count = product_.rank();
  const Stack stack{{point_, 0, count, 0}};
  Tape<Real> of_sample = repeated(tape, row, count);
  State<Real> rows;
  for (const Signal<Real>& signal : rows_) rows.push_back(signal.copy());
  Nothing<Real> nothing;
  const bool at_preactivation = layer == request_.to && signal_ == JacobianSignal::preactivation;
  Failures of_rows(failures.size());
  rows = block.backward(std::move(rows), at_preactivation ? Entry::preactivation : Entry::output, stack,
                        of_sample, observer, nothing, of_rows);
  Failure& failure = failures[std::size_t(point_)];
  const Failure found = of_rows[std::size_t(point_)];
  if (found) failure = first_of(failure, Failure{found.code, layer, 0});
  return rows;
}

/// Where the Jacobian's signal is not what the block passes on, its gradient is one that the block shows.
template <class Real>
void Directions<Real>::pass(const Block<Real>& block, int layer, const Tape<Real>& tape, int row,
                            Failures& failures) {
  if (layer > request_.to || layer < request_.from) return;
  if (layer == request_.to) rows_ = first_rows();
  if (product_.rank() == 0) return;
  const bool is_last = layer == request_.from;
  if (is_last && signal_ == JacobianSignal::output) {
    rows_.clear();
    return;
  }
  const int count = product_.rank();
  Keeper<Real> keeper(is_last && signal_ == JacobianSignal::cell ? Role::cell_dgrad : Role::dgrad,
                      padded_rows(count));
  State<Real> before = through(block, layer, tape, row, keeper, failures);
  if (is_last) {
    before.clear();
    before.push_back(std::move(keeper.kept));
    make_orthonormal(before, count);
    rows_.clear();
    return;
  }
  // All that passes a block of one signal passes through its dgrad: no more directions than its live columns.
  int most = count;
  if (before.size() == 1) {
    State<Real> shown;
    shown.push_back(std::move(keeper.kept));
    most = int(live_columns(rows_of(shown, count).values).size());
  }
  make_orthonormal(before, most);
}

/// Splits the factor off: rows = lower * orthonormal rows.
template <class Real>
void Directions<Real>::make_orthonormal(const State<Real>& state, int most) {
  const Rows rows = rows_of(state, product_.rank());
  const std::vector<int> columns = live_columns(rows.values);
  Matrix<double> q = with_columns(rows.values, columns);
  const int rank = std::min({q.rows(), q.cols(), most});
  const Matrix<double> lower = orthonormalise_rows(q, rank);
  for (std::size_t i = 0; i < log_sums_.size(); ++i) {
    log_sums_[i] += int(i) < rank
                        ? std::log(lower(int(i), int(i))) + double(rows.exponents[i]) * std::numbers::ln2
                        : minus_infinity;
  }
  const std::vector<int> order = product_.multiply(lower, rows.exponents);

  rows_.clear();
  for (const Signal<Real>& signal : state) rows_.emplace_back(padded_rows(rank), signal.width);
  for (int i = 0; i < rank; ++i) {
    std::vector<double> whole(static_cast<std::size_t>(rows.values.cols()));
    for (int j = 0; j < q.cols(); ++j) {
      whole[std::size_t(columns[std::size_t(j)])] = q(order[std::size_t(i)], j);
    }
    auto from = whole.begin();
    for (Signal<Real>& signal : rows_) {
      store<Real>({{from, from + signal.width}, 0}, signal, i);
      from += signal.width;
    }
  }
}

template <class Real>
JacobianSpectrum Directions<Real>::spectrum() const {
  const auto reported = std::size_t(request_.directions);
  JacobianSpectrum spectrum;
  for (std::size_t i = 0; i < reported; ++i) {
    spectrum.lyapunov.push_back(log_sums_[i] / (request_.to - request_.from));
  }
  const Scaled seen = product_.frobenius_squared();
  const Scaled share = Scaled::of(double(network_.widths[request_.to]) / first_directions(network_));
  spectrum.log10_frobenius_norm = (seen * share).log10() / 2;
  spectrum.isometry_variance = undefined;
  if (!request_.all) return spectrum;

  Scaled squares, fourths;
  const std::vector<Scaled> values = product_.singular_values();
  for (std::size_t i = 0; i < reported; ++i) {
    spectrum.log10_singular_values.push_back(values[i].log10());
    const Scaled square = values[i] * values[i];
    squares = squares + square;
    fourths = fourths + square * square;
  }
  if (!squares.is_zero()) {
    spectrum.isometry_variance = double(reported) * (fourths / (squares * squares)).value() - 1;
  }
  return spectrum;
}

template <class Real>
std::size_t Directions<Real>::packed_size(int blocks_before) const {
  if (request_.to <= blocks_before) return 0;
  const auto count = std::size_t(first_directions(network_));
  std::size_t numbers = count + GradedProduct::packed_size(int(count));
  if (request_.from > blocks_before) return numbers;
  for (const int width : state_widths(network_, blocks_before)) numbers += count * (std::size_t(width) + 1);
  return numbers;
}

template <class Real>
std::vector<double> Directions<Real>::packed(int blocks_before) const {
  const std::size_t size = packed_size(blocks_before);
  if (size == 0) return {};
  std::vector<double> numbers = log_sums_;
  const std::vector<double> product = product_.packed();
  numbers.insert(numbers.end(), product.begin(), product.end());
  for (const Signal<Real>& signal : rows_) {
    for (int i = 0; i < product_.rank(); ++i) {
      const auto row = signal.values.row(i).first(std::size_t(signal.width));
      numbers.insert(numbers.end(), row.begin(), row.end());
      numbers.push_back(signal.exponents[std::size_t(i)]);
    }
  }
  numbers.resize(size);
  return numbers;
}

template <class Real>
void Directions<Real>::unpack(int blocks_before, std::span<const double> numbers) {
  expect(numbers.size() == packed_size(blocks_before), "the directions of this cut");
  if (numbers.empty()) return;
  const auto take = [&](std::size_t count) {
    const std::span<const double> taken = numbers.first(count);
    numbers = numbers.subspan(count);
    return taken;
  };
  const int count = first_directions(network_);
  std::ranges::copy(take(log_sums_.size()), log_sums_.begin());
  product_ = GradedProduct::unpacked(count, take(GradedProduct::packed_size(count)));
  rows_.clear();
  if (request_.from > blocks_before) return;
  for (const int width : state_widths(network_, blocks_before)) {
    Signal<Real>& signal = rows_.emplace_back(padded_rows(product_.rank()), width);
    for (int i = 0; i < product_.rank(); ++i) {
      std::ranges::transform(take(std::size_t(width)), signal.values.row(i).begin(),
                             [](double v) { return Real(v); });
      signal.exponents[std::size_t(i)] = std::int32_t(take(1).front());
    }
  }
}

template class Directions<float>;
template class Directions<double>;

}  // namespace gradflow::nn
