#pragma once

#include <array>
#include <cstddef>
#include <span>

namespace gradflow {

/// Sum of v^2 in float64, in 16 interleaved sums, so that neither compiler nor vector width has an order to
/// choose.
/// @pre a padded row: a multiple of 16 long
template <class Real>
double sum_of_squares(std::span<const Real> row) {
  std::array<double, 16> sums{};
  for (std::size_t j = 0; j < row.size(); j += sums.size()) {
    for (std::size_t lane = 0; lane < sums.size(); ++lane)
      sums[lane] += double(row[j + lane]) * double(row[j + lane]);
  }
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace gradflow
