#include "gradflow/core/blas.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include <cblas.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/core/parallel.hpp"
#include "gradflow/core/random.hpp"

namespace gradflow {
namespace {

template <class Real>
Matrix<Real> normal_matrix(std::uint32_t layer, int rows, int cols) {
  Matrix<Real> matrix(rows, cols);
  for (int i = 0; i < rows; ++i) fill_normal({1, Purpose::data, layer}, std::uint32_t(i), matrix.row(i));
  return matrix;
}

template <class Real>
bool same_bits(const Matrix<Real>& a, const Matrix<Real>& b) {
  return std::equal(a.data(), a.data() + a.size(), b.data(), b.data() + b.size());
}

/// A sum of k products of N(0, 1) numbers is off by at most k roundings of its absolute sum, which is below
/// 2k.
template <class Real>
double rounding_of_sum(int k) {
  return 2.0 * k * k * std::numeric_limits<Real>::epsilon();
}

template <class Real>
class Product : public testing::Test {
 protected:
  static constexpr int batch = 96, fan_in = 64, fan_out = 80, first = 32, rows = 32;

  /// Sum over k of left(k) right(k) in double.
  template <class Left, class Right>
  static double sum(int terms, Left left, Right right) {
    double total = 0;
    for (int k = 0; k < terms; ++k) total += double(left(k)) * double(right(k));
    return total;
  }

  static void expect_only_slice_written(const Matrix<Real>& c) {
    for (int i = 0; i < batch; ++i) {
      const bool inside = i >= first && i < first + rows;
      EXPECT_EQ(std::ranges::all_of(c.row(i), [](Real x) { return x == 0; }), !inside) << "row " << i;
    }
  }
};

using Reals = testing::Types<float, double>;
TYPED_TEST_SUITE(Product, Reals);

TYPED_TEST(Product, ForwardIsHTimesWTransposed) {
  using Fixture = TestFixture;
  const auto h = normal_matrix<TypeParam>(1, Fixture::batch, Fixture::fan_in);
  const auto w = normal_matrix<TypeParam>(2, Fixture::fan_out, Fixture::fan_in);
  Matrix<TypeParam> z(Fixture::batch, Fixture::fan_out);

  multiply_transposed(h, Fixture::first, Fixture::rows, w, z);

  Fixture::expect_only_slice_written(z);
  for (int i = Fixture::first; i < Fixture::first + Fixture::rows; ++i) {
    for (int j = 0; j < Fixture::fan_out; ++j) {
      const double exact = Fixture::sum(
          Fixture::fan_in, [&](int k) { return h(i, k); }, [&](int k) { return w(j, k); });
      ASSERT_NEAR(z(i, j), exact, rounding_of_sum<TypeParam>(Fixture::fan_in));
    }
  }
}

TYPED_TEST(Product, BackwardIsDzTimesW) {
  using Fixture = TestFixture;
  const auto dz = normal_matrix<TypeParam>(1, Fixture::batch, Fixture::fan_out);
  const auto w = normal_matrix<TypeParam>(2, Fixture::fan_out, Fixture::fan_in);
  Matrix<TypeParam> dh(Fixture::batch, Fixture::fan_in);

  multiply(dz, Fixture::first, Fixture::rows, w, dh);

  Fixture::expect_only_slice_written(dh);
  for (int i = Fixture::first; i < Fixture::first + Fixture::rows; ++i) {
    for (int j = 0; j < Fixture::fan_in; ++j) {
      const double exact = Fixture::sum(
          Fixture::fan_out, [&](int k) { return dz(i, k); }, [&](int k) { return w(k, j); });
      ASSERT_NEAR(dh(i, j), exact, rounding_of_sum<TypeParam>(Fixture::fan_out));
    }
  }
}

TYPED_TEST(Product, BackwardOfSeveralTilesAndManyColumnsIsDzTimesW) {
  constexpr int samples = 3 * tile_rows + 16, outputs = 208, inputs = 336;
  const auto dz = normal_matrix<TypeParam>(1, samples, outputs);
  const auto w = normal_matrix<TypeParam>(2, outputs, inputs);
  Matrix<TypeParam> dh(samples, inputs);

  multiply(dz, 0, samples, w, dh);

  for (int i = 0; i < samples; ++i) {
    for (int j = 0; j < inputs; ++j) {
      double exact = 0;
      for (int k = 0; k < outputs; ++k) exact += double(dz(i, k)) * double(w(k, j));
      ASSERT_NEAR(dh(i, j), exact, rounding_of_sum<TypeParam>(outputs));
    }
  }
}

TYPED_TEST(Product, AddOuterAddsTheSumOverTheRowsOfTheTileToWhatItKeepsOfThePatchAsked) {
  using Fixture = TestFixture;
  for (const double keep : {1.0, 0.25, 0.0}) {
    const auto dz = normal_matrix<TypeParam>(1, Fixture::batch, Fixture::fan_out);
    const auto h = normal_matrix<TypeParam>(2, Fixture::batch, Fixture::fan_in);
    const auto before = normal_matrix<TypeParam>(3, Fixture::fan_out, Fixture::fan_in);
    auto g = before.copy();
    constexpr Patch patch{16, Fixture::fan_out - 16, 8, Fixture::fan_in - 24};

    add_outer(dz, Fixture::first, h, Fixture::first, Fixture::rows, TypeParam(keep), g, patch);

    for (int i = 0; i < Fixture::fan_out; ++i) {
      for (int j = 0; j < Fixture::fan_in; ++j) {
        if (i < patch.first_row || j < patch.first_col || j >= patch.first_col + patch.cols) {
          ASSERT_EQ(g(i, j), before(i, j));
          continue;
        }
        const double exact =
            keep * double(before(i, j)) + Fixture::sum(
                                              Fixture::rows, [&](int k) { return dz(Fixture::first + k, i); },
                                              [&](int k) { return h(Fixture::first + k, j); });
        ASSERT_NEAR(g(i, j), exact, rounding_of_sum<TypeParam>(Fixture::rows));
      }
    }
  }
}

TYPED_TEST(Product, RefusesShapesThatDoNotFit) {
  const Matrix<TypeParam> h(32, 64), w(80, 128);
  Matrix<TypeParam> z(32, 80);

  EXPECT_THROW(multiply_transposed(h, 0, 32, w, z), BrokenPromise);
  EXPECT_THROW(multiply(h, 0, 32, w, z), BrokenPromise);
  EXPECT_THROW(multiply_transposed(Matrix<TypeParam>(32, 128), 1, 32, w, z), BrokenPromise);
  EXPECT_THROW(add_outer(h, 0, w, 0, 32, TypeParam(1), z, Patch{0, 32, 0, 80}), BrokenPromise);
}

// The serial build of OpenBLAS answers a few such calls in ten thousand wrongly.
TYPED_TEST(Product, KeepsItsBitsWhenCalledFromManyThreads) {
  require_thread_safe_blas();
  const auto h = normal_matrix<TypeParam>(1, 256, 128);
  const auto w = normal_matrix<TypeParam>(2, 128, 128);
  Matrix<TypeParam> alone(256, 128), together(256, 128);
  for (int i = 0; i < 8; ++i) multiply_transposed(h, 32 * i, 32, w, alone);
  int wrong = 0;

  Threads threads(4);
  for (int repeat = 0; repeat < 200; ++repeat) {
    threads.run([&] { parallel_for(8, [&](int i) { multiply_transposed(h, 32 * i, 32, w, together); }); });
    wrong += !same_bits(alone, together);
  }

  EXPECT_EQ(wrong, 0);
}

TEST(Gram, IsAllScalarProductsAndExactlySymmetric) {
  const auto a = normal_matrix<double>(1, 37, 128);

  const Matrix<double> g = gram(a);

  ASSERT_EQ(g.rows(), 37);
  ASSERT_EQ(g.cols(), 37);
  for (int i = 0; i < 37; ++i) {
    for (int j = 0; j < 37; ++j) {
      double exact = 0;
      for (int k = 0; k < 128; ++k) exact += a(i, k) * a(j, k);
      ASSERT_NEAR(g(i, j), exact, rounding_of_sum<double>(128));
      ASSERT_EQ(g(i, j), g(j, i));
    }
  }
}

TEST(Gram, OfNoSamplesIsEmpty) { EXPECT_TRUE(gram(Matrix<double>(0, 128)).empty()); }

TEST(Blas, RunsOneThreadPerCall) {
  require_thread_safe_blas();

  EXPECT_EQ(openblas_get_num_threads(), 1);
}

TEST(Blas, SaysWhoItIs) {
  EXPECT_THAT(blas_identity().version, testing::MatchesRegex("OpenBLAS [0-9.a-z]+"));
  EXPECT_FALSE(blas_identity().core.empty());
  EXPECT_EQ(blas_identity(), blas_identity());
}

template <class Real>
Matrix<Real> forward_in_slices(const Matrix<Real>& h, const Matrix<Real>& w, int slice) {
  Matrix<Real> z(h.rows(), w.rows());
  for (int row = 0; row < h.rows(); row += slice) {
    multiply_transposed(h, row, std::min(slice, h.rows() - row), w, z);
  }
  return z;
}

template <class Real>
Matrix<Real> backward_in_slices(const Matrix<Real>& dz, const Matrix<Real>& w, int slice) {
  Matrix<Real> dh(dz.rows(), w.cols());
  for (int row = 0; row < dz.rows(); row += slice) {
    multiply(dz, row, std::min(slice, dz.rows() - row), w, dh);
  }
  return dh;
}

/// Whether a cut into slices changes bits of either product of 256 rows, on numbers other than the probe's.
template <class Real>
bool cut_shows(int fan_in, int fan_out, int slice) {
  const auto h = normal_matrix<Real>(1, 256, fan_in);
  const auto dz = normal_matrix<Real>(2, 256, fan_out);
  const auto w = normal_matrix<Real>(3, fan_out, fan_in);
  return !same_bits(forward_in_slices(h, w, 256), forward_in_slices(h, w, slice)) ||
         !same_bits(backward_in_slices(dz, w, 256), backward_in_slices(dz, w, slice));
}

class EveryPaddedWidth : public testing::TestWithParam<std::tuple<int, int>> {
 protected:
  /// Which shapes keep their bits is for OpenBLAS and the machine to say; that the probe's yes means yes is
  /// ours.
  template <class Real>
  static void expect_probe_to_be_right() {
    const int fan_in = padded_width<Real>(std::get<0>(GetParam()));
    const int fan_out = padded_width<Real>(std::get<1>(GetParam()));
    if (!slices_keep_bits<Real>(256, fan_in, fan_out)) return;
    for (const int slice : {32, 64, 96, 128, 224}) {
      EXPECT_FALSE(cut_shows<Real>(fan_in, fan_out, slice)) << "slices of " << slice << " rows";
    }
  }
};

TEST_P(EveryPaddedWidth, KeepsItsBitsUnderEveryCutIfTheProbeSaysSo) {
  expect_probe_to_be_right<float>();
  expect_probe_to_be_right<double>();
}

INSTANTIATE_TEST_SUITE_P(Shapes, EveryPaddedWidth,
                         testing::Combine(testing::Values(5, 100, 200, 512),
                                          testing::Values(5, 100, 200, 512)));

// With kernels for AVX2 a cut does show, so this test also runs under those, whatever the machine prefers.
TEST(SlicesKeepBits, SaysNoWhereACutShows) {
  int shown = 0;

  for (int width = 1; width <= 64; ++width) {
    if (!cut_shows<float>(width, width, tile_rows)) continue;
    ++shown;
    EXPECT_FALSE(slices_keep_bits<float>(256, width, width)) << width;
  }

  if (blas_identity().core == "Haswell") {
    EXPECT_GT(shown, 0);
  }
}

TEST(SlicesKeepBits, WantsWholeTiles) { EXPECT_THROW(slices_keep_bits<float>(33, 64, 64), BrokenPromise); }

}  // namespace
}  // namespace gradflow
