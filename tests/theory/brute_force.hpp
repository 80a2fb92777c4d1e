#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <vector>

#include "gradflow/nn/activation.hpp"

/// The slow obvious quadrature: the truth the fast one is compared with.
namespace gradflow::theory {

/// Calls visit(x, weight) at the points of a quadrature for x ~ N(0, 1), |x| < 9: cells of at most 1/1024,
/// with an end at every kink of the catalogue (z = deviation * x = 0, +-1, +-3) and three Gauss points each.
///
/// Exact for quintics: relative error cell^6 / 2e6 of a sixth derivative.
template <class Visit>
void visit_gaussian(double deviation, double cell, const Visit& visit) {
  std::vector<double> ends{-9, 9};
  for (double z : {-3.0, -1.0, 0.0, 1.0, 3.0}) ends.push_back(std::clamp(z / deviation, -9.0, 9.0));
  std::ranges::sort(ends);
  for (std::size_t i = 1; i < ends.size(); ++i) {
    const int cells = int(std::ceil((ends[i] - ends[i - 1]) / cell));
    const double h = (ends[i] - ends[i - 1]) / std::max(cells, 1);
    for (int k = 0; k < cells; ++k) {
      for (int point : {-1, 0, 1}) {
        const double x = ends[i - 1] + (k + 0.5 + point * std::sqrt(0.15)) * h;
        const double gauss = point == 0 ? 8.0 / 18 : 5.0 / 18;
        visit(x, h * gauss * std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi));
      }
    }
  }
}

/// E f(deviation * x).
inline double brute_force_mean(const std::function<double(double)>& f, double deviation) {
  double sum = 0;
  visit_gaussian(deviation, 1.0 / 512, [&](double x, double weight) { sum += weight * f(deviation * x); });
  return sum;
}

/// E f(z1) f(z2) = sum over n of a_n^2 c^n (Mehler), a_n the coefficients of f(deviation * x) in normalised
/// Hermite polynomials. What is cut off is below |c|^terms.
inline double mehler_product_mean(const std::function<double(double)>& f, double deviation, double c,
                                  int terms) {
  std::vector<double> a(std::size_t(terms), 0.0);
  std::vector<double> root;
  std::vector<double> inverse_root;
  for (int n = 0; n <= terms; ++n) {
    root.push_back(std::sqrt(n));
    inverse_root.push_back(1 / std::sqrt(n));
  }
  visit_gaussian(deviation, 1.0 / 128, [&](double x, double weight) {
    double before = 0;
    double hermite = weight * f(deviation * x);
    for (std::size_t n = 0; n < a.size(); ++n) {
      a[n] += hermite;
      const double next = (x * hermite - root[n] * before) * inverse_root[n + 1];
      before = hermite;
      hermite = next;
    }
  });
  double sum = 0;
  double power = 1;
  for (double coefficient : a) {
    sum += coefficient * coefficient * power;
    power *= c;
  }
  return sum;
}

inline std::vector<nn::Activation> whole_catalogue() {
  std::vector<nn::Activation> all;
  for (const nn::ActivationRow& row : nn::activations()) all.push_back(nn::Activation::named(row.name));
  return all;
}

}  // namespace gradflow::theory
