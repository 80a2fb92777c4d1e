#include <cmath>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "time_chain.hpp"

/// What is known exactly of recurrent networks.
namespace gradflow::nn {
namespace {

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

/// Largest singular value 0.9 and |phi'| <= 1: whatever the inputs, no gradient is longer than 0.9^T of the
/// cotangent (Pascanu, Mikolov and Bengio 2013). The bound is far from sharp, rounding does not reach it.
TEST(VanishingRecurrence, IsBoundedByTheLargestSingularValue) {
  constexpr int length = 50;
  NetworkSpec spec = with_batch(network(Widths::uniform(length + 1, width), "tanh", 1), width);
  spec.block = "rnn";
  spec.recurrence.input = StepInput::gaussian;
  spec.init = Initialisation::make("orthogonal", 0.9);
  Chain chain(spec, length);
  chain.forward(state_of(spec, {unit_table(), {}}));

  const Table dh = table_of(chain.backward(state_of(spec, {unit_table(), {}})).front(), width);

  for (const std::vector<double>& row : dh) {
    EXPECT_LT(norm({row}), std::pow(0.9, length));
    EXPECT_GT(norm({row}), 0);
  }
}

}  // namespace
}  // namespace gradflow::nn
