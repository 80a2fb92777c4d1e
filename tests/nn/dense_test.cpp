#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "gradflow/core/random.hpp"
#include "networks.hpp"
#include "recording.hpp"

namespace gradflow::nn {
namespace {

template <class Real>
class Blind final : public Observer<Real> {
 public:
  void see(Role, const Signal<Real>&, const RowRange&) override {}
  void count_saturated(Role, int, std::int64_t) override {}
  void count_lost(Role, int, std::span<const std::int64_t>) override {}
};

/// One layer with what passes through it.
template <class Real>
struct OneLayer {
  explicit OneLayer(const NetworkSpec& spec, int layer = 1)
      : bundle{spec}, stack(microbatch_rows(bundle, 0, 1)), block(make_block<Real>(bundle, layer)) {}

  Signal<Real> forward(const Signal<Real>& x) {
    State<Real> state;
    state.push_back(x.copy());
    tape.clear();
    return std::move(block->forward(std::move(state), stack, tape, observer, failures).front());
  }
  State<Real> backward(const Signal<Real>& dy) {
    State<Real> state;
    state.push_back(dy.copy());
    const auto gradient = block->weight_gradient();
    return block->backward(std::move(state), Entry::output, stack, tape, observer, *gradient, failures);
  }

  Bundle bundle;
  Stack stack;
  std::unique_ptr<Block<Real>> block;
  Tape<Real> tape;
  Blind<Real> observer;
  Failures failures = Failures(1);
};

template <class Real>
Signal<Real> random_signal(int samples, int width) {
  Signal<Real> signal(padded_rows(samples), width);
  for (int s = 0; s < samples; ++s) {
    fill_normal<Real>({9, Purpose::data, 0}, std::uint32_t(s),
                      signal.values.row(s).first(std::size_t(width)));
  }
  return signal;
}

/// z = W h + b of one unit, where each factor has its own exponent.
template <class Real>
Scaled preactivation(const NetworkSpec& spec, const Signal<Real>& h, int sample, int unit) {
  const int fan_in = spec.widths.fan_in(1), fan_out = spec.widths.fan_out(1);
  const auto weight = unit_weights<Real>(*spec.init.scheme, spec.seed, 1, fan_in, fan_out);
  const auto bias = unit_bias<Real>(*spec.init.scheme, spec.seed, 1, fan_out);
  double sum = 0;
  for (int j = 0; j < fan_in; ++j) sum += double(weight(unit, j)) * double(h.values(sample, j));
  return Scaled::of(spec.init.weight_scale(fan_in, fan_out)) *
             Scaled::of(sum, h.exponents[std::size_t(sample)]) +
         Scaled::of(spec.init.effective_sigma_b(fan_in)) * Scaled::of(double(bias(0, unit)));
}

template <class Real>
class DenseLayer : public testing::Test {
 protected:
  static constexpr double unit_roundoff = double(std::numeric_limits<Real>::epsilon()) / 2;

  /// Linear layers, so that what comes out is the preactivation.
  static void expect_preactivations(const NetworkSpec& spec, const Signal<Real>& h, double tolerance) {
    OneLayer<Real> layer(spec);
    const Signal<Real> z = layer.forward(h);
    for (int s = 0; s < spec.batch; ++s) {
      Scaled error, norm;
      for (int i = 0; i < z.width; ++i) {
        const Scaled truth = preactivation(spec, h, s, i);
        const Scaled difference = Scaled::of(double(z.values(s, i)), z.exponents[std::size_t(s)]) - truth;
        error = error + difference * difference;
        norm = norm + truth * truth;
      }
      EXPECT_LE((error / norm).value(), tolerance * tolerance)
          << "sample " << s << ", sigma_w " << spec.init.sigma_w << ", sigma_b " << spec.init.sigma_b;
    }
  }
};

using Precisions = testing::Types<float, double>;
TYPED_TEST_SUITE(DenseLayer, Precisions);

const std::vector<double> sizes{1e-300, 1e-60, 1e-39, 1e-30, 1e-3, 1, 1e30, 1e60, 1e300};

TYPED_TEST(DenseLayer, AddsWeightsAndBiasesOfAnySize) {
  for (const double sigma_w : sizes) {
    for (const double sigma_b : sizes) {
      const NetworkSpec spec = with_batch(network(Widths::listed({20, 30}), "linear", sigma_w, sigma_b), 3);

      // 20 products, a scale, a bias: as many roundings, 4 times their sizes over the norm.
      this->expect_preactivations(spec, random_signal<TypeParam>(3, 20), 4 * 22 * this->unit_roundoff);
    }
  }
}

TYPED_TEST(DenseLayer, KeepsTheBiasOfASampleThatArrivesAsZero) {
  for (const double sigma_b : sizes) {
    const NetworkSpec spec = with_batch(network(Widths::listed({20, 30}), "linear", 1, sigma_b), 2);

    this->expect_preactivations(spec, Signal<TypeParam>(32, 20), 2 * this->unit_roundoff);
  }
}

TYPED_TEST(DenseLayer, WithoutWeightsIsItsBias) {
  for (const double sigma_b : sizes) {
    const NetworkSpec spec = with_batch(network(Widths::listed({20, 30}), "linear", 0, sigma_b), 2);

    this->expect_preactivations(spec, random_signal<TypeParam>(2, 20), 2 * this->unit_roundoff);
  }
}

TYPED_TEST(DenseLayer, GivesASampleOfAnyExponentTheBitsItHasWithExponentZero) {
  const NetworkSpec spec = with_batch(network(Widths::listed({20, 30}), "leaky_relu", 1.3), 2);
  Signal<TypeParam> x = random_signal<TypeParam>(2, 20);
  OneLayer<TypeParam> layer(spec, 1);
  const Signal<TypeParam> near = layer.forward(x);

  for (const int exponent : {-1000000, -61, 61, 1000000}) {
    x.exponents[1] = exponent;
    const Signal<TypeParam> far = layer.forward(x);
    EXPECT_TRUE(std::ranges::equal(far.values.row(1), near.values.row(1)));
    EXPECT_EQ(far.exponents[1], near.exponents[1] + exponent);
    EXPECT_EQ(far.exponents[0], near.exponents[0]);
  }
}

TYPED_TEST(DenseLayer, LeavesThePaddingZeroInBothDirections) {
  const NetworkSpec spec = with_batch(network(Widths::listed({7, 7, 70}), "sigmoid", 1, 1), 33);
  OneLayer<TypeParam> layer(spec, 2);

  const Signal<TypeParam> y = layer.forward(random_signal<TypeParam>(33, 7));
  const Signal<TypeParam> dx = std::move(layer.backward(random_signal<TypeParam>(33, 70)).front());

  const auto expect_zero_padding = [](const Signal<TypeParam>& signal) {
    for (int row = 0; row < 64; ++row) {
      for (int j = row < 33 ? signal.width : 0; j < signal.values.cols(); ++j) {
        ASSERT_EQ(signal.values(row, j), 0) << row << ' ' << j;
      }
      EXPECT_TRUE(row < 33 || signal.exponents[std::size_t(row)] == 0);
    }
  };
  expect_zero_padding(y);
  expect_zero_padding(dx);
}

TYPED_TEST(DenseLayer, GoesOnAsIfASampleThatFailsWereZero) {
  const NetworkSpec spec = with_batch(network(Widths::listed({20, 20}), "sin", 1), 40);
  const Signal<TypeParam> healthy = random_signal<TypeParam>(40, 20);
  Signal<TypeParam> sick = healthy.copy();
  sick.exponents[34] = sick.exponents[38] = 60;  // beyond the phase of either precision
  OneLayer<TypeParam> layer(spec);

  const Signal<TypeParam> expected = layer.forward(healthy);
  EXPECT_FALSE(layer.failures.front());
  const Signal<TypeParam> found = layer.forward(sick);

  EXPECT_EQ(layer.failures.front(), (Failure{FailureCode::phase_lost, 1, 34}));
  for (int s = 0; s < 40; ++s) {
    const bool failed = s == 34 || s == 38;
    const std::vector<TypeParam> zeros(std::size_t(found.values.cols()), TypeParam(0));
    EXPECT_TRUE(std::ranges::equal(found.values.row(s),
                                   failed ? std::span<const TypeParam>(zeros) : expected.values.row(s)))
        << s;
  }
}

TYPED_TEST(DenseLayer, SaysWhichSampleLeavesTheRangeOfExponents) {
  const NetworkSpec spec = with_batch(network(Widths::listed({20, 20}), "linear", 1e300), 3);
  Signal<TypeParam> x = random_signal<TypeParam>(3, 20);
  x.exponents[2] = (1 << 30) - 5;
  OneLayer<TypeParam> layer(spec);

  layer.forward(x);

  EXPECT_EQ(layer.failures.front(), (Failure{FailureCode::exponent_overflow, 1, 2}));
}

TYPED_TEST(DenseLayer, IsAskedForTheGradientOfItsInputUnlessItIsTheFirst) {
  const NetworkSpec spec = with_batch(network(Widths::listed({20, 20, 20}), "tanh", 1), 2);
  const Signal<TypeParam> x = random_signal<TypeParam>(2, 20);
  OneLayer<TypeParam> first(spec, 1), second(spec, 2);

  first.forward(x);
  second.forward(x);

  EXPECT_TRUE(first.backward(x).empty());
  EXPECT_EQ(second.backward(x).size(), 1u);
  EXPECT_TRUE(first.tape.empty());
  EXPECT_THROW(first.backward(x), BrokenPromise);  // a second time, without a forward
}

TYPED_TEST(DenseLayer, RefusesAnInputOfAnotherShape) {
  OneLayer<TypeParam> layer(with_batch(network(Widths::listed({20, 20}), "tanh", 1), 2));

  EXPECT_THROW(layer.forward(random_signal<TypeParam>(2, 21)), BrokenPromise);
  EXPECT_THROW(layer.forward(random_signal<TypeParam>(33, 20)), BrokenPromise);
}

}  // namespace
}  // namespace gradflow::nn
