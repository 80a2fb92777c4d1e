#pragma once

#include <cmath>
#include <numbers>
#include <numeric>
#include <vector>

#include "measured.hpp"

/// s = ln(|x'|^2 / |x|^2) of one sample, layer after layer.
namespace gradflow::experiment {

/// From layer l - 1 to layer l of h, l = 2..L. @pre a batch of 1
inline std::vector<double> forward_increments(const MeasuredPoint& point) {
  const std::vector<double> log10_q = point.column("act_log10_q");
  std::vector<double> s;
  for (std::size_t l = 1; l < log10_q.size(); ++l) {
    const nn::Widths& widths = point.network().widths;
    const double wider = double(widths.fan_out(int(l) + 1)) / widths.fan_in(int(l) + 1);
    s.push_back((log10_q[l] - log10_q[l - 1]) * std::numbers::ln10 + std::log(wider));
  }
  return s;
}

/// From layer l + 1 to layer l of dE/dz, l = L-1..1. @pre a batch of 1
inline std::vector<double> backward_increments(const MeasuredPoint& point) {
  const std::vector<double> log10_norm = point.column("dgrad_log10_norm_mean");
  std::vector<double> s;
  for (std::size_t l = log10_norm.size() - 1; l-- > 0;) {
    s.push_back(2 * (log10_norm[l] - log10_norm[l + 1]) * std::numbers::ln10);
  }
  return s;
}

/// The increments of one direction of several networks, one series after the other.
template <class Direction>
std::vector<double> all_increments(const std::vector<MeasuredPoint>& points, Direction increments) {
  std::vector<double> all;
  for (const MeasuredPoint& point : points) {
    const std::vector<double> s = increments(point);
    all.insert(all.end(), s.begin(), s.end());
  }
  return all;
}

inline double sum_of(const std::vector<double>& x) { return std::accumulate(x.begin(), x.end(), 0.0); }

/// Sums of `count` consecutive numbers each; a rest is left out.
inline std::vector<double> sums_of(std::size_t count, const std::vector<double>& x) {
  std::vector<double> sums;
  for (std::size_t i = 0; i + count <= x.size(); i += count) {
    sums.push_back(std::accumulate(x.begin() + long(i), x.begin() + long(i + count), 0.0));
  }
  return sums;
}

}  // namespace gradflow::experiment
