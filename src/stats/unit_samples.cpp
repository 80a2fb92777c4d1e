#include "gradflow/stats/unit_samples.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "gradflow/core/blas.hpp"
#include "gradflow/core/errors.hpp"
#include "gradflow/core/symmetric_eigenvalues.hpp"
#include "lanes.hpp"

namespace gradflow::stats {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// The Gram matrix of the samples, or of the units if there are fewer.
Matrix<double> shorter_gram(const double* rows, int samples, int width) {
  const bool of_samples = samples <= width;
  Matrix<double> a(of_samples ? samples : width, padded_width<double>(of_samples ? width : samples));
  for (int s = 0; s < samples; ++s) {
    for (int j = 0; j < width; ++j, ++rows) (of_samples ? a(s, j) : a(j, s)) = *rows;
  }
  return gram(a);
}

/// Squares of the singular values, without those that may be nothing but rounding.
std::vector<double> squares_of(Matrix<double> gram_matrix) {
  std::vector<double> squares = symmetric_eigenvalues(std::move(gram_matrix));
  const double least =
      double(squares.size()) * std::numeric_limits<double>::epsilon() * std::max(squares.back(), 0.0);
  std::erase_if(squares, [&](double square) { return square <= least; });
  return squares;
}

/// exp of the entropy of the numbers' shares in their sum.
double exp_entropy(const std::vector<double>& numbers) {
  double sum = 0;
  for (const double x : numbers) sum += x;
  double entropy = 0;
  for (const double x : numbers) entropy -= x / sum * std::log(x / sum);
  return std::exp(entropy);
}

double dot(const double* a, const double* b, int width) {
  double lanes[Lanes::count] = {};
  for (int j = 0; j < width; ++j) lanes[j % Lanes::count] += a[j] * b[j];
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace

void UnitSamples::append(UnitSamples next) {
  if (rows_.empty()) {
    *this = std::move(next);
    return;
  }
  expect(width_ == next.width_, "samples of the same signal");
  rows_.insert(rows_.end(), next.rows_.begin(), next.rows_.end());
}

double UnitSamples::mean_cosine(int lag) const {
  const auto is_nonzero = [&](int sample) {
    return std::any_of(row(sample), row(sample) + width_, [](double x) { return x != 0; });
  };
  double sum = 0;
  int pairs = 0;
  for (int s = 0; s + lag < samples(); ++s) {
    if (!is_nonzero(s) || !is_nonzero(s + lag)) continue;
    sum += dot(row(s), row(s + lag), width_);
    ++pairs;
  }
  return pairs > 0 ? sum / pairs : nan;
}

Ranks UnitSamples::ranks() const {
  const auto is_finite = [](double x) { return std::isfinite(x); };
  if (samples() == 0 || !std::all_of(rows_.begin(), rows_.end(), is_finite)) return {nan, nan};
  const std::vector<double> squares = squares_of(shorter_gram(rows_.data(), samples(), width_));
  if (squares.empty()) return {nan, nan};
  double sum = 0;
  std::vector<double> singular;
  for (const double square : squares) {
    sum += square;
    singular.push_back(std::sqrt(square));
  }
  return {exp_entropy(singular), sum / squares.back()};
}

}  // namespace gradflow::stats
