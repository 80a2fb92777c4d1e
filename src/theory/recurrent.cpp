#include "gradflow/theory/recurrent.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <boost/math/quadrature/gauss.hpp>
#include <fmt/format.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::theory {
namespace {

double gate(double bias) { return 1 / (1 + std::exp(-bias)); }

/// std::lgamma writes the sign of Gamma to a place that threads share.
double ln_factorial(int n) {
  int sign = 1;
  return lgamma_r(n + 1.0, &sign);
}

double ln_binomial(int n, int k) { return ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k); }

/// ln x^power with 0^0 = 1.
double ln_power(double x, int power) { return power == 0 ? 0 : power * std::log(x); }

double ln_of_sum(const std::vector<double>& logarithms) {
  const double largest = std::ranges::max(logarithms);
  if (std::isinf(largest)) return largest;
  double sum = 0;
  for (double x : logarithms) sum += std::exp(x - largest);
  return largest + std::log(sum);
}

}  // namespace

ZeroStateStep rnn_step(double slope_at_zero) { return {0, slope_at_zero}; }

ZeroStateStep leaky_rnn_step(double leak, double slope_at_zero) { return {1 - leak, leak * slope_at_zero}; }

ZeroStateStep lstm_step(double forget_bias, double input_bias, double output_bias) {
  return {gate(forget_bias), gate(input_bias) * gate(output_bias)};
}

ZeroStateStep lstm_step_without_forget_gate(double input_bias, double output_bias) {
  return {1, gate(input_bias) * gate(output_bias)};
}

ZeroStateStep gru_step(double update_bias, double reset_bias) {
  return {gate(update_bias), gate(-update_bias) * gate(reset_bias)};
}

double spectral_radius(const ZeroStateStep& step, double sigma_w) {
  return std::abs(step.direct) + std::abs(step.feedback) * sigma_w;
}

double ln_squared_growth(const ZeroStateStep& step, double sigma_w, int steps) {
  expect(steps >= 0, "a number of steps");
  const double direct = std::abs(step.direct);
  const double feedback = std::abs(step.feedback) * sigma_w;
  std::vector<double> terms;
  for (int j = 0; j <= steps; ++j) {
    terms.push_back(2 * (ln_binomial(steps, j) + ln_power(direct, steps - j) + ln_power(feedback, j)));
  }
  return ln_of_sum(terms);
}

std::vector<double> ln_squared_growths(const ZeroStateStep& step, double sigma_w, int steps) {
  expect(steps >= 0, "a number of steps");
  const double a = step.direct * step.direct;
  const double b = step.feedback * sigma_w * step.feedback * sigma_w;
  std::vector<double> logarithms{0};
  double ratio = 0;  // S_n / S_{n-1}
  for (int n = 0; n < steps; ++n) {
    const double before = n == 0 ? 0 : n * (a - b) * (a - b) / ratio;
    ratio = ((2.0 * n + 1) * (a + b) - before) / (n + 1);
    logarithms.push_back(logarithms.back() + std::log(ratio));
  }
  return logarithms;
}

double largest_singular_value(double sigma_w, bool orthogonal) { return orthogonal ? sigma_w : 2 * sigma_w; }

double chrono_direct_path(double longest, int steps) {
  if (!(longest >= 2)) {
    throw UserError(
        fmt::format("chrono initialisation: longest memory {}; expected at least 2 steps", longest));
  }
  // f = u / (1 + u), u ~ U(1, longest - 1); in s = ln u the integrand e^s f^steps has features of size 1.
  const double end = std::log(longest - 1);
  if (end == 0) return std::exp2(-steps);
  const int panels = int(std::ceil(end));
  const double width = end / panels;
  double sum = 0;
  for (int i = 0; i < panels; ++i) {
    sum += boost::math::quadrature::gauss<double, 20>::integrate(
        [&](double s) { return std::exp(s - steps * std::log1p(std::exp(-s))); }, i * width, (i + 1) * width);
  }
  return sum / (longest - 2);
}

}  // namespace gradflow::theory
