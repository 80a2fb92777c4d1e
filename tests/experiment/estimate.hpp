#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include <gtest/gtest.h>

/// Means of independent measurements, each with the standard error of exactly what was averaged.
namespace gradflow::experiment {

struct Estimate {
  double value = 0;
  double standard_error = 0;
};

/// The mean of independent numbers.
inline Estimate mean_of(const std::vector<double>& x) {
  const auto n = double(x.size());
  double mean = 0;
  for (double v : x) mean += v / n;
  double squares = 0;
  for (double v : x) squares += (v - mean) * (v - mean);
  return {mean, std::sqrt(squares / (n - 1) / n)};
}

/// Their variance: the mean of the squared deviations, whose own spread knows of the kurtosis.
inline Estimate variance_of(const std::vector<double>& x) {
  const double mean = mean_of(x).value;
  std::vector<double> squares;
  for (double v : x) squares.push_back((v - mean) * (v - mean));
  return mean_of(squares);
}

/// Covariance of neighbours in a series, over the variance of the series.
inline Estimate lag_one_correlation(const std::vector<double>& x) {
  const double mean = mean_of(x).value;
  const double variance = variance_of(x).value;
  std::vector<double> products;
  for (std::size_t i = 1; i < x.size(); ++i) products.push_back((x[i] - mean) * (x[i - 1] - mean) / variance);
  return mean_of(products);
}

/// Four standard errors, and what the law itself leaves open at finite width.
inline void expect_law(Estimate measured, double law, double open = 0) {
  EXPECT_NEAR(measured.value, law, 4 * measured.standard_error + open)
      << "standard error " << measured.standard_error << ", left open by the law " << open;
}

/// What a law says of one width is wrong by less than this in every layer (terms of order 1/N): SCIENCE of
/// dense layers whose fixed point of q attracts.
inline double finite_width_error(int width) { return 5.0 / width; }

}  // namespace gradflow::experiment
