#pragma once

#include <span>
#include <string>
#include <vector>

namespace gradflow::report {

/// From the smallest to the largest of some values.
struct Range {
  double low = 0;
  double high = 0;
  bool is_empty = true;

  void include(double value);  ///< ignored unless finite
  void include(std::span<const double> values);
  /// Stretched about its middle to at least this length, and then by `margin` of its length at both ends.
  Range widened(double least_length, double margin) const;
};

/// How the numbers of an axis are written.
enum class Notation {
  number,        ///< 0.25
  power_of_ten,  ///< the axis holds log10: -40 is written as 10 with a small -40
};

/// Round values (1, 2 or 5 times a power of ten apart) within a range, about `count` of them.
std::vector<double> ticks(const Range& range, int count, Notation notation);

/// Values mapped linearly to pixels.
struct Scale {
  Range values;
  double from = 0;  ///< pixel of values.low
  double to = 0;    ///< pixel of values.high

  double operator()(double value) const {
    return from + (value - values.low) / (values.high - values.low) * (to - from);
  }
};

}  // namespace gradflow::report
