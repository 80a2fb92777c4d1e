#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "gradflow/nn/block.hpp"
#include "networks.hpp"

/// Blocks that are steps in time, one behind the other, with everything they show and leave.
namespace gradflow::nn {

using Table = std::vector<std::vector<double>>;  ///< [row][column]

constexpr int width = 6;
constexpr int first_step = 2;  // the first step of a network has no gradient for its input

/// Features of x_t.
inline int input_width(const NetworkSpec& spec, int level) {
  return level == 1 && spec.recurrence.input == StepInput::data ? spec.recurrence.input_width : width;
}

inline Table matrix_of(const NetworkSpec& spec, WeightRole role, int level = 1) {
  const int rows = gates_of(spec) * width;
  const int columns = role == WeightRole::input ? input_width(spec, level) : width;
  const auto z = unit_weights<double>(*spec.init.scheme, spec.seed, level, columns, rows, role);
  Table w(static_cast<std::size_t>(rows), std::vector<double>(static_cast<std::size_t>(columns)));
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) w[i][j] = spec.init.weight_scale(columns, rows) * z(i, j);
  }
  return w;
}

/// h and c of every sample, of one level.
struct Signals {
  Table h, c;
};

/// Of each level, the first one first.
using Levels = std::vector<Signals>;

inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

inline Table zeros(int rows) { return Table(std::size_t(rows), std::vector<double>(width, 0.0)); }

inline Table unit_table() {
  Table x = zeros(width);
  for (std::size_t i = 0; i < width; ++i) x[i][i] = 1;
  return x;
}

inline Signal<double> signal_of(const Table& x) {
  Signal<double> signal(padded_rows(int(x.size())), width);
  for (std::size_t s = 0; s < x.size(); ++s) std::ranges::copy(x[s], signal.values.row(int(s)).begin());
  return signal;
}

inline Table table_of(const Signal<double>& signal, int rows) {
  Table x(static_cast<std::size_t>(rows), std::vector<double>(static_cast<std::size_t>(signal.width)));
  for (int s = 0; s < rows; ++s) {
    for (int j = 0; j < signal.width; ++j) x[s][j] = std::ldexp(signal.values(s, j), signal.exponents[s]);
  }
  return x;
}

/// The queue of levels before a step: that of the last level, which has moved last, is in front.
inline State<double> state_of(const NetworkSpec& spec, const Levels& levels) {
  State<double> state;
  for (std::size_t level = levels.size(); level-- > 0;) {
    state.push_back(signal_of(levels[level].h));
    if (spec.block == "lstm") state.push_back(signal_of(levels[level].c));
  }
  return state;
}

inline State<double> state_of(const NetworkSpec& spec, const Signals& signals) {
  return state_of(spec, Levels{signals});
}

inline double inner(const Table& a, const Table& b) {
  double sum = 0;
  for (std::size_t s = 0; s < a.size(); ++s) {
    for (std::size_t j = 0; j < a[s].size(); ++j) sum += a[s][j] * b[s][j];
  }
  return sum;
}

inline double norm(const Table& a) { return std::sqrt(inner(a, a)); }

inline double distance(Table a, const Table& b) {
  for (std::size_t s = 0; s < a.size(); ++s) {
    for (std::size_t j = 0; j < a[s].size(); ++j) a[s][j] -= b[s][j];
  }
  return norm(a);
}

/// The roles that are shown.
class Seen final : public Observer<double> {
 public:
  void see(Role role, const Signal<double>& signal, const RowRange& tile) override {
    const std::scoped_lock lock(mutex_);
    signals[role] = table_of(signal, tile.samples);
  }
  void count_saturated(Role role, int, std::int64_t) override { counted.insert(role); }
  void count_lost(Role, int, std::span<const std::int64_t>) override {}

  std::map<Role, Table> signals;
  std::set<Role> counted;

 private:
  std::mutex mutex_;
};

/// The sum over steps and samples of dz x' and of dz.
struct SummedGradient final : WeightGradient<double> {
  void add(WeightRole matrix, Signal<double> input, Signal<double> dz, const Stack& stack) override {
    const Table x = table_of(input, stack.front().samples);
    const Table d = table_of(dz, stack.front().samples);
    const std::vector<double> none(x.front().size(), 0.0);
    Table& w = weight.try_emplace(matrix, d.front().size(), none).first->second;
    std::vector<double>& b = bias.try_emplace(matrix, d.front().size(), 0.0).first->second;
    for (std::size_t s = 0; s < x.size(); ++s) {
      for (std::size_t i = 0; i < w.size(); ++i) {
        b[i] += d[s][i];
        for (std::size_t j = 0; j < x[s].size(); ++j) w[i][j] += d[s][i] * x[s][j];
      }
    }
  }
  std::vector<WeightGradientNorms> norms(WeightRole) const override { return {}; }

  std::map<WeightRole, Table> weight;
  std::map<WeightRole, std::vector<double>> bias;
};

/// A chain of the blocks of some steps, from first_step on, their tapes and what they show.
class Chain {
 public:
  Chain(const NetworkSpec& spec, int steps)
      : gradients(std::size_t(spec.recurrence.stack)),
        bundle_{spec},
        tapes_(std::size_t(steps) * std::size_t(spec.recurrence.stack)) {
    const int first_layer = (first_step - 1) * spec.recurrence.stack + 1;
    for (int i = 0; i < int(tapes_.size()); ++i) {
      blocks_.push_back(make_block<double>(bundle_, first_layer + i));
    }
  }

  State<double> forward(State<double> x) {
    for (std::size_t t = 0; t < blocks_.size(); ++t) {
      x = blocks_[t]->forward(std::move(x), stack_, tapes_[t], seen, failures);
    }
    return x;
  }

  State<double> backward(State<double> dy) { return backward(std::move(dy), gradients); }

  /// @param to  by level
  template <class Gradient>
  State<double> backward(State<double> dy, std::vector<Gradient>& to) {
    for (std::size_t t = blocks_.size(); t-- > 0;) {
      dy = blocks_[t]->backward(std::move(dy), Entry::output, stack_, tapes_[t], seen, to[t % to.size()],
                                failures);
    }
    return dy;
  }

  const std::vector<Tape<double>>& tapes() const { return tapes_; }

  Seen seen;
  std::vector<SummedGradient> gradients;  ///< by level
  Failures failures = Failures(1);

 private:
  Bundle bundle_;
  Stack stack_ = microbatch_rows(bundle_, 0, 1);
  std::vector<std::unique_ptr<Block<double>>> blocks_;
  std::vector<Tape<double>> tapes_;
};

}  // namespace gradflow::nn
