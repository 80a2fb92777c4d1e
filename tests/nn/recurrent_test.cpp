#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "gradflow/core/random.hpp"
#include "gradflow/nn/tied_gradient.hpp"
#include "time_chain.hpp"

/// Blocks that are steps in time: chains of three steps against plain float64 loops and their finite
/// differences.
namespace gradflow::nn {
namespace {

constexpr int samples = 6, steps = 3;

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

/// A block's contribution 2^exponent times that of another one.
void add_at(TiedGradient<float>& sum, const Table& x, const Table& dz, std::int32_t exponent) {
  const auto rounded = [](const Table& from) {
    const Signal<double> exact = signal_of(from);
    Signal<float> signal(exact.rows(), exact.width);
    for (int s = 0; s < exact.rows(); ++s) {
      for (int j = 0; j < exact.width; ++j) signal.values(s, j) = float(exact.values(s, j));
    }
    return signal;
  };
  Signal<float> scaled = rounded(dz);
  std::ranges::fill(scaled.exponents, exponent);
  sum.add(rounded(x), scaled, {{0, 0, samples, 0}});
}

/// In float32 a product of 2^-120 times a sum's elements would be made of subnormal numbers, which are slow
/// and change no digit. In whatever order they come.
TEST(TiedGradient, LeavesOutWhatChangesNoDigit) {
  const NetworkSpec spec = spec_of({"rnn"});
  const Table x = random_table(Purpose::data, 0), dz = random_table(Purpose::cotangent, 0);
  const auto norm_of = [&](const std::vector<std::int32_t>& exponents) {
    TiedGradient<float> sum({spec});
    for (const std::int32_t exponent : exponents) add_at(sum, x, dz, exponent);
    return sum.squared().front().log10();
  };

  const double alone = norm_of({-500});

  EXPECT_EQ(norm_of({-500, -620, -640}), alone);
  EXPECT_EQ(norm_of({-620, -500}), alone);
  EXPECT_NEAR(norm_of({-500, -510}), alone + 2 * std::log10(1 + std::ldexp(1.0, -10)), 1e-6);
}

TEST(StepCatalogue, IsCoveredByTheseTests) {
  const std::vector<Kind> kinds = every_kind();
  for (const BlockRow& row : blocks()) {
    const bool covered = std::ranges::any_of(kinds, [&](const Kind& kind) { return kind.block == row.name; });
    EXPECT_EQ(covered, row.steps_in_time) << row.name;
  }
}

}  // namespace
}  // namespace gradflow::nn
