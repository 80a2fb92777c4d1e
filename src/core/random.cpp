#include "gradflow/core/random.hpp"

#include <algorithm>
#include <array>
#include <type_traits>

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

/// Two packs that go through a formula side by side: in a pack alone each operation waits for the one before.
struct Twin {
  Float a;
  Float b;

  friend Twin operator+(const Twin& x, const Twin& y) { return {x.a + y.a, x.b + y.b}; }
  friend Twin operator-(const Twin& x, const Twin& y) { return {x.a - y.a, x.b - y.b}; }
  friend Twin operator*(const Twin& x, const Twin& y) { return {x.a * y.a, x.b * y.b}; }
};

/// f of a pack, or of each of two.
template <class F>
HWY_INLINE Float each(F f, Float x) {
  return f(x);
}
template <class F>
HWY_INLINE Twin each(F f, const Twin& x) {
  return {f(x.a), f(x.b)};
}

template <class P>
HWY_INLINE P number(double x) {
  if constexpr (std::is_same_v<P, Twin>) {
    return {constant<Float>(x), constant<Float>(x)};
  } else {
    return constant<P>(x);
  }
}

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
template <class P, std::size_t n>
HWY_INLINE P polynomial(P x, const double (&coefficients)[n]) {
  const P square = x * x;
  P sums[2] = {number<P>(coefficients[0]), number<P>(coefficients[1])};
  for (std::size_t i = 2; i < n; ++i) sums[i % 2] = sums[i % 2] * square + number<P>(coefficients[i]);
  return sums[(n - 1) % 2] + x * sums[n % 2];
}

/// The exponent e of u = m 2^e with m in [sqrt(1/2), sqrt 2).
HWY_INLINE simd::Pack<std::int32_t> exponent_of(Float u) {
  return simd::hn::ShiftRight<23>(BitCast(integers, u) - Set(integers, 0x3F3504F3));
}

/// ln u. @pre 2^-126 <= u <= 1
template <class P>
HWY_INLINE P natural_logarithm(P u) {
  const P e = each([](Float v) { return simd::hn::ConvertTo(floats, exponent_of(v)); }, u);
  const P mantissa = each(
      [](Float v) { return BitCast(floats, BitCast(integers, v) - simd::hn::ShiftLeft<23>(exponent_of(v))); },
      u);
  const P x = mantissa - number<P>(1);
  const P square = x * x;

  P sum =
      x * square *
      polynomial(x, {7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
                     -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1});
  sum = sum + e * number<P>(-2.12194440e-4) - number<P>(0.5) * square;
  return x + sum + e * number<P>(0.693359375);  // ln 2 = 0.693359375 - 2.12194440e-4
}

/// Sine and cosine of an angle in (-pi/4, pi/4).
template <class P>
struct Point {
  P sine;
  P cosine;
};

template <class P>
HWY_INLINE Point<P> point_at(P angle) {
  const P square = angle * angle;
  return {angle + angle * square * polynomial(square, {-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1}),
          number<P>(1) - number<P>(0.5) * square +
              square * square *
                  polynomial(square, {2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2})};
}

/// An odd multiple of pi 2^-26 in (-pi/4, pi/4), from the lowest 30 bits.
HWY_INLINE Float angle_of(Words bits) {
  return symmetric(simd::hn::ShiftLeft<2>(bits)) * constant<Float>(0.7853981633974483);
}

/// A point of the unit circle with a uniform angle. Bit 31: sign of x; bit 30: x and y swapped.
HWY_INLINE Pairs turned(Words bits, Float sine, Float cosine) {
  const Words sign = simd::hn::And(bits, Set(words, 0x80000000u));
  const Float signed_cosine = BitCast(floats, simd::hn::Xor(BitCast(words, cosine), sign));
  const auto swapped = simd::hn::MaskFromVec(
      BitCast(floats, simd::hn::ShiftRight<31>(BitCast(integers, simd::hn::ShiftLeft<1>(bits)))));
  return {simd::select(swapped, sine, signed_cosine), simd::select(swapped, signed_cosine, sine)};
}

/// Box and Muller, A note on the generation of random normal deviates (1958).
HWY_INLINE std::array<Pairs, 2> box_muller(const ColumnPairs& first, const ColumnPairs& second) {
  const Twin uniform{fine_unit_interval(first.even), fine_unit_interval(second.even)};
  const Twin square = number<Twin>(-2) * natural_logarithm(uniform);
  const Float radius[2] = {simd::sqrt(square.a), simd::sqrt(square.b)};
  const Point<Twin> point = point_at(Twin{angle_of(first.odd), angle_of(second.odd)});
  const Pairs a = turned(first.odd, point.sine.a, point.cosine.a);
  const Pairs b = turned(second.odd, point.sine.b, point.cosine.b);
  return {{{radius[0] * a.even, radius[0] * a.odd}, {radius[1] * b.even, radius[1] * b.odd}}};
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
/// @param make  two pairs of packs of numbers out of two of words
template <class Number, class Out, class Make>
void fill(Stream stream, std::uint32_t row, std::span<Out> out, Make make) {
  const RandomRow source(stream, row);
  alignas(64) Number step[columns_per_step];
  for (std::size_t first = 0; first < out.size(); first += columns_per_step) {
    const std::array<ColumnPairs, together> bits = source.step(static_cast<std::uint32_t>(first / 4));
    Number* place = step;
    for (std::size_t i = 0; i < together; i += 2) {
      for (const auto& pairs : make(bits[i], bits[i + 1])) {
        simd::hn::StoreInterleaved2(pairs.even, pairs.odd, simd::Tag<Number>(), place);
        place += 4 * counters;
      }
    }
    std::copy_n(step, std::min<std::size_t>(columns_per_step, out.size() - first), out.begin() + first);
  }
}

/// The same where each number comes from one word.
template <class Out, class Make>
void fill_each(Stream stream, std::uint32_t row, std::span<Out> out, Make make) {
  const auto pairs = [make](const ColumnPairs& bits) { return Pairs{make(bits.even), make(bits.odd)}; };
  fill<float>(stream, row, out, [pairs](const ColumnPairs& first, const ColumnPairs& second) {
    return std::array{pairs(first), pairs(second)};
  });
}

}  // namespace

void fill_bits(Stream stream, std::uint32_t row, std::span<std::uint32_t> out) {
  fill<std::uint32_t>(stream, row, out, [](const ColumnPairs& first, const ColumnPairs& second) {
    return std::array{first, second};
  });
}

template <class Real>
void fill_normal(Stream stream, std::uint32_t row, std::span<Real> out) {
  fill<float>(stream, row, out,
              [](const ColumnPairs& first, const ColumnPairs& second) { return box_muller(first, second); });
}

template <class Real>
void fill_uniform(Stream stream, std::uint32_t row, std::span<Real> out) {
  fill_each(stream, row, out, unit_variance_uniform);
}

template <class Real>
void fill_truncated_normal(Stream stream, std::uint32_t row, std::span<Real> out) {
  fill_each(stream, row, out, truncated_normal);
}

template void fill_normal(Stream, std::uint32_t, std::span<float>);
template void fill_normal(Stream, std::uint32_t, std::span<double>);
template void fill_uniform(Stream, std::uint32_t, std::span<float>);
template void fill_uniform(Stream, std::uint32_t, std::span<double>);
template void fill_truncated_normal(Stream, std::uint32_t, std::span<float>);
template void fill_truncated_normal(Stream, std::uint32_t, std::span<double>);

}  // namespace gradflow
