#include "gradflow/core/random.hpp"

#include <algorithm>
#include <array>

#include "gradflow/core/simd.hpp"

namespace gradflow {

namespace {

using simd::constant;
using simd::hn::BitCast;
using simd::hn::Set;
using Float = simd::Pack<float>;
using Words = simd::Pack<std::uint32_t>;
using Wide = simd::Pack<std::uint64_t>;

const simd::Tag<float> floats;
const simd::Tag<std::int32_t> integers;
const simd::Tag<std::uint32_t> words;
const simd::Tag<std::uint64_t> wides;

/// Counters in a pack: each stands in the low half of a 64-bit lane and gives four columns.
constexpr int counters = simd::lanes<std::uint64_t>;
/// Packs of counters that go through the rounds together: a round alone waits for its product.
constexpr int together = 4;
constexpr int columns_per_step = 4 * counters * together;

/// Two packs of random words: columns 0, 2, 4, ... and 1, 3, 5, ... of a stretch of a row.
struct ColumnPairs {
  Words even;
  Words odd;
};

/// The low halves of four 64-bit lanes per counter. What is in the high halves is never looked at: the
/// widening product ignores it, so a round needs no masks.
struct State {
  Wide x0, x1, x2, x3;
};

Wide low_times(Wide x, std::uint32_t factor) {
  return simd::hn::MulEven(BitCast(words, x), BitCast(words, Set(wides, factor)));
}

Wide high_half(Wide x) { return simd::hn::ShiftRight<32>(x); }

State philox_round(const State& s, Wide key0, Wide key1) {
  const Wide p0 = low_times(s.x0, 0xD2511F53u);
  const Wide p1 = low_times(s.x2, 0xCD9E8D57u);
  return {simd::hn::Xor(simd::hn::Xor(high_half(p1), s.x1), key0), p1,
          simd::hn::Xor(simd::hn::Xor(high_half(p0), s.x3), key1), p0};
}

/// A word of each of two states, as the even and the odd 32-bit lanes of one pack.
Words woven(Wide first, Wide second) {
  return simd::hn::OddEven(BitCast(words, simd::hn::ShiftLeft<32>(second)), BitCast(words, first));
}

/// The words of one row, step by step.
class RandomRow {
 public:
  RandomRow(Stream stream, std::uint32_t row) : stream_(stream), row_(row) {}

  std::array<ColumnPairs, together> step(std::uint32_t first_block) const {
    State states[together];
    for (int i = 0; i < together; ++i) states[i] = counter(first_block + std::uint32_t(i * counters));

    auto key0 = static_cast<std::uint32_t>(stream_.seed);
    auto key1 = static_cast<std::uint32_t>(stream_.seed >> 32);
    for (int round = 0; round < 10; ++round) {
      for (State& s : states) s = philox_round(s, Set(wides, key0), Set(wides, key1));
      key0 += 0x9E3779B9u;  // golden ratio
      key1 += 0xBB67AE85u;  // sqrt(3) - 1
    }

    std::array<ColumnPairs, together> pairs;
    for (int i = 0; i < together; ++i) {
      pairs[std::size_t(i)] = {woven(states[i].x0, states[i].x2), woven(states[i].x1, states[i].x3)};
    }
    return pairs;
  }

 private:
  State counter(std::uint32_t first_block) const {
    return {simd::hn::Iota(wides, first_block), Set(wides, row_), Set(wides, stream_.layer),
            Set(wides, static_cast<std::uint32_t>(stream_.purpose))};
  }

  Stream stream_;
  std::uint32_t row_;
};

struct Pairs {
  Float even;
  Float odd;
};

/// Odd multiples of 2^-24 in (-1, 1): exact in float32, symmetric about 0 and never 0.
Float symmetric(Words bits) {
  const auto signed_bits = simd::hn::ShiftRight<8>(BitCast(integers, bits));
  return (simd::hn::ConvertTo(floats, signed_bits) + constant<Float>(0.5)) * constant<Float>(0x1p-23);
}

/// In [2^-33, 1): all 32 bits where they matter, near 0, whose logarithm is the tail of the normal
/// distribution.
Float fine_unit_interval(Words bits) {
  const Float u = (simd::to_float(bits) + constant<Float>(0.5)) * constant<Float>(0x1p-32);
  return simd::min(u, constant<Float>(1 - 0x1p-24));
}

// Below only + - * and sqrt, each rounded, nothing fused: the same numbers on every machine, with every
// compiler and every version of SLEEF. Polynomials of Moshier, Cephes (logf, sinf, cosf).

/// The polynomial with these coefficients, highest power first: two Horner chains in x^2, which run side by
/// side.
template <std::size_t n>
Float polynomial(Float x, const double (&coefficients)[n]) {
  const Float square = x * x;
  Float sums[2] = {constant<Float>(coefficients[0]), constant<Float>(coefficients[1])};
  for (std::size_t i = 2; i < n; ++i) sums[i % 2] = sums[i % 2] * square + constant<Float>(coefficients[i]);
  return sums[(n - 1) % 2] + x * sums[n % 2];
}

/// ln u. @pre 2^-126 <= u <= 1
Float natural_logarithm(Float u) {
  const auto bits = BitCast(integers, u);
  const auto half_root = Set(integers, 0x3F3504F3);  // sqrt(1/2): u = m 2^e with m in [sqrt(1/2), sqrt 2)
  const auto exponent = simd::hn::ShiftRight<23>(bits - half_root);
  const Float x = BitCast(floats, bits - simd::hn::ShiftLeft<23>(exponent)) - constant<Float>(1);
  const Float e = simd::hn::ConvertTo(floats, exponent);
  const Float square = x * x;

  Float sum =
      x * square *
      polynomial(x, {7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
                     -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1});
  sum = sum + e * constant<Float>(-2.12194440e-4) - constant<Float>(0.5) * square;
  return x + sum + e * constant<Float>(0.693359375);  // ln 2 = 0.693359375 - 2.12194440e-4
}

/// A point of the unit circle with a uniform angle. Bit 31: sign of x; bit 30: x and y swapped; the others:
/// an angle in
/// (-pi/4, pi/4), an odd multiple of pi 2^-26.
Pairs point_on_circle(Words bits) {
  const Float angle = symmetric(simd::hn::ShiftLeft<2>(bits)) * constant<Float>(0.7853981633974483);
  const Float square = angle * angle;
  const Float sine =
      angle + angle * square * polynomial(square, {-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1});
  const Float cosine =
      constant<Float>(1) - constant<Float>(0.5) * square +
      square * square *
          polynomial(square, {2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2});

  const Words sign = simd::hn::And(bits, Set(words, 0x80000000u));
  const Float signed_cosine = BitCast(floats, simd::hn::Xor(BitCast(words, cosine), sign));
  const auto swapped = simd::hn::MaskFromVec(
      BitCast(floats, simd::hn::ShiftRight<31>(BitCast(integers, simd::hn::ShiftLeft<1>(bits)))));
  return {simd::select(swapped, sine, signed_cosine), simd::select(swapped, signed_cosine, sine)};
}

/// Box and Muller, A note on the generation of random normal deviates (1958).
Pairs box_muller(const ColumnPairs& bits) {
  const Float radius = simd::sqrt(constant<Float>(-2) * natural_logarithm(fine_unit_interval(bits.even)));
  const Pairs point = point_on_circle(bits.odd);
  return {radius * point.even, radius * point.odd};
}

/// sqrt(2) erfinv(x) for x^2 < 1 - e^-5: the central branch of Giles, Approximating the erfinv function (GPU
/// Computing Gems, 2010).
Float central_normal_quantile(Float x) {
  const Float one = constant<Float>(1);
  const Float w = constant<Float>(-2.5) - natural_logarithm((one - x) * (one + x));
  const Float ratio = polynomial(w, {2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06,
                                     0.00021858087, -0.00125372503, -0.00417768164, 0.246640727, 1.50140941});
  return constant<Float>(1.4142135623730951) * (ratio * x);
}

Float truncated_normal(Words bits) {
  constexpr double within_two_sigma = 0.95449973610364158;  // erf(sqrt 2)
  const Float z = central_normal_quantile(constant<Float>(within_two_sigma) * symmetric(bits));
  return simd::max(constant<Float>(-2), simd::min(z, constant<Float>(2)));
}

Float unit_variance_uniform(Words bits) { return constant<Float>(1.7320508075688773) * symmetric(bits); }

/// Steps through the row; a step gives whole packs, of which the last is cut. So no number knows how long the
/// row is.
template <class Number, class Out, class Make>
void fill(Stream stream, std::uint32_t row, std::span<Out> out, Make make) {
  const RandomRow source(stream, row);
  alignas(64) Number step[columns_per_step];
  for (std::size_t first = 0; first < out.size(); first += columns_per_step) {
    Number* place = step;
    for (const ColumnPairs& bits : source.step(static_cast<std::uint32_t>(first / 4))) {
      const auto pairs = make(bits);
      simd::hn::StoreInterleaved2(pairs.even, pairs.odd, simd::Tag<Number>(), place);
      place += 4 * counters;
    }
    std::copy_n(step, std::min<std::size_t>(columns_per_step, out.size() - first), out.begin() + first);
  }
}

}  // namespace

void fill_bits(Stream stream, std::uint32_t row, std::span<std::uint32_t> out) {
  fill<std::uint32_t>(stream, row, out, [](const ColumnPairs& bits) { return bits; });
}

template <class Real>
void fill_normal(Stream stream, std::uint32_t row, std::span<Real> out) {
  fill<float>(stream, row, out, [](const ColumnPairs& bits) { return box_muller(bits); });
}

template <class Real>
void fill_uniform(Stream stream, std::uint32_t row, std::span<Real> out) {
  fill<float>(stream, row, out, [](const ColumnPairs& bits) {
    return Pairs{unit_variance_uniform(bits.even), unit_variance_uniform(bits.odd)};
  });
}

template <class Real>
void fill_truncated_normal(Stream stream, std::uint32_t row, std::span<Real> out) {
  fill<float>(stream, row, out, [](const ColumnPairs& bits) {
    return Pairs{truncated_normal(bits.even), truncated_normal(bits.odd)};
  });
}

template void fill_normal(Stream, std::uint32_t, std::span<float>);
template void fill_normal(Stream, std::uint32_t, std::span<double>);
template void fill_uniform(Stream, std::uint32_t, std::span<float>);
template void fill_uniform(Stream, std::uint32_t, std::span<double>);
template void fill_truncated_normal(Stream, std::uint32_t, std::span<float>);
template void fill_truncated_normal(Stream, std::uint32_t, std::span<double>);

}  // namespace gradflow
