#include "gradflow/theory/recurrent.hpp"

#include <cmath>
#include <limits>
#include <numbers>

#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"
#include "theory/simulation.hpp"

namespace gradflow::theory {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

Vector tanh_of(const Vector& x) {
  return each(x, [](double value) { return std::tanh(value); });
}

/// (direct I + feedback W)^steps u.
Vector power_times(const ZeroStateStep& step, const Matrix& w, int steps, Vector u) {
  for (int t = 0; t < steps; ++t) {
    const Vector fed = product(w, u);
    for (std::size_t i = 0; i < u.size(); ++i) u[i] = step.direct * u[i] + step.feedback * fed[i];
  }
  return u;
}

// --- whole cells, differentiated numerically at their zero state
// ---------------------------------------------

constexpr int units = 6;
constexpr int steps = 4;
// Central differences of a smooth map with features of size 1: error h^2 and rounding / h.
constexpr double h = 1e-5;
constexpr double derivative_error = 1e-9;

struct Lstm {
  Matrix candidate, input, forget, output;
  double forget_bias, input_bias, output_bias;

  explicit Lstm(Random& random, double f, double i, double o)
      : candidate(random.matrix(units, 1.3)),
        input(random.matrix(units, 1)),
        forget(random.matrix(units, 1)),
        output(random.matrix(units, 1)),
        forget_bias(f),
        input_bias(i),
        output_bias(o) {}

  Vector gate(const Matrix& w, const Vector& state, double bias) const {
    return each(product(w, state), [&](double z) { return sigmoid(z + bias); });
  }

  /// c_T from c_1, with h_1 = o tanh(c_1).
  Vector last_cell(Vector c) const {
    Vector state = each(tanh_of(c), [&](double value) { return sigmoid(output_bias) * value; });
    for (int t = 0; t < steps; ++t) {
      const Vector kept = times(gate(forget, state, forget_bias), c);
      c = sum_of(kept, times(gate(input, state, input_bias), tanh_of(product(candidate, state))));
      state = times(gate(output, state, output_bias), tanh_of(c));
    }
    return c;
  }
};

struct Gru {
  Matrix candidate, update, reset;
  double update_bias, reset_bias;

  Vector last_state(Vector state) const {
    for (int t = 0; t < steps; ++t) {
      const Vector z = each(product(update, state), [&](double x) { return sigmoid(x + update_bias); });
      const Vector r = each(product(reset, state), [&](double x) { return sigmoid(x + reset_bias); });
      const Vector n = tanh_of(times(r, product(candidate, state)));
      for (std::size_t i = 0; i < state.size(); ++i) state[i] = (1 - z[i]) * n[i] + z[i] * state[i];
    }
    return state;
  }
};

template <class Map>
Vector derivative_along(const Map& map, const Vector& u) {
  const Vector up = map(each(u, [](double x) { return h * x; }));
  const Vector down = map(each(u, [](double x) { return -h * x; }));
  return each(sum_of(up, down, -1), [](double x) { return x / (2 * h); });
}

void expect_equal(const Vector& a, const Vector& b) {
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], derivative_error);
}

TEST(LstmStep, IsTheTotalDerivativeOfTheCellWithAllItsPaths) {
  Random random(3);
  const Lstm cell(random, 1, -0.3, 0.4);
  const Vector u = random.vector(units);

  const Vector moved = derivative_along([&](const Vector& c) { return cell.last_cell(c); }, u);

  expect_equal(moved, power_times(lstm_step(1, -0.3, 0.4), cell.candidate, steps, u));
}

TEST(LstmStep, ForgetsWhatItsForgetBiasSays) {
  EXPECT_NEAR(lstm_step(1).direct, 0.731059, 5e-7);  // Jozefowicz et al. 2015
  EXPECT_NEAR(lstm_step(0).feedback, 0.25, 1e-15);
  EXPECT_EQ(lstm_step_without_forget_gate().direct, 1);
}

TEST(GruStep, IsTheDerivativeOfTheState) {
  Random random(4);
  const Gru cell{random.matrix(units, 1.3), random.matrix(units, 1), random.matrix(units, 1), 0.5, -0.2};
  const Vector u = random.vector(units);

  const Vector moved = derivative_along([&](const Vector& state) { return cell.last_state(state); }, u);

  expect_equal(moved, power_times(gru_step(0.5, -0.2), cell.candidate, steps, u));
}

TEST(LeakyRnnStep, IsTheDerivativeOfTheState) {
  Random random(5);
  const Matrix w = random.matrix(units, 1.3);
  const Vector u = random.vector(units);

  const Vector moved = derivative_along(
      [&](Vector state) {
        for (int t = 0; t < steps; ++t) {
          state = sum_of(each(state, [](double x) { return 0.7 * x; }), tanh_of(product(w, state)), 0.3);
        }
        return state;
      },
      u);

  expect_equal(moved, power_times(leaky_rnn_step(0.3), w, steps, u));
  expect_equal(power_times(leaky_rnn_step(1), w, steps, u), power_times(rnn_step(), w, steps, u));
}

// --- growth over many steps
// ------------------------------------------------------------------------------------

class TiedGrowth : public testing::TestWithParam<ZeroStateStep> {};
INSTANTIATE_TEST_SUITE_P(Cells, TiedGrowth,
                         testing::Values(rnn_step(), leaky_rnn_step(0.3), lstm_step(1), lstm_step(3),
                                         gru_step(-1)));

TEST_P(TiedGrowth, IsThatOfOneGaussianMatrix) {
  constexpr int n = 300;
  constexpr int power = 5;
  const double sigma_w = 1.2;
  Vector growth;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    const Matrix w = random.matrix(n, sigma_w);
    const Vector u = random.vector(n);
    growth.push_back(square(power_times(GetParam(), w, power, u)) / square(u));
  }

  const Estimate measured = estimate(growth);

  const double law = std::exp(ln_squared_growth(GetParam(), sigma_w, power));
  const double finite = double(power * power * power) / (6 * n);  // repeated powers of one matrix
  EXPECT_NEAR(measured.mean / law, 1, 4 * measured.error / law + finite);
}

TEST_P(TiedGrowth, ApproachesTheSpectralRadius) {
  // A central binomial sum: the root of steps is all that is left beside the largest eigenvalue.
  const double rate =
      (ln_squared_growth(GetParam(), 0.9, 4000) - ln_squared_growth(GetParam(), 0.9, 2000)) / 2000;

  EXPECT_NEAR(rate, 2 * std::log(spectral_radius(GetParam(), 0.9)), 1.0 / 2000);
}

TEST(SquaredGrowth, OfTheDirectPathAloneIsAPower) {
  EXPECT_NEAR(ln_squared_growth(lstm_step(1), 0, 100), 200 * std::log(sigmoid(1)), 1e-11);
  EXPECT_NEAR(ln_squared_growth(rnn_step(), 1.5, 100), 200 * std::log(1.5), 1e-11);
  EXPECT_EQ(ln_squared_growth(rnn_step(), 0, 3), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(ln_squared_growth(rnn_step(), 0, 0), 0);
}

TEST(SpectralRadius, DecidesButTheLargestSingularValueIsTwiceThat) {
  EXPECT_NEAR(spectral_radius(rnn_step(), 0.9), 0.9, 1e-15);
  EXPECT_EQ(largest_singular_value(0.9, false), 1.8);
  EXPECT_EQ(largest_singular_value(0.9, true), 0.9);
}

TEST(LargestSingularValue, IsThatOfAWideMatrix) {
  constexpr int n = 400;
  Random random(6);
  const Matrix w = random.matrix(n, 1);
  Vector u = random.vector(n);
  for (int i = 0; i < 300; ++i) {  // power iteration on W^T W
    u = transposed_product(w, product(w, u));
    const double length = std::sqrt(square(u));
    for (double& value : u) value /= length;
  }

  const double largest = std::sqrt(square(product(w, u)));

  // Tracy & Widom: fluctuations and shift of order N^(-2/3).
  EXPECT_NEAR(largest, largest_singular_value(1, false), 2 * std::pow(n, -2.0 / 3));
}

TEST(Chrono, LeavesTheMeanOfItsMemoriesOnTheDirectPath) {
  // One step: the mean of u / (1 + u) over U(1, T - 1) is 1 - ln(T / 2) / (T - 2).
  for (double longest : {2.5, 10.0, 1000.0, 1e6}) {
    EXPECT_NEAR(chrono_direct_path(longest, 1), 1 - std::log(longest / 2) / (longest - 2), 1e-12) << longest;
  }
  // Two: minus 1/2 + 1/T more, over T - 2, from (u / (1 + u))^2 = 1 - 2/(1 + u) + 1/(1 + u)^2.
  EXPECT_NEAR(chrono_direct_path(50, 2), 1 - (2 * std::log(25) - (0.5 - 0.02)) / 48, 1e-13);
  EXPECT_NEAR(chrono_direct_path(2, 3), 0.125, 1e-15);
}

TEST(Chrono, RefusesAMemoryBelowTwoSteps) {
  EXPECT_THROW(chrono_direct_path(1.5, 1), UserError);
  EXPECT_THROW(chrono_direct_path(std::numeric_limits<double>::quiet_NaN(), 1), UserError);
}

}  // namespace
}  // namespace gradflow::theory
