#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

/// Small networks in plain double loops: the measurement a law is compared with.
namespace gradflow::theory {

using Vector = std::vector<double>;

struct Matrix {
  int n = 0;
  Vector entries;

  double* row(int i) { return entries.data() + std::size_t(i) * std::size_t(n); }
  const double* row(int i) const { return entries.data() + std::size_t(i) * std::size_t(n); }
};

class Random {
 public:
  explicit Random(std::uint64_t seed) : bits_(seed) {}

  double normal() { return normal_(bits_); }

  Vector vector(int n, double deviation = 1) {
    Vector x(static_cast<std::size_t>(n));
    for (double& value : x) value = deviation * normal();
    return x;
  }

  /// n x n, entries N(0, sigma_w^2 / n).
  Matrix matrix(int n, double sigma_w) { return {n, vector(n * n, sigma_w / std::sqrt(n))}; }

 private:
  std::mt19937_64 bits_;
  std::normal_distribution<double> normal_;
};

inline double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

inline double square(const Vector& a) { return dot(a, a); }

inline Vector product(const Matrix& w, const Vector& x) {
  Vector y(x.size(), 0.0);
  for (int i = 0; i < w.n; ++i) {
    double sums[8] = {};  // eight chains, so that the loop is not one of waiting
    int j = 0;
    for (; j + 8 <= w.n; j += 8) {
      for (int k = 0; k < 8; ++k) sums[k] += w.row(i)[j + k] * x[std::size_t(j + k)];
    }
    for (; j < w.n; ++j) sums[0] += w.row(i)[j] * x[std::size_t(j)];
    for (double sum : sums) y[std::size_t(i)] += sum;
  }
  return y;
}

/// W^T x.
inline Vector transposed_product(const Matrix& w, const Vector& x) {
  Vector y(x.size(), 0.0);
  for (int i = 0; i < w.n; ++i) {
    for (int j = 0; j < w.n; ++j) y[std::size_t(j)] += w.row(i)[j] * x[std::size_t(i)];
  }
  return y;
}

template <class Function>
Vector each(const Vector& x, const Function& f) {
  Vector y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = f(x[i]);
  return y;
}

/// x + factor * y.
inline Vector sum_of(const Vector& x, const Vector& y, double factor = 1) {
  Vector sum = x;
  for (std::size_t i = 0; i < x.size(); ++i) sum[i] += factor * y[i];
  return sum;
}

inline Vector times(const Vector& x, const Vector& y) {
  Vector product = x;
  for (std::size_t i = 0; i < x.size(); ++i) product[i] *= y[i];
  return product;
}

/// Mean and its standard error over independent values.
struct Estimate {
  double mean = 0;
  double error = 0;
};

inline Estimate estimate(const Vector& values) {
  const double n = double(values.size());
  double sum = 0;
  for (double x : values) sum += x;
  double spread = 0;
  for (double x : values) spread += (x - sum / n) * (x - sum / n);
  return {sum / n, std::sqrt(spread / (n - 1) / n)};
}

}  // namespace gradflow::theory
