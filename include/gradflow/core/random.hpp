#pragma once

#include <cstdint>
#include <span>

namespace gradflow {

/// What a random number is for. The numbers are part of every result: never change one, only append.
enum class Purpose : std::uint32_t {
  weight = 1,
  bias = 2,
  data = 3,
  target = 4,
  cotangent = 5,
  label = 6,
  selection = 7,
  direction = 8,
  second_weight = 32,
  second_bias = 33,
  input_weight = 34,
  input_bias = 35,
  transform_weight = 36,
  transform_bias = 37,
  step_input = 40,
  chrono_bias = 41,
};

/// An endless table of independent random numbers, addressed by (row, column).
struct Stream {
  std::uint64_t seed = 0;
  Purpose purpose = Purpose::weight;
  std::uint32_t layer = 0;
};

/// Raw bits: word `column` of a row is word column % 4 of Philox4x32-10 with the seed as key (low half first)
/// and the counter (column / 4, row, layer, purpose). Salmon et al., Parallel random numbers: as easy as 1,
/// 2, 3 (SC 2011).
void fill_bits(Stream stream, std::uint32_t row, std::span<std::uint32_t> out);

// Each fill_... writes columns 0 ... out.size() - 1 of `row`. A number is a function of (seed, purpose,
// layer, row, column) and of nothing else: not of out.size(), thread, rank or order, nor of machine,
// instruction set or compiler. It is computed in float32 from the 32 bits of its column (normal: from the 64
// bits of a pair of columns) and widened, so float32 and float64 runs see the same numbers. None of them is
// ever zero.

/// N(0, 1), Box-Muller on the column pairs (0, 1), (2, 3), ...; |z| < 6.77.
template <class Real>
void fill_normal(Stream stream, std::uint32_t row, std::span<Real> out);

/// Uniform on (-sqrt 3, sqrt 3): mean 0, variance 1.
template <class Real>
void fill_uniform(Stream stream, std::uint32_t row, std::span<Real> out);

/// N(0, 1) given |z| <= 2, by inversion: standard deviation truncated_normal_std, not 1.
template <class Real>
void fill_truncated_normal(Stream stream, std::uint32_t row, std::span<Real> out);

/// sqrt(1 - 4 pdf(2) / (2 cdf(2) - 1)) of the standard normal.
inline constexpr double truncated_normal_std = 0.87962566103423975;

}  // namespace gradflow
