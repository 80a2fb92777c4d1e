#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <hwy/highway.h>
#include <sleef.h>

/// The only door to Google Highway (packs of numbers) and SLEEF (elementary functions on packs).
///
/// A pack is as wide as the instruction set the program was compiled for; `+ - * /` and comparisons are
/// Highway's own operators. Everything here treats each lane alone: a lane's result never depends on its
/// neighbours (the `finz` and `cinz` forms of SLEEF), so it does not depend on where in a row a number
/// stands. Products are never contracted behind our back: mul_add is said where it is meant.
namespace gradflow::simd {

namespace hn = hwy::HWY_NAMESPACE;

template <class T>
using Tag = hn::ScalableTag<T>;
template <class T>
using Pack = hn::Vec<Tag<T>>;
template <class P>
using Mask = decltype(P() == P());
/// The number type of a pack.
template <class P>
using Element = hn::TFromV<P>;

/// Numbers in a pack; divides 16, hence every padded row.
template <class T>
inline constexpr int lanes = int(hn::MaxLanes(Tag<T>()));

// ---- memory. Addresses are aligned to the pack, as every row of a Matrix is.

template <class T>
Pack<T> load(const T* aligned) {
  return hn::Load(Tag<T>(), aligned);
}
/// The next lanes<double> numbers in double precision.
inline Pack<double> load_double(const double* aligned) { return load(aligned); }
inline Pack<double> load_double(const float* aligned) {
  return hn::PromoteTo(Tag<double>(), hn::Load(hn::Rebind<float, Tag<double>>(), aligned));
}
template <class P>
void store(P x, Element<P>* aligned) {
  hn::Store(x, Tag<Element<P>>(), aligned);
}
/// The same number in every lane.
template <class P>
P constant(double x) {
  return hn::Set(Tag<Element<P>>(), Element<P>(x));
}

template <class P>
Element<P> first(P x) {
  return hn::GetLane(x);
}

// ---- selection and bits

template <class M, class P>
P select(M mask, P yes, P no) {
  return hn::IfThenElse(mask, yes, no);
}
template <class M>
M both(M a, M b) {
  return hn::And(a, b);
}
template <class M>
M either(M a, M b) {
  return hn::Or(a, b);
}
/// Lanes 0 .. n-1. @pre n >= 0
template <class T>
auto first_lanes(int n) {
  return hn::FirstN(Tag<T>(), std::size_t(n));
}
/// `x` where the mask holds, 0 elsewhere.
template <class M, class P>
P keep(M mask, P x) {
  return hn::IfThenElseZero(mask, x);
}
template <class T, class M>
int count(M mask) {
  return int(hn::CountTrue(Tag<T>(), mask));
}

// ---- arithmetic

template <class P>
P abs(P x) {
  return hn::Abs(x);
}
template <class P>
P negative(P x) {
  return hn::Neg(x);
}
/// |x| with the sign of y.
template <class P>
P copy_sign(P x, P y) {
  return hn::CopySign(x, y);
}
// max and min: y where either is NaN, as the instructions of x86 have it.
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
template <class P>
P max(P x, P y) {
  return hn::Max(x, y);
}
template <class P>
P min(P x, P y) {
  return hn::Min(x, y);
}
#else
template <class P>
P max(P x, P y) {
  return hn::IfThenElse(x > y, x, y);
}
template <class P>
P min(P x, P y) {
  return hn::IfThenElse(x < y, x, y);
}
#endif
template <class P>
P sqrt(P x) {
  return hn::Sqrt(x);
}
/// a * b + c, rounded once where the machine can (AVX2 and above).
template <class P>
P mul_add(P a, P b, P c) {
  return hn::MulAdd(a, b, c);
}

/// What rounding cut off a product: a * b = p + product_error(a, b, p) exactly, for p = a * b within the
/// normal range. Dekker (1971) where there is no fused multiply-add.
template <class P>
P product_error(P a, P b, P p) {
#if HWY_NATIVE_FMA
  return hn::MulSub(a, b, p);
#else
  constexpr double splitter = sizeof(Element<P>) == 4 ? 4097.0 : 134217729.0;  // 2^12 + 1, 2^27 + 1
  const P sa = a * constant<P>(splitter), sb = b * constant<P>(splitter);
  const P a_high = sa - (sa - a), b_high = sb - (sb - b);
  const P a_low = a - a_high, b_low = b - b_high;
  return ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low;
#endif
}

/// Nearest float of each unsigned 32-bit number. (One rounding: both halves are exact.)
inline Pack<float> to_float(Pack<std::uint32_t> x) {
  const Tag<float> to;
  const Tag<std::int32_t> through;
  const Pack<float> high = hn::ConvertTo(to, hn::BitCast(through, hn::ShiftRight<16>(x)));
  const Pack<float> low =
      hn::ConvertTo(to, hn::BitCast(through, hn::And(x, hn::Set(Tag<std::uint32_t>(), 0xFFFFu))));
  return high * constant<Pack<float>>(65536.0) + low;
}

// ---- elementary functions: at most 1 unit in the last place (tanh 3.5, erfc 1.5), subnormal arguments too

#if HWY_CAP_GE512
#define GRADFLOW_SLEEF_FLOAT(function, ulp) Sleef_finz_##function##f16_##ulp##avx512f
#define GRADFLOW_SLEEF_DOUBLE(function, ulp) Sleef_finz_##function##d8_##ulp##avx512f
#elif HWY_TARGET == HWY_AVX2
#define GRADFLOW_SLEEF_FLOAT(function, ulp) Sleef_finz_##function##f8_##ulp##avx2
#define GRADFLOW_SLEEF_DOUBLE(function, ulp) Sleef_finz_##function##d4_##ulp##avx2
#elif HWY_TARGET == HWY_SSE4
#define GRADFLOW_SLEEF_FLOAT(function, ulp) Sleef_cinz_##function##f4_##ulp##sse4
#define GRADFLOW_SLEEF_DOUBLE(function, ulp) Sleef_cinz_##function##d2_##ulp##sse4
#endif

#ifdef GRADFLOW_SLEEF_FLOAT
#define GRADFLOW_SIMD_FUNCTION(function, ulp)                         \
  inline Pack<float> function(Pack<float> x) {                        \
    return Pack<float>{GRADFLOW_SLEEF_FLOAT(function, ulp)(x.raw)};   \
  }                                                                   \
  inline Pack<double> function(Pack<double> x) {                      \
    return Pack<double>{GRADFLOW_SLEEF_DOUBLE(function, ulp)(x.raw)}; \
  }
#else
/// `f` lane by lane, on machines SLEEF was not built for.
template <class P, class F>
P each_lane(P x, F f) {
  alignas(64) Element<P> values[lanes<Element<P>>];
  store(x, values);
  for (Element<P>& value : values) value = f(value);
  return load(values);
}
#define GRADFLOW_SIMD_FUNCTION(function, ulp)                           \
  template <class P>                                                    \
  P function(P x) {                                                     \
    return each_lane(x, [](Element<P> v) { return std::function(v); }); \
  }
#endif

GRADFLOW_SIMD_FUNCTION(exp, u10)
GRADFLOW_SIMD_FUNCTION(expm1, u10)
GRADFLOW_SIMD_FUNCTION(log1p, u10)
GRADFLOW_SIMD_FUNCTION(log10, u10)
GRADFLOW_SIMD_FUNCTION(tanh, u35)
GRADFLOW_SIMD_FUNCTION(erf, u10)
GRADFLOW_SIMD_FUNCTION(erfc, u15)
GRADFLOW_SIMD_FUNCTION(sin, u10)
GRADFLOW_SIMD_FUNCTION(cos, u10)
GRADFLOW_SIMD_FUNCTION(atan, u10)

#undef GRADFLOW_SIMD_FUNCTION
#undef GRADFLOW_SLEEF_FLOAT
#undef GRADFLOW_SLEEF_DOUBLE

// ---- reduction

template <class P>
Element<P> smallest_lane(P x) {
  return hn::GetLane(hn::MinOfLanes(Tag<Element<P>>(), x));
}
template <class P>
Element<P> largest_lane(P x) {
  return hn::GetLane(hn::MaxOfLanes(Tag<Element<P>>(), x));
}

/// Sum of all lanes: the two halves added, then their halves, down to one lane.
template <class D>
double folded_sum(D tag, hn::Vec<D> x) {
  if constexpr (hn::MaxLanes(tag) == 1) {
    return hn::GetLane(x);
  } else {
    const hn::Half<D> half;
    return folded_sum(half, hn::LowerHalf(half, x) + hn::UpperHalf(half, x));
  }
}
inline double folded_sum(Pack<double> x) { return folded_sum(Tag<double>(), x); }

/// The largest magnitude of a stream of packs. An infinity or NaN anywhere in the stream comes out as one.
template <class T>
class LargestMagnitude {
  // Magnitudes order like their bits read as integers, and there NaN is largest: it cannot get lost as in
  // max().
  using Bits = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

 public:
  void add(Pack<T> x) { largest_ = hn::Max(largest_, hn::BitCast(Tag<Bits>(), hn::Abs(x))); }

  T value() const { return hn::GetLane(hn::BitCast(Tag<T>(), hn::MaxOfLanes(Tag<Bits>(), largest_))); }

 private:
  Pack<Bits> largest_ = hn::Zero(Tag<Bits>());
};

}  // namespace gradflow::simd
