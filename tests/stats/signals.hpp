#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "gradflow/stats/signal_summary.hpp"

namespace gradflow::stats {

/// A batch of normal numbers offset + N(0, 1), with an exponent per sample drawn evenly from +-spread.
template <class Real>
Signal<Real> random_signal(int samples, int width, unsigned seed, double offset = 0, int spread = 0) {
  std::mt19937_64 bits(seed);
  std::normal_distribution<double> normal;
  std::uniform_int_distribution<int> exponent(-spread, spread);
  Signal<Real> signal(padded_rows(samples), width);
  for (int s = 0; s < samples; ++s) {
    signal.exponents[s] = exponent(bits);
    for (int j = 0; j < width; ++j) signal.values(s, j) = Real(offset + normal(bits));
  }
  return signal;
}

/// One sample per row, exponents 0.
template <class Real>
Signal<Real> signal_of(const std::vector<std::vector<double>>& rows) {
  Signal<Real> signal(padded_rows(int(rows.size())), int(rows.front().size()));
  for (int s = 0; s < int(rows.size()); ++s) {
    for (int j = 0; j < signal.width; ++j) signal.values(s, j) = Real(rows[s][j]);
  }
  return signal;
}

/// The summary of a whole batch, folded tile by tile as the executor does.
template <class Real>
SignalSummary summary_of(const Signal<Real>& signal, int samples, What what = What::everything) {
  SignalSummary all;
  for (int first = 0; first < samples; first += tile_rows) {
    const int count = std::min(tile_rows, samples - first);
    all.merge(summarise(signal, {.first_row = first, .samples = count, .first_sample = first}, what));
  }
  return all;
}

/// Every statistic straight from its definition, in long double, in units of 2^exponent.
struct Definition {
  template <class Real>
  Definition(const Signal<Real>& signal, int samples)
      : exponent(*std::max_element(signal.exponents.begin(), signal.exponents.begin() + samples)) {
    for (int s = 0; s < samples; ++s) {
      x.emplace_back();
      for (int j = 0; j < signal.width; ++j) {
        const long double v = signal.values(s, j);
        x.back().push_back(std::ldexp(v, int(signal.exponents[s] - exponent)));
      }
    }
  }

  double count() const { return double(x.size() * x.front().size()); }
  /// mean of (x - center)^power
  long double moment(int power, long double center) const {
    long double sum = 0;
    for (const auto& sample : x) {
      for (long double value : sample) sum += std::pow(value - center, power);
    }
    return sum / count();
  }
  long double mean() const { return moment(1, 0); }
  long double q() const { return moment(2, 0); }
  long double central(int power) const { return moment(power, mean()); }

  static long double dot(const std::vector<long double>& a, const std::vector<long double>& b) {
    long double sum = 0;
    for (std::size_t j = 0; j < a.size(); ++j) sum += a[j] * b[j];
    return sum;
  }
  long double log10_norm(std::size_t s) const {
    return std::log10(dot(x[s], x[s])) / 2 + exponent * std::log10(2.0L);
  }
  long double mean_cosine() const {
    long double sum = 0, pairs = 0;
    for (std::size_t s = 0; s < x.size(); ++s) {
      for (std::size_t t = 0; t < s; ++t, ++pairs) {
        sum += dot(x[s], x[t]) / std::sqrt(dot(x[s], x[s])) / std::sqrt(dot(x[t], x[t]));
      }
    }
    return sum / pairs;
  }

  std::int64_t exponent;
  std::vector<std::vector<long double>> x;
};

}  // namespace gradflow::stats
