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
  constexpr const char* inputs[] = {"", " input", " data"};
  *out << kind.block << " " << kind.activation << inputs[int(kind.options.input)] << " stack "
       << kind.options.stack << (kind.options.forget_gate ? "" : " no forget gate")
       << (kind.options.t_max ? " chrono" : "");
}

NetworkSpec spec_of(const Kind& kind) {
  const int layers = (first_step + steps) * kind.options.stack;
  NetworkSpec spec = with_batch(network(Widths::uniform(layers, width), kind.activation, 1.3, 0.4), samples);
  spec.block = kind.block;
  spec.recurrence = kind.options;
  return spec;
}

/// What the steps of a level compute with, in float64.
struct Weights {
  Table w;                ///< [gates * width][width]
  std::vector<double> b;  ///< [gates * width]
  Table w_x;              ///< [gates * width][features of x_t]
};

Weights weights_of(const NetworkSpec& spec, int level) {
  Weights weights{matrix_of(spec, WeightRole::first, level), {}, matrix_of(spec, WeightRole::input, level)};
  const auto bias = unit_bias<double>(*spec.init.scheme, spec.seed, level, gates_of(spec) * width);
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

/// The step's piece of a sample of the data, independent N(0, 1) numbers.
std::vector<double> piece_of_data(const NetworkSpec& spec, int step, int sample) {
  const int features = input_width(spec, 1);
  std::vector<double> all(static_cast<std::size_t>(spec.steps() * features));
  fill_normal<double>({spec.seed, Purpose::data, 0}, std::uint32_t(sample), std::span(all));
  const auto first = all.begin() + (step - 1) * features;
  return {first, first + features};
}

/// x_t of level 1.
std::vector<double> input_of(const NetworkSpec& spec, int step, int sample) {
  if (spec.recurrence.input == StepInput::data) return piece_of_data(spec, step, sample);
  std::vector<double> x(width, 0.0);
  if (spec.recurrence.input == StepInput::none) return x;
  fill_normal<double>({spec.seed, Purpose::step_input, std::uint32_t(step)}, std::uint32_t(sample),
                      std::span(x));
  return x;
}

/// b_f of each unit; the input gate has the negative if t_max is given.
std::vector<double> forget_biases(const NetworkSpec& spec, int level) {
  std::vector<double> biases(width, spec.recurrence.forget_bias);
  if (!spec.recurrence.t_max) return biases;
  fill_uniform<double>({spec.seed, Purpose::chrono_bias, std::uint32_t(level)}, 0, std::span(biases));
  for (double& b : biases) {
    b = std::log(1 + (*spec.recurrence.t_max - 2) * (b + std::sqrt(3.0)) / std::sqrt(12.0));
  }
  return biases;
}

/// One step of one sample of a level as its definition reads.
void plain_step(const NetworkSpec& spec, int level, const Weights& weights, const std::vector<double>& x,
                std::vector<double>& h, std::vector<double>& c) {
  const auto phi = [&](double z) { return spec.activation.value(z); };
  const std::vector<double> a = product(weights.w, h);
  const std::vector<double> u = product(weights.w_x, x);
  const std::vector<double> b_f = forget_biases(spec, level);
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

Levels plain_chain(const NetworkSpec& spec, const std::vector<Weights>& weights, Levels state) {
  for (int t = first_step; t < first_step + steps; ++t) {
    for (int s = 0; s < samples; ++s) {
      std::vector<double> x = input_of(spec, t, s);
      for (std::size_t k = 0; k < state.size(); ++k) {
        plain_step(spec, int(k) + 1, weights[k], x, state[k].h[s], state[k].c[s]);
        x = state[k].h[s];
      }
    }
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
  EveryStep() {
    for (int level = 1; level <= spec.recurrence.stack; ++level) {
      const auto first = std::uint32_t(2 * level - 2);
      weights.push_back(weights_of(spec, level));
      x.push_back({random_table(Purpose::data, first), random_table(Purpose::data, first + 1)});
      c.push_back({random_table(Purpose::cotangent, first), random_table(Purpose::cotangent, first + 1)});
    }
  }

  bool has_cell() const { return spec.block == "lstm"; }
  bool has_input(std::size_t level) const { return level > 0 || spec.recurrence.input != StepInput::none; }

  /// Where a level's h stands in the state.
  std::size_t place_of(std::size_t level) const {
    return (weights.size() - 1 - level) * std::size_t(block_of(spec).state_signals);
  }

  /// E = c_h . h_T + c_c . c_T of all levels
  double energy() const {
    const Levels end = plain_chain(spec, weights, x);
    double sum = 0;
    for (std::size_t k = 0; k < end.size(); ++k) {
      sum += inner(c[k].h, end[k].h) + (has_cell() ? inner(c[k].c, end[k].c) : 0);
    }
    return sum;
  }

  void expect_differences(const Table& gradient, Table& values) {
    const Table expected = differences(values, [&] { return energy(); });
    EXPECT_LT(distance(gradient, expected), 1e-6 * norm(expected));
  }

  NetworkSpec spec = spec_of(GetParam());
  std::vector<Weights> weights;  ///< by level, as what follows
  Levels x;
  Levels c;
  Chain chain{spec, steps};
};

TEST_P(EveryStep, ComputesItsDefinition) {
  const Levels expected = plain_chain(spec, weights, x);

  const State<double> y = chain.forward(state_of(spec, x));

  // Three steps of sums of a few numbers of order 1 in float64.
  for (std::size_t k = 0; k < x.size(); ++k) {
    const std::size_t i = place_of(k);
    EXPECT_LT(distance(table_of(y[i], samples), expected[k].h), 1e-13 * norm(expected[k].h));
    if (!has_cell()) continue;
    EXPECT_LT(distance(table_of(y[i + 1], samples), expected[k].c), 1e-13 * norm(expected[k].c));
  }
  EXPECT_FALSE(chain.failures.front());
}

TEST_P(EveryStep, HasTheStateGradientOfFiniteDifferences) {
  chain.forward(state_of(spec, x));

  const State<double> dx = chain.backward(state_of(spec, c));

  for (std::size_t k = 0; k < x.size(); ++k) {
    const std::size_t i = place_of(k);
    expect_differences(table_of(dx[i], samples), x[k].h);
    if (has_cell()) expect_differences(table_of(dx[i + 1], samples), x[k].c);
  }
}

TEST_P(EveryStep, AddsUpToTheGradientOfTheTiedWeights) {
  chain.forward(state_of(spec, x));

  chain.backward(state_of(spec, c));

  for (std::size_t k = 0; k < x.size(); ++k) {
    SummedGradient& gradient = chain.gradients[k];
    expect_differences(gradient.weight[WeightRole::first], weights[k].w);
    Table bias{weights[k].b};
    const Table of_b = differences(bias, [&] {
      weights[k].b = bias.front();
      return energy();
    });
    weights[k].b = bias.front();
    EXPECT_LT(distance({gradient.bias[WeightRole::first]}, of_b), 1e-6 * norm(of_b));
    if (has_input(k)) expect_differences(gradient.weight[WeightRole::input], weights[k].w_x);
  }
}

TEST_P(EveryStep, SumsTheTiedGradientWhereverTheChainIsCut) {
  Chain second(spec, steps);
  std::vector<TravellingSum> sums;
  for (std::size_t k = 0; k < x.size(); ++k) sums.emplace_back(Bundle{spec});
  chain.forward(state_of(spec, x));
  second.forward(state_of(spec, x));

  chain.backward(state_of(spec, c));
  second.backward(state_of(spec, c), sums);

  for (std::size_t k = 0; k < x.size(); ++k) {
    const Scaled norm_squared = sums[k].here.squared().front();
    const double expected = norm(chain.gradients[k].weight[WeightRole::first]) / samples;
    EXPECT_NEAR(std::sqrt(norm_squared.value()), expected, 1e-13 * expected);
    EXPECT_EQ(sums[k].travelled.squared().front().value(), norm_squared.value());
  }
}

TEST_P(EveryStep, ShowsAndTapesWhatItSays) {
  chain.forward(state_of(spec, x));
  for (const Tape<double>& tape : chain.tapes()) {
    EXPECT_LE(int(tape.size()), block_of(spec).taped_signals(spec));
    EXPECT_GE(int(tape.size()), block_of(spec).taped_signals(spec) - (spec.recurrence.stack > 1 ? 1 : 0));
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
  for (const StepInput given : {StepInput::none, StepInput::gaussian}) {
    kinds.push_back({"rnn", "tanh", {.input = given}});
    kinds.push_back({"leaky_rnn", "tanh", {.input = given, .leak = 0.3}});
    kinds.push_back({"gru", "tanh", {.input = given}});
    kinds.push_back({"lstm", "tanh", {.input = given, .forget_bias = 0.7}});
  }
  for (const std::string block : {"rnn", "leaky_rnn", "gru", "lstm"}) {
    kinds.push_back({block, "tanh", {.leak = 0.3, .stack = 2}});
    kinds.push_back({block, "tanh", {.input = StepInput::data, .input_width = 4, .leak = 0.3, .stack = 3}});
  }
  kinds.push_back({"lstm", "tanh", {.t_max = 40, .stack = 2}});
  kinds.push_back({"rnn", "linear", {.input = StepInput::data, .input_width = 9}});
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
