#include "numbers.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <Random123/philox.h>
#include <fmt/format.h>

namespace gradflow::sweep {

namespace {

double larger_magnitude(double a, double b) { return std::max(std::abs(a), std::abs(b)); }

double between_ends(double first, double last, std::size_t i, std::size_t n) {
  const double right = static_cast<double>(i) / static_cast<double>(n - 1);
  const double left = static_cast<double>(n - 1 - i) / static_cast<double>(n - 1);
  return left * first + right * last;
}

}  // namespace

double round_generated(double value, double scale) {
  if (std::abs(value) <= 1e-15 * scale) return 0.0;
  return std::strtod(fmt::format("{:.11e}", value).c_str(), nullptr);
}

std::vector<double> linear_space(double first, double last, std::size_t n) {
  std::vector<double> numbers;
  for (std::size_t i = 0; i < n; ++i) {
    const bool end = i == 0 || i == n - 1;
    const double scale = end ? 0.0 : larger_magnitude(first, last);
    numbers.push_back(round_generated(between_ends(first, last, i, n), scale));
  }
  return numbers;
}

std::vector<double> logarithmic_space(double first, double last, std::size_t n) {
  std::vector<double> numbers;
  for (std::size_t i = 0; i < n; ++i) {
    const double exponent = between_ends(std::log10(first), std::log10(last), i, n);
    numbers.push_back(round_generated(std::pow(10.0, exponent), 0.0));
  }
  numbers.front() = round_generated(first, 0.0);
  numbers.back() = round_generated(last, 0.0);
  return numbers;
}

std::vector<double> range(double start, double end, double step, std::size_t most) {
  const double scale = larger_magnitude(start, end);
  const double limit = round_generated(end, 0.0);
  std::vector<double> numbers;
  while (numbers.size() < most) {
    const double steps = static_cast<double>(numbers.size());
    const double number = round_generated(start + steps * step, numbers.empty() ? 0.0 : scale);
    if (step > 0 ? number >= limit : number <= limit) break;
    numbers.push_back(number);
  }
  return numbers;
}

std::vector<std::int64_t> range(std::int64_t start, std::int64_t end, std::int64_t step, std::size_t most) {
  std::vector<std::int64_t> numbers;
  bool representable = true;
  for (std::int64_t number = start; representable && numbers.size() < most;) {
    if (step > 0 ? number >= end : number <= end) break;
    numbers.push_back(number);
    representable = !__builtin_add_overflow(number, step, &number);
  }
  return numbers;
}

std::vector<double> unit_interval(std::uint64_t seed, std::size_t n) {
  const r123::Philox4x32::key_type key{
      {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}};
  std::vector<double> numbers;
  for (std::size_t i = 0; i < n; ++i) {
    const r123::Philox4x32::ctr_type counter{{static_cast<std::uint32_t>(i), 0, 0, 0}};
    const auto random = r123::Philox4x32()(counter, key);
    const std::uint64_t bits = (static_cast<std::uint64_t>(random[1]) << 32) | random[0];
    numbers.push_back(static_cast<double>(bits >> 11) * 0x1p-53);
  }
  return numbers;
}

std::vector<double> uniform(double low, double high, std::uint64_t seed, std::size_t n) {
  std::vector<double> numbers = unit_interval(seed, n);
  for (double& number : numbers) {
    number = round_generated((1.0 - number) * low + number * high, larger_magnitude(low, high));
  }
  return numbers;
}

std::vector<double> log_uniform(double low, double high, std::uint64_t seed, std::size_t n) {
  std::vector<double> numbers = unit_interval(seed, n);
  const double low_exponent = std::log10(low), high_exponent = std::log10(high);
  for (double& number : numbers) {
    number = round_generated(std::pow(10.0, (1.0 - number) * low_exponent + number * high_exponent), 0.0);
  }
  return numbers;
}

}  // namespace gradflow::sweep
