#pragma once

#include <algorithm>

#include "gradflow/core/signal.hpp"

/// Points of a bundle part where the shallower ones end: their rows leave the stack, and join it again on the
/// way back.
namespace gradflow::pipeline {

/// The rows of `stack` that belong to points from `first_point` on, as a stack of their own.
/// @pre points stand in ascending order
Stack from_point(const Stack& stack, int first_point);

/// Rows first_row, first_row + 1, ... of every signal, copied.
template <class Real>
State<Real> rows_from(const State<Real>& state, int first_row, int rows) {
  State<Real> part;
  for (const Signal<Real>& signal : state) {
    Signal<Real> taken = Signal<Real>::unset(rows, signal.width);
    const Real* first = signal.values.data() + std::size_t(first_row) * std::size_t(signal.values.cols());
    std::copy_n(first, taken.values.size(), taken.values.data());
    std::copy_n(signal.exponents.begin() + first_row, rows, taken.exponents.begin());
    part.push_back(std::move(taken));
  }
  return part;
}

/// The rows of `above`, then those of `below`. A state without rows has no signals, or empty ones.
template <class Real>
State<Real> joined(State<Real> above, State<Real> below) {
  const auto has_rows = [](const State<Real>& state) { return !state.empty() && state.front().rows() > 0; };
  if (!has_rows(below)) return above;
  if (!has_rows(above)) return below;
  State<Real> whole;
  for (std::size_t i = 0; i < above.size(); ++i) {
    Signal<Real> signal = Signal<Real>::unset(above[i].rows() + below[i].rows(), above[i].width);
    Real* const next = std::copy_n(above[i].values.data(), above[i].values.size(), signal.values.data());
    std::copy_n(below[i].values.data(), below[i].values.size(), next);
    std::ranges::copy(below[i].exponents,
                      std::ranges::copy(above[i].exponents, signal.exponents.begin()).out);
    whole.push_back(std::move(signal));
  }
  return whole;
}

}  // namespace gradflow::pipeline
