#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "gradflow/core/random.hpp"
#include "gradflow/nn/block.hpp"
#include "gradflow/nn/tied_gradient.hpp"
#include "networks.hpp"

/// Blocks that are steps in time: chains of three steps against plain float64 loops and their finite
/// differences, and the laws that hold exactly.
namespace gradflow::nn {
namespace {

using Table = std::vector<std::vector<double>>;  ///< [row][column]

constexpr int samples = 6, width = 6, steps = 3;
constexpr int first_step = 2;  // the first step of a network has no gradient for its input

struct Kind {
  std::string block;
  std::string activation = "tanh";
  Recurrence options = {};
};

void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.block << " " << kind.activation << (kind.options.gaussian_input ? " input" : "")
       << (kind.options.forget_gate ? "" : " no forget gate") << (kind.options.t_max ? " chrono" : "");
}

NetworkSpec spec_of(const Kind& kind) {
  NetworkSpec spec =
      with_batch(network(Widths::uniform(first_step + steps, width), kind.activation, 1.3, 0.4), samples);
  spec.block = kind.block;
  spec.recurrence = kind.options;
  return spec;
}

/// What the steps compute with, in float64.
struct Weights {
  Table w;                ///< [gates * width][width]
  std::vector<double> b;  ///< [gates * width]
  Table w_x;              ///< [gates * width][width]
};

Table matrix_of(const NetworkSpec& spec, WeightRole role) {
  const int rows = gates_of(spec) * width;
  const auto z = unit_weights<double>(*spec.init.scheme, spec.seed, 1, width, rows, role);
  Table w(static_cast<std::size_t>(rows), std::vector<double>(width));
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < width; ++j) w[i][j] = spec.init.weight_scale(width, rows) * z(i, j);
  }
  return w;
}

Weights weights_of(const NetworkSpec& spec) {
  Weights weights{matrix_of(spec, WeightRole::first), {}, matrix_of(spec, WeightRole::input)};
  const auto bias = unit_bias<double>(*spec.init.scheme, spec.seed, 1, gates_of(spec) * width);
  for (int i = 0; i < gates_of(spec) * width; ++i) {
    weights.b.push_back(spec.init.effective_sigma_b(width) * bias(0, i));
  }
  return weights;
}

std::vector<double> product(const Table& w, const std::vector<double>& x) {
  std::vector<double> y(w.size(), 0.0);
  for (std::size_t i = 0; i < w.size(); ++i) {
    for (std::size_t j = 0; j < x.size(); ++j) y[i] += w[i][j] * x[j];
  }
  return y;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

std::vector<double> input_of(const NetworkSpec& spec, int step, int sample) {
  std::vector<double> x(width, 0.0);
  if (!spec.recurrence.gaussian_input) return x;
  fill_normal<double>({spec.seed, Purpose::step_input, std::uint32_t(step)}, std::uint32_t(sample),
                      std::span(x));
  return x;
}

/// b_f of each unit; the input gate has the negative if t_max is given.
std::vector<double> forget_biases(const NetworkSpec& spec) {
  std::vector<double> biases(width, spec.recurrence.forget_bias);
  if (!spec.recurrence.t_max) return biases;
  fill_uniform<double>({spec.seed, Purpose::chrono_bias, 1}, 0, std::span(biases));
  for (double& b : biases) {
    b = std::log(1 + (*spec.recurrence.t_max - 2) * (b + std::sqrt(3.0)) / std::sqrt(12.0));
  }
  return biases;
}

/// One step of one sample as its definition reads.
void plain_step(const NetworkSpec& spec, const Weights& weights, int step, int sample, std::vector<double>& h,
                std::vector<double>& c) {
  const auto phi = [&](double x) { return spec.activation.value(x); };
  const std::vector<double> a = product(weights.w, h);
  const std::vector<double> u = product(weights.w_x, input_of(spec, step, sample));
  const std::vector<double> b_f = forget_biases(spec);
  const bool is_chrono = spec.recurrence.t_max.has_value();
  const double leak = spec.recurrence.leak;
  for (std::size_t j = 0; j < width; ++j) {
    const auto row = [&](std::size_t gate) { return gate * width + j; };
    const auto z = [&](std::size_t gate) { return a[row(gate)] + weights.b[row(gate)] + u[row(gate)]; };
    if (spec.block == "rnn") h[j] = phi(z(0));
    if (spec.block == "leaky_rnn") h[j] = (1 - leak) * h[j] + leak * phi(z(0));
    if (spec.block == "gru") {
      const double n = phi(u[row(0)] + sigmoid(z(2)) * (a[row(0)] + weights.b[row(0)]));
      h[j] = (1 - sigmoid(z(1))) * n + sigmoid(z(1)) * h[j];
    }
    if (spec.block == "lstm") {
      const double f = spec.recurrence.forget_gate ? sigmoid(z(3) + b_f[j]) : 1;
      c[j] = f * c[j] + sigmoid(z(1) - (is_chrono ? b_f[j] : 0)) * phi(z(0));
      h[j] = sigmoid(z(2)) * phi(c[j]);
    }
  }
}

/// h and c of every sample.
struct Signals {
  Table h, c;
};

Signals plain_chain(const NetworkSpec& spec, const Weights& weights, Signals state) {
  for (int t = first_step; t < first_step + steps; ++t) {
    for (int s = 0; s < samples; ++s) plain_step(spec, weights, t, s, state.h[s], state.c[s]);
  }
  return state;
}

Table random_table(Purpose purpose, std::uint32_t layer) {
  Table x(samples, std::vector<double>(width));
  for (int s = 0; s < samples; ++s)
    fill_normal<double>({5, purpose, layer}, std::uint32_t(s), std::span(x[s]));
  return x;
}

Table zeros(int rows) { return Table(std::size_t(rows), std::vector<double>(width, 0.0)); }

Table unit_table() {
  Table x = zeros(width);
  for (std::size_t i = 0; i < width; ++i) x[i][i] = 1;
  return x;
}

Signal<double> signal_of(const Table& x) {
  Signal<double> signal(padded_rows(int(x.size())), width);
  for (std::size_t s = 0; s < x.size(); ++s) std::ranges::copy(x[s], signal.values.row(int(s)).begin());
  return signal;
}

Table table_of(const Signal<double>& signal, int rows) {
  Table x(static_cast<std::size_t>(rows), std::vector<double>(static_cast<std::size_t>(signal.width)));
  for (int s = 0; s < rows; ++s) {
    for (int j = 0; j < signal.width; ++j) x[s][j] = std::ldexp(signal.values(s, j), signal.exponents[s]);
  }
  return x;
}

State<double> state_of(const NetworkSpec& spec, const Signals& signals) {
  State<double> state;
  state.push_back(signal_of(signals.h));
  if (spec.block == "lstm") state.push_back(signal_of(signals.c));
  return state;
}

double inner(const Table& a, const Table& b) {
  double sum = 0;
  for (std::size_t s = 0; s < a.size(); ++s) {
    for (std::size_t j = 0; j < a[s].size(); ++j) sum += a[s][j] * b[s][j];
  }
  return sum;
}

double norm(const Table& a) { return std::sqrt(inner(a, a)); }

double distance(Table a, const Table& b) {
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
    Table& w = weight.try_emplace(matrix, d.front().size(), std::vector<double>(width, 0.0)).first->second;
    std::vector<double>& b = bias.try_emplace(matrix, d.front().size(), 0.0).first->second;
    for (std::size_t s = 0; s < x.size(); ++s) {
      for (std::size_t i = 0; i < w.size(); ++i) {
        b[i] += d[s][i];
        for (std::size_t j = 0; j < width; ++j) w[i][j] += d[s][i] * x[s][j];
      }
    }
  }
  std::vector<WeightGradientNorms> norms(WeightRole) const override { return {}; }

  std::map<WeightRole, Table> weight;
  std::map<WeightRole, std::vector<double>> bias;
};

/// The running sum of a bundle, once as it is and once taken to another stage behind every step.
struct TravellingSum final : WeightGradient<double> {
  explicit TravellingSum(const Bundle& of) : bundle(of), here(of), travelled(of) {}

  void add(WeightRole matrix, Signal<double> input, Signal<double> dz, const Stack& stack) override {
    if (matrix != WeightRole::first) return;
    here.add(input, dz, stack);
    travelled.add(input, dz, stack);
    const Signal<double> message = travelled.packed();
    travelled = TiedGradient<double>(bundle);
    travelled.unpack(message);
  }
  std::vector<WeightGradientNorms> norms(WeightRole) const override { return {}; }

  Bundle bundle;
  TiedGradient<double> here, travelled;
};

/// A chain of blocks, their tapes and what they show.
class Chain {
 public:
  Chain(const NetworkSpec& spec, int length) : bundle_{spec}, tapes_(std::size_t(length)) {
    for (int t = 0; t < length; ++t) blocks_.push_back(make_block<double>(bundle_, first_step + t));
  }

  State<double> forward(State<double> x) {
    for (std::size_t t = 0; t < blocks_.size(); ++t) {
      x = blocks_[t]->forward(std::move(x), stack_, tapes_[t], seen, failures);
    }
    return x;
  }

  State<double> backward(State<double> dy) { return backward(std::move(dy), gradient); }

  State<double> backward(State<double> dy, WeightGradient<double>& to) {
    for (std::size_t t = blocks_.size(); t-- > 0;) {
      dy = blocks_[t]->backward(std::move(dy), Entry::output, stack_, tapes_[t], seen, to, failures);
    }
    return dy;
  }

  const std::vector<Tape<double>>& tapes() const { return tapes_; }

  Seen seen;
  SummedGradient gradient;
  Failures failures = Failures(1);

 private:
  Bundle bundle_;
  Stack stack_ = microbatch_rows(bundle_, 0, 1);
  std::vector<std::unique_ptr<Block<double>>> blocks_;
  std::vector<Tape<double>> tapes_;
};

/// dE/dv of every number in `values` by central differences. Truncation is of the order step^2, rounding of
/// 1e-16/step: both near 1e-10 of E.
Table differences(Table& values, const std::function<double()>& energy) {
  constexpr double step = 1e-5;
  Table gradient = values;
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (std::size_t j = 0; j < values[i].size(); ++j) {
      const double kept = values[i][j];
      values[i][j] = kept + step;
      const double above = energy();
      values[i][j] = kept - step;
      gradient[i][j] = (above - energy()) / (2 * step);
      values[i][j] = kept;
    }
  }
  return gradient;
}

class EveryStep : public testing::TestWithParam<Kind> {
 protected:
  bool has_cell() const { return spec.block == "lstm"; }

  /// E = c_h . h_T + c_c . c_T
  double energy() const {
    const Signals end = plain_chain(spec, weights, x);
    return inner(c.h, end.h) + (has_cell() ? inner(c.c, end.c) : 0);
  }

  NetworkSpec spec = spec_of(GetParam());
  Weights weights = weights_of(spec);
  Signals x{random_table(Purpose::data, 0), random_table(Purpose::data, 1)};
  Signals c{random_table(Purpose::cotangent, 0), random_table(Purpose::cotangent, 1)};
  Chain chain{spec, steps};
};

TEST_P(EveryStep, ComputesItsDefinition) {
  const Signals expected = plain_chain(spec, weights, x);

  const State<double> y = chain.forward(state_of(spec, x));

  // Three steps of sums of a few numbers of order 1 in float64.
  EXPECT_LT(distance(table_of(y[0], samples), expected.h), 1e-13 * norm(expected.h));
  if (has_cell()) {
    EXPECT_LT(distance(table_of(y[1], samples), expected.c), 1e-13 * norm(expected.c));
  }
  EXPECT_FALSE(chain.failures.front());
}

TEST_P(EveryStep, HasTheStateGradientOfFiniteDifferences) {
  chain.forward(state_of(spec, x));

  const State<double> dx = chain.backward(state_of(spec, c));

  const Table of_h = differences(x.h, [&] { return energy(); });
  EXPECT_LT(distance(table_of(dx[0], samples), of_h), 1e-6 * norm(of_h));
  if (!has_cell()) return;
  const Table of_c = differences(x.c, [&] { return energy(); });
  EXPECT_LT(distance(table_of(dx[1], samples), of_c), 1e-6 * norm(of_c));
}

TEST_P(EveryStep, AddsUpToTheGradientOfTheTiedWeights) {
  chain.forward(state_of(spec, x));

  chain.backward(state_of(spec, c));

  const Table of_w = differences(weights.w, [&] { return energy(); });
  EXPECT_LT(distance(chain.gradient.weight[WeightRole::first], of_w), 1e-6 * norm(of_w));
  Table bias{weights.b};
  const Table of_b = differences(bias, [&] {
    weights.b = bias.front();
    return energy();
  });
  weights.b = bias.front();
  EXPECT_LT(distance({chain.gradient.bias[WeightRole::first]}, of_b), 1e-6 * norm(of_b));
  if (!spec.recurrence.gaussian_input) return;
  const Table of_w_x = differences(weights.w_x, [&] { return energy(); });
  EXPECT_LT(distance(chain.gradient.weight[WeightRole::input], of_w_x), 1e-6 * norm(of_w_x));
}

TEST_P(EveryStep, SumsTheTiedGradientWhereverTheChainIsCut) {
  Chain second(spec, steps);
  TravellingSum sum({spec});
  chain.forward(state_of(spec, x));
  second.forward(state_of(spec, x));

  chain.backward(state_of(spec, c));
  second.backward(state_of(spec, c), sum);

  const Scaled norm_squared = sum.here.squared().front();
  const double expected = norm(chain.gradient.weight[WeightRole::first]) / samples;
  EXPECT_NEAR(std::sqrt(norm_squared.value()), expected, 1e-13 * expected);
  EXPECT_EQ(sum.travelled.squared().front().value(), norm_squared.value());
}

TEST_P(EveryStep, ShowsAndTapesWhatItSays) {
  chain.forward(state_of(spec, x));
  for (const Tape<double>& tape : chain.tapes()) {
    EXPECT_EQ(int(tape.size()), block_of(spec).taped_signals(spec));
  }
  chain.backward(state_of(spec, c));
  for (const Tape<double>& tape : chain.tapes()) EXPECT_TRUE(tape.empty());

  const BlockParts parts = parts_of(spec);
  std::set<Role> seen;
  for (const auto& [role, table] : chain.seen.signals) seen.insert(role);
  EXPECT_EQ(seen, std::set<Role>(parts.signals.begin(), parts.signals.end()));
  EXPECT_TRUE(std::ranges::includes(seen, chain.seen.counted));
}

std::vector<Kind> every_kind() {
  std::vector<Kind> kinds;
  for (const bool input : {false, true}) {
    kinds.push_back({"rnn", "tanh", {.gaussian_input = input}});
    kinds.push_back({"leaky_rnn", "tanh", {.gaussian_input = input, .leak = 0.3}});
    kinds.push_back({"gru", "tanh", {.gaussian_input = input}});
    kinds.push_back({"lstm", "tanh", {.gaussian_input = input, .forget_bias = 0.7}});
  }
  kinds.push_back({"lstm", "sin", {.forget_gate = false}});
  kinds.push_back({"lstm", "tanh", {.t_max = 40}});
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryStep, testing::ValuesIn(every_kind()));

TEST(StepCatalogue, IsCoveredByTheseTests) {
  const std::vector<Kind> kinds = every_kind();
  for (const BlockRow& row : blocks()) {
    const bool covered = std::ranges::any_of(kinds, [&](const Kind& kind) { return kind.block == row.name; });
    EXPECT_EQ(covered, row.steps_in_time) << row.name;
  }
}

/// a I + b W' of the candidate's rows, to the power of `power`, times each unit vector in a row.
Table power_of(const Table& w, double a, double b, int power) {
  Table result = unit_table();
  for (int t = 0; t < power; ++t) {
    Table next = zeros(width);
    for (std::size_t s = 0; s < width; ++s) {
      for (std::size_t j = 0; j < width; ++j) {
        next[s][j] = a * result[s][j];
        for (std::size_t i = 0; i < width; ++i) next[s][j] += b * result[s][i] * w[i][j];
      }
    }
    result = std::move(next);
  }
  return result;
}

/// The Jacobian of a long chain at the state 0 without biases.
class AtTheZeroState : public testing::Test {
 protected:
  static constexpr int length = 40;

  static NetworkSpec at_zero(const std::string& block, const std::string& activation, Recurrence options) {
    NetworkSpec spec = with_batch(network(Widths::uniform(length + 1, width), activation, 1.1), width);
    spec.block = block;
    spec.recurrence = options;
    return spec;
  }

  static State<double> gradient(const NetworkSpec& spec, const Signals& cotangent) {
    Chain chain(spec, length);
    chain.forward(state_of(spec, {zeros(width), zeros(width)}));
    return chain.backward(state_of(spec, cotangent));
  }

  static void expect_power(const NetworkSpec& spec, double a, double b) {
    const Table expected = power_of(matrix_of(spec, WeightRole::first), a, b, length);

    const State<double> dh = gradient(spec, {unit_table(), {}});

    EXPECT_LT(distance(table_of(dh.front(), width), expected), 1e-12 * norm(expected));
  }
};

TEST_F(AtTheZeroState, RnnHasThePowerOfItsMatrix) {
  expect_power(at_zero("rnn", "tanh", {}), 0, 1);
  expect_power(at_zero("rnn", "linear", {}), 0, 1);
}

TEST_F(AtTheZeroState, LeakyRnnKeepsAShareOfItself) {
  expect_power(at_zero("leaky_rnn", "tanh", {.leak = 0.2}), 0.8, 0.2);
}

/// u = r = sigmoid(0)
TEST_F(AtTheZeroState, GruHasItsGatesAtOneHalf) { expect_power(at_zero("gru", "tanh", {}), 0.5, 0.25); }

/// dc_T/dc_0 = f (f I + i o W_r)^(T - 1) with h_0 held fixed, dc_T/dc_1 = (f I + i o W_r)^(T - 1) with
/// h_1 = o tanh(c_1).
TEST_F(AtTheZeroState, LstmHasThePathsThroughItsOutputToo) {
  const NetworkSpec spec = at_zero("lstm", "tanh", {.forget_bias = 1});
  const double f = sigmoid(1), i = 0.5, o = 0.5;
  const Table w = matrix_of(spec, WeightRole::first);
  const Table before = power_of(w, f, i * o, length - 1), after = power_of(w, f, i * o, length);

  const State<double> d = gradient(spec, {zeros(width), unit_table()});

  Table of_c = table_of(d[1], width), total = of_c;
  const Table of_h = table_of(d[0], width);
  for (std::size_t s = 0; s < width; ++s) {
    for (std::size_t j = 0; j < width; ++j) {
      total[s][j] += o * of_h[s][j];
      of_c[s][j] /= f;
    }
  }
  EXPECT_LT(distance(of_c, before), 1e-12 * norm(before));
  EXPECT_LT(distance(total, after), 1e-12 * norm(after));
}

TEST_F(AtTheZeroState, ChronoGatesRememberUpToTMaxSteps) {
  const double t_max = 50;
  NetworkSpec spec = at_zero("lstm", "tanh", {.t_max = t_max});
  Chain chain(spec, 1);

  chain.forward(state_of(spec, {zeros(width), zeros(width)}));

  const Table& f = chain.seen.signals.at(Role::gate_forget);
  const Table& i = chain.seen.signals.at(Role::gate_input);
  std::set<double> values;
  for (std::size_t j = 0; j < width; ++j) {
    const double u = f[0][j] / (1 - f[0][j]);  // exp(b_f) ~ U(1, t_max - 1)
    EXPECT_GT(u, 1);
    EXPECT_LT(u, t_max - 1);
    EXPECT_NEAR(i[0][j], 1 - f[0][j], 1e-15);
    values.insert(u);
  }
  EXPECT_EQ(values.size(), width) << "a number for each unit";
}

/// A rotation of the state keeps every gradient's length; its rounding grows like the number of steps.
TEST(OrthogonalRecurrence, KeepsTheLengthOfEveryGradient) {
  NetworkSpec spec = with_batch(network(Widths::uniform(201, width), "linear", 1), width);
  spec.block = "rnn";
  spec.init = Initialisation::make("orthogonal", 1.0);
  Chain chain(spec, 200);
  chain.forward(state_of(spec, {unit_table(), {}}));

  const Table dh = table_of(chain.backward(state_of(spec, {unit_table(), {}})).front(), width);

  for (const std::vector<double>& row : dh) EXPECT_NEAR(norm({row}), 1, 200 * 1e-15);
}

/// Identity and ReLU (Le, Jaitly and Hinton 2015): a positive state stays as it is, and so does its gradient.
TEST(IdentityRecurrence, WithReluLeavesPositiveStatesAsTheyAre) {
  NetworkSpec spec = with_batch(network(Widths::uniform(101, width), "relu", 1), width);
  spec.block = "rnn";
  spec.init = Initialisation::make("identity", 1.0);
  const Table positive(width, std::vector<double>(width, 0.37));
  Chain chain(spec, 100);

  const State<double> h = chain.forward(state_of(spec, {positive, {}}));
  const State<double> dh = chain.backward(state_of(spec, {unit_table(), {}}));

  EXPECT_EQ(table_of(h.front(), width), positive);
  EXPECT_EQ(table_of(dh.front(), width), unit_table());
}

}  // namespace
}  // namespace gradflow::nn
