#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gradflow::sweep {

// Generated reals are rounded to 12 significant digits, so that a refined grid contains the points of the
// coarse one and every C library makes the same numbers.

/// `value` rounded to 12 significant digits; 0 if it is below 1e-15 of `scale`, where only rounding errors
/// live.
double round_generated(double value, double scale);

/// n numbers at equal distances, both ends included. @pre n >= 2
std::vector<double> linear_space(double first, double last, std::size_t n);

/// n numbers at equal ratios, both ends included. @pre n >= 2, first > 0, last > 0
std::vector<double> logarithmic_space(double first, double last, std::size_t n);

/// start, start + step, ... short of end; at most `most` numbers. @pre step is not 0
std::vector<double> range(double start, double end, double step, std::size_t most);
std::vector<std::int64_t> range(std::int64_t start, std::int64_t end, std::int64_t step, std::size_t most);

/// n numbers in [0, 1): number i is the first 53 bits of Philox4x32-10 (Salmon et al., SC 2011) at counter i
/// under the key `seed`, so more numbers keep the earlier ones.
std::vector<double> unit_interval(std::uint64_t seed, std::size_t n);

/// Uniform in [low, high].
std::vector<double> uniform(double low, double high, std::uint64_t seed, std::size_t n);

/// With a uniform logarithm, in [low, high]. @pre low > 0
std::vector<double> log_uniform(double low, double high, std::uint64_t seed, std::size_t n);

}  // namespace gradflow::sweep
