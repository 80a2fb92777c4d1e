#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gradflow::stats {

/// A floating-point format and where its numbers end: rounding to nearest turns every magnitude up to
/// 2^log2_threshold, half of the smallest subnormal, into zero, and every magnitude from
/// overflow_mantissa * 2^overflow_exponent on, about half a step above the largest number, into none.
struct Format {
  std::string_view name;
  int log2_threshold;
  double overflow_mantissa;
  int overflow_exponent;
  std::string_view doc;
};

/// The formats along the file's dimension `format`, from the shortest exponent range to the widest.
std::span<const Format> formats();

inline constexpr int format_count = 6;

/// Their names in that order: the coordinate of the dimension.
std::vector<std::string> format_names();

}  // namespace gradflow::stats
