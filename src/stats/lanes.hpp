#pragma once

#include <algorithm>
#include <array>

#include "gradflow/core/simd.hpp"

namespace gradflow::stats {

/// Sixteen consecutive columns of a row in float64. Lane l takes the columns j with j mod 16 = l and the
/// lanes are added in one fixed tree, on every instruction set: the bits of a sum do not depend on it.
class Lanes {
 public:
  static constexpr int count = 16;
  using Pack = simd::Pack<double>;

  Lanes() { packs_.fill(simd::constant<Pack>(0)); }

  template <class Real>
  static Lanes load(const Real* columns) {
    return Lanes([&](int first) { return simd::load_double(columns + first); });
  }
  void store(double* columns) const {
    for (int p = 0; p < pack_count; ++p) simd::store(packs_[p], columns + p * width);
  }
  /// The first `columns` lanes, 0 in the others.
  Lanes first(int columns) const {
    return Lanes([&](int first) {
      const int inside = std::clamp(columns - first, 0, width);
      return simd::keep(simd::first_lanes<double>(inside), packs_[first / width]);
    });
  }

  Lanes& operator+=(const Lanes& b) {
    for (int p = 0; p < pack_count; ++p) packs_[p] = packs_[p] + b.packs_[p];
    return *this;
  }
  /// += a b. The product of two float32 numbers is exact, so whether the sum is fused changes no bit of it.
  void add_product(const Lanes& a, const Lanes& b) {
    for (int p = 0; p < pack_count; ++p) packs_[p] = simd::mul_add(a.packs_[p], b.packs_[p], packs_[p]);
  }
  void add_product(const Lanes& a, double b) {
    const Pack factor = simd::constant<Pack>(b);
    for (int p = 0; p < pack_count; ++p) packs_[p] = simd::mul_add(a.packs_[p], factor, packs_[p]);
  }
  friend Lanes operator*(const Lanes& a, const Lanes& b) {
    return Lanes([&](int first) { return a.packs_[first / width] * b.packs_[first / width]; });
  }
  friend Lanes operator*(const Lanes& a, double b) {
    return Lanes([&](int first) { return a.packs_[first / width] * simd::constant<Pack>(b); });
  }
  friend Lanes operator-(const Lanes& a, double b) {
    return Lanes([&](int first) { return a.packs_[first / width] - simd::constant<Pack>(b); });
  }

  /// Lanes l and l + 8 first, then strides 4, 2 and 1.
  double sum() const {
    std::array<Pack, pack_count> packs = packs_;
    for (int half = pack_count / 2; half > 0; half /= 2) {
      for (int p = 0; p < half; ++p) packs[p] = packs[p] + packs[p + half];
    }
    return simd::folded_sum(packs[0]);
  }

 private:
  static constexpr int width = simd::lanes<double>;
  static constexpr int pack_count = count / width;

  /// @param pack_at  the pack that begins at a lane
  template <class PackAt>
  explicit Lanes(PackAt pack_at) {
    for (int p = 0; p < pack_count; ++p) packs_[p] = pack_at(p * width);
  }

  std::array<Pack, pack_count> packs_;
};

}  // namespace gradflow::stats
