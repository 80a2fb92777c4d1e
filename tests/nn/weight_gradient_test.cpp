#include "gradflow/nn/weight_gradient.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace gradflow::nn {
namespace {

struct Shape {
  int fan_in, fan_out, batch;
};

/// Both sides of uses_gram_matrices, whole and broken tiles, padded and unpadded widths.
const std::vector<Shape> shapes{{200, 200, 64}, {200, 100, 33}, {70, 70, 1},  {70, 70, 34}, {70, 70, 35},
                                {70, 70, 36},   {10, 5, 1},     {10, 5, 130}, {48, 1, 17},  {1, 1, 100}};

/// Samples with normal elements and exponents drawn evenly from +-spread.
template <class Real>
Signal<Real> random_signal(int samples, int width, unsigned seed, int spread) {
  std::mt19937_64 bits(seed);
  std::normal_distribution<double> normal;
  std::uniform_int_distribution<int> exponent(-spread, spread);
  Signal<Real> signal(padded_rows(samples), width);
  for (int s = 0; s < samples; ++s) {
    signal.exponents[std::size_t(s)] = exponent(bits);
    for (int j = 0; j < width; ++j) signal.values(s, j) = Real(normal(bits));
  }
  return signal;
}

template <class Real>
Signal<Real> rows_of(const Signal<Real>& signal, RowRange range) {
  Signal<Real> rows(range.rows(), signal.width);
  for (int i = 0; i < range.samples; ++i) {
    std::ranges::copy(signal.values.row(range.first_sample + i), rows.values.row(i).begin());
    rows.exponents[std::size_t(i)] = signal.exponents[std::size_t(range.first_sample + i)];
  }
  return rows;
}

/// One point whose batch arrives in `microbatches` cuts.
template <class Real>
WeightGradientNorms norms_of(const Signal<Real>& x, const Signal<Real>& dz, int batch, int microbatches = 1) {
  DenseGradient<Real> gradient(x.width, dz.width, {{batch, true, Scaled::of(1)}});
  const int tiles = padded_rows(batch) / tile_rows;
  for (int m = 0; m < microbatches; ++m) {
    const int first = tiles * m / microbatches * tile_rows;
    const int end = std::min(batch, tiles * (m + 1) / microbatches * tile_rows);
    const RowRange range{0, 0, end - first, first};
    gradient.add(rows_of(x, range), rows_of(dz, range), {range});
  }
  return gradient.norms().front();
}

/// The definitions, element after element in long double with the exponents relative to the largest sample's.
struct Definition {
  template <class Real>
  Definition(const Signal<Real>& x, const Signal<Real>& dz, int batch) {
    std::int64_t most = std::numeric_limits<std::int64_t>::min(), most_dz = most;
    for (int s = 0; s < batch; ++s) {
      most = std::max<std::int64_t>(most, x.exponents[std::size_t(s)] + dz.exponents[std::size_t(s)]);
      most_dz = std::max<std::int64_t>(most_dz, dz.exponents[std::size_t(s)]);
    }
    long double weight = 0, bias = 0, absolute = 0;
    for (int i = 0; i < dz.width; ++i) {
      long double db = 0;
      for (int j = 0; j < x.width; ++j) {
        long double g = 0, size = 0;
        for (int s = 0; s < batch; ++s) {
          const std::int64_t shift = x.exponents[std::size_t(s)] + dz.exponents[std::size_t(s)] - most;
          const long double term = std::ldexp((long double)dz.values(s, i) * x.values(s, j), int(shift));
          g += term / batch;
          size += std::abs(term) / batch;
        }
        weight += g * g;
        absolute += size * size;
      }
      for (int s = 0; s < batch; ++s) {
        db += std::ldexp((long double)dz.values(s, i), int(dz.exponents[std::size_t(s)] - most_dz)) / batch;
      }
      bias += db * db;
    }
    weight_squared = Scaled::of(double(weight), 2 * most);
    bias_squared = Scaled::of(double(bias), 2 * most_dz);
    absolute_squared = Scaled::of(double(absolute), 2 * most);
  }

  Scaled weight_squared, bias_squared;
  Scaled absolute_squared;  ///< of the sums of |dz x|: what rounding is relative to
};

double relative_error(Scaled got, Scaled truth) { return std::abs(((got - truth) / truth).value()); }

template <class Real>
class WeightGradientNorm : public testing::Test {
 protected:
  /// Of the squared norm: a float32 product rounds each element at 2^-24, a double one, or a Gram matrix, at
  /// 2^-53; 16 for the sums over a tile and over the tiles.
  static constexpr double rounding = 16 * double(std::numeric_limits<Real>::epsilon());
};

using Precisions = testing::Types<float, double>;
TYPED_TEST_SUITE(WeightGradientNorm, Precisions);

TYPED_TEST(WeightGradientNorm, IsThatOfItsDefinitionInEitherWayOfComputingIt) {
  int by_gram_matrices = 0;
  for (const Shape shape : shapes) {
    for (const int spread : {0, 5, 700}) {
      SCOPED_TRACE(testing::Message() << shape.fan_in << " x " << shape.fan_out << ", batch " << shape.batch
                                      << ", exponents +-" << spread);
      const auto x = random_signal<TypeParam>(shape.batch, shape.fan_in, 1, spread);
      const auto dz = random_signal<TypeParam>(shape.batch, shape.fan_out, 2, spread);

      const WeightGradientNorms norms = norms_of(x, dz, shape.batch);

      const Definition truth(x, dz, shape.batch);
      const double sum = (truth.absolute_squared / truth.weight_squared).value();
      EXPECT_LE(relative_error(norms.weight_gradient_squared, truth.weight_squared),
                this->rounding * std::sqrt(sum));
      EXPECT_LE(relative_error(norms.bias_gradient_squared, truth.bias_squared), 1e-12);
      by_gram_matrices += uses_gram_matrices(shape.fan_in, shape.fan_out, shape.batch);
    }
  }
  EXPECT_EQ(by_gram_matrices, 5 * 3);  // 64 * (200 + 200) < 200 * 200 and so on; the other five are formed
}

TYPED_TEST(WeightGradientNorm, HasTheSameBitsHoweverTheBatchIsCut) {
  for (const Shape shape :
       {Shape{200, 200, 100}, Shape{200, 200, 64}, Shape{48, 32, 130}, Shape{5, 10, 97}}) {
    const auto x = random_signal<TypeParam>(shape.batch, shape.fan_in, 3, 40);
    const auto dz = random_signal<TypeParam>(shape.batch, shape.fan_out, 4, 40);

    const WeightGradientNorms whole = norms_of(x, dz, shape.batch);

    for (int cuts = 2; cuts <= padded_rows(shape.batch) / tile_rows; ++cuts) {
      const WeightGradientNorms cut = norms_of(x, dz, shape.batch, cuts);
      EXPECT_EQ(cut.weight_gradient_squared, whole.weight_gradient_squared) << shape.batch << ' ' << cuts;
      EXPECT_EQ(cut.bias_gradient_squared, whole.bias_gradient_squared) << shape.batch << ' ' << cuts;
      EXPECT_EQ(cut.sample_squared_sum, whole.sample_squared_sum) << shape.batch << ' ' << cuts;
    }
  }
}

TYPED_TEST(WeightGradientNorm, TakesNoNoticeOfZeroSamplesWhateverTheirExponent) {
  for (const Shape shape : {Shape{70, 70, 34}, Shape{10, 5, 34}}) {
    auto x = random_signal<TypeParam>(shape.batch, shape.fan_in, 5, 0);
    auto dz = random_signal<TypeParam>(shape.batch, shape.fan_out, 6, 0);
    for (int s = 0; s < shape.batch; ++s) {  // all other samples are true numbers near 2^-1000
      const bool dead = s % 3 == 0;
      x.exponents[std::size_t(s)] = dead ? 0 : -400;
      dz.exponents[std::size_t(s)] = dead ? 0 : -600;
      if (dead) std::ranges::fill(s % 2 == 0 ? x.values.row(s) : dz.values.row(s), TypeParam(0));
    }
    auto only_living = dz.copy();
    for (int s = 0; s < shape.batch; s += 3) {
      std::ranges::fill(only_living.values.row(s), TypeParam(0));
      only_living.exponents[std::size_t(s)] = -600;
      x.exponents[std::size_t(s)] = -400;
    }

    const Scaled squared = norms_of(x, dz, shape.batch).weight_gradient_squared;

    EXPECT_NEAR(squared.log10(), Definition(x, only_living, shape.batch).weight_squared.log10(), 1e-6);
    EXPECT_LT(squared.log10(), -500);
  }
}

TYPED_TEST(WeightGradientNorm, OfASingleSampleIsTheProductOfItsNorms) {
  for (const int width : {4, 200}) {
    const auto x = random_signal<TypeParam>(1, width, 7, 300);
    const auto dz = random_signal<TypeParam>(1, width, 8, 300);

    const WeightGradientNorms norms = norms_of(x, dz, 1);

    EXPECT_LE(relative_error(norms.weight_gradient_squared, norms.sample_squared_sum), this->rounding);
  }
}

TYPED_TEST(WeightGradientNorm, IsZeroWhenNoSampleHasAGradient) {
  const auto x = random_signal<TypeParam>(40, 70, 9, 5);
  const Signal<TypeParam> dz(64, 70);

  const WeightGradientNorms norms = norms_of(x, dz, 40);

  EXPECT_TRUE(norms.weight_gradient_squared.is_zero());
  EXPECT_TRUE(norms.bias_gradient_squared.is_zero());
}

/// 64 samples of random whole numbers. Samples 32 to 63 have the inputs of 0 to 31 and the opposite
/// gradients, so all of the sum cancels but what is added to one element. The numbers have 12 and 7 bits: a
/// tile's sum is exact in float32 in any order, and a Gram sum is not exact in float64.
template <class Real>
struct Cancelling {
  Cancelling(int width, Real left_over) : x(64, width), dz(64, width) {
    std::mt19937 bits(12);
    for (int s = 0; s < 32; ++s) {
      for (int j = 0; j < width; ++j) {
        x.values(s, j) = x.values(s + 32, j) = Real(bits() % 128);
        dz.values(s, j) = Real(bits() % 4096);
        dz.values(s + 32, j) = -dz.values(s, j);
      }
    }
    dz.values(0, 0) += left_over;
  }
  double squared_norm_of_first_input() const {
    double sum = 0;
    for (const Real v : x.values.row(0)) sum += double(v) * double(v);
    return sum;
  }
  Signal<Real> x, dz;
};

TYPED_TEST(WeightGradientNorm, IsExactWhereTheGramSumCancels) {
  ASSERT_TRUE(uses_gram_matrices(192, 192, 64));
  const Cancelling<TypeParam> samples(192, 1);

  const WeightGradientNorms norms = norms_of(samples.x, samples.dz, 64);

  const Scaled batch_squared = Scaled::of(64 * 64);
  EXPECT_EQ(norms.weight_gradient_squared, Scaled::of(samples.squared_norm_of_first_input()) / batch_squared);
  EXPECT_EQ(norms.bias_gradient_squared, Scaled::of(1) / batch_squared);
}

TYPED_TEST(WeightGradientNorm, IsZeroWhereTheGradientsOfTheSamplesCancelAltogether) {
  const Cancelling<TypeParam> samples(192, 0);

  const WeightGradientNorms norms = norms_of(samples.x, samples.dz, 64);

  EXPECT_TRUE(norms.weight_gradient_squared.is_zero());
  EXPECT_FALSE(norms.sample_squared_sum.is_zero());
}

TEST(WeightGradientRule, DependsOnTheShapeOnly) {
  EXPECT_TRUE(uses_gram_matrices(70, 70, 34));
  EXPECT_FALSE(uses_gram_matrices(70, 70, 35));
  EXPECT_TRUE(uses_gram_matrices(1 << 20, 1 << 20, 1 << 18));  // products beyond 2^31
}

TEST(WeightGradient, KeepsThePointsOfABundleApart) {
  const auto x = random_signal<float>(96, 48, 10, 3), dz = random_signal<float>(96, 48, 11, 3);
  const RowRange first{0, 0, 20, 0}, second{1, 32, 40, 0};
  const auto place = [](const Signal<float>& all, int from, RowRange to, Signal<float>& stacked) {
    for (int i = 0; i < to.samples; ++i) {
      std::ranges::copy(all.values.row(from + i), stacked.values.row(to.first_row + i).begin());
      stacked.exponents[std::size_t(to.first_row + i)] = all.exponents[std::size_t(from + i)];
    }
  };
  Signal<float> xs(96, 48), dzs(96, 48);
  place(x, 0, first, xs), place(dz, 0, first, dzs);
  place(x, 20, second, xs), place(dz, 20, second, dzs);

  DenseGradient<float> both(48, 48, {{20, true, Scaled::of(1)}, {40, true, Scaled::of(1)}});
  both.add(std::move(xs), std::move(dzs), {first, second});
  const std::vector<WeightGradientNorms> norms = both.norms();  // by Gram matrices, and formed

  const auto alone = [&](int from, int samples) {
    const RowRange range{0, 0, samples, from};
    return norms_of(rows_of(x, range), rows_of(dz, range), samples).weight_gradient_squared;
  };
  EXPECT_EQ(norms[0].weight_gradient_squared, alone(0, 20));
  EXPECT_EQ(norms[1].weight_gradient_squared, alone(20, 40));
}

}  // namespace
}  // namespace gradflow::nn
