#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <ostream>

#include <gtest/gtest.h>

#include "gradflow/core/parallel.hpp"
#include "measured.hpp"
#include "nn/networks.hpp"

// Inside libopenblas.
extern "C" void dgesvd_(const char* jobu, const char* jobvt, const int* m, const int* n, double* a,
                        const int* lda, double* s, double* u, const int* ldu, double* vt, const int* ldvt,
                        double* work, const int* lwork, int* info);

namespace gradflow::pipeline {
namespace {

using nn::JacobianRequest;
using nn::JacobianSignal;
using nn::NetworkSpec;
using nn::Widths;

NetworkSpec with_jacobian(NetworkSpec network, JacobianRequest request) {
  network.jacobian = request;
  return network;
}

NetworkSpec of_block(const char* block, int depth, int width, const char* activation = "tanh") {
  NetworkSpec network = nn::network(Widths::uniform(depth, width), activation, 1.3, 0.2);
  network.block = block;
  network.transform_bias = -0.5;
  if (network.block == "leaky_rnn") network.recurrence.leak = 0.3;
  if (nn::block_of(network).steps_in_time) network.recurrence.input = nn::StepInput::gaussian;
  return with_jacobian(network, {1, depth, width, true});
}

/// The last one shown of each role.
class Shown final : public nn::Observer<double> {
 public:
  void see(Role role, const Signal<double>& signal, const RowRange&) override {
    if (role == Role::preact) preact = signal.copy();
  }
  void count_saturated(Role, int, std::int64_t) override {}
  void count_lost(Role, int, std::span<const std::int64_t>) override {}

  Signal<double> preact;
};

double element(const Signal<double>& signal, int j) {
  return std::ldexp(signal.values(0, j), signal.exponents[0]);
}

/// The signal of block `to` as a function of that of block `from`, by forward passes alone.
class Between {
 public:
  explicit Between(const NetworkSpec& network)
      : bundle_{network}, stack_(nn::microbatch_rows(bundle_, 0, 1)) {
    State<double> state = nn::input<double>(bundle_, stack_);
    for (int layer = 1; layer <= request().from; ++layer) state = through(layer, state);
    at_from_ = std::move(state);
    preact_ = shown_.preact.copy();
  }

  int width() const { return bundle_[0].widths[request().from]; }

  std::vector<double> operator()(int moved, double by) {
    State<double> state = moved_state(moved, by);
    for (int layer = request().from + 1; layer <= request().to; ++layer) state = through(layer, state);
    const Signal<double>& result = signal() == JacobianSignal::preactivation ? shown_.preact : state.back();
    std::vector<double> values;
    for (int j = 0; j < result.width; ++j) values.push_back(element(result, j));
    return values;
  }

 private:
  const JacobianRequest& request() const { return *bundle_[0].jacobian; }
  JacobianSignal signal() const { return nn::block_of(bundle_[0]).jacobian; }

  State<double> through(int layer, const State<double>& state) {
    State<double> x;
    for (const Signal<double>& signal : state) x.push_back(signal.copy());
    nn::Tape<double> tape;
    nn::Failures failures(1);
    return nn::make_block<double>(bundle_, layer)->forward(std::move(x), stack_, tape, shown_, failures);
  }

  /// Of an lstm h = o phi(c) moves with c, o standing still.
  State<double> moved_state(int moved, double by) const {
    State<double> state;
    for (const Signal<double>& signal : at_from_) state.push_back(signal.copy());
    const nn::Activation& phi = bundle_[0].activation;
    Signal<double>& last = state.back();
    const double before =
        signal() == JacobianSignal::preactivation ? element(preact_, moved) : element(last, moved);
    const double after = before + by;
    const auto set = [&](Signal<double>& signal, double value) {
      signal.values(0, moved) = std::ldexp(value, -signal.exponents[0]);
    };
    if (signal() == JacobianSignal::preactivation) {
      set(last, phi.value(after));
    } else {
      set(last, after);
    }
    if (signal() == JacobianSignal::cell)
      set(state[0], element(state[0], moved) * phi.value(after) / phi.value(before));
    return state;
  }

  nn::Bundle bundle_;
  Stack stack_;
  Shown shown_;
  State<double> at_from_;
  Signal<double> preact_;
};

/// By central differences, falling.
std::vector<double> differenced_singular_values(const NetworkSpec& network) {
  constexpr double step = 1e-5;
  Between between(network);
  const int n = between.width();
  std::vector<double> a;  // column after column
  for (int j = 0; j < n; ++j) {
    const std::vector<double> above = between(j, step);
    const std::vector<double> below = between(j, -step);
    for (std::size_t i = 0; i < above.size(); ++i) a.push_back((above[i] - below[i]) / (2 * step));
  }
  const int m = int(a.size()) / n;
  std::vector<double> values(std::size_t(std::min(m, n)), 0.0);
  std::vector<double> work(1000);
  const int work_size = int(work.size());
  const int one = 1;
  int info = 0;
  dgesvd_("N", "N", &m, &n, a.data(), &m, values.data(), nullptr, &one, nullptr, &one, work.data(),
          &work_size, &info);
  EXPECT_EQ(info, 0);
  return values;
}

nn::JacobianSpectrum spectrum_of(const NetworkSpec& network) {
  return *measure<double>({network}).front().jacobian;
}

/// A central difference of step h is wrong by h^2 of a third derivative and by rounding over h.
void expect_differences(const NetworkSpec& network) {
  const nn::JacobianSpectrum spectrum = spectrum_of(network);
  const std::vector<double> expected = differenced_singular_values(network);
  ASSERT_EQ(spectrum.log10_singular_values.size(), expected.size());
  double square = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(std::pow(10, spectrum.log10_singular_values[i]), expected[i], 1e-8 * expected[0]) << i;
    square += expected[i] * expected[i];
  }
  EXPECT_NEAR(std::pow(10, spectrum.log10_frobenius_norm), std::sqrt(square), 1e-8 * expected[0]);
}

class EveryBlock : public testing::TestWithParam<std::string_view> {};

TEST_P(EveryBlock, HasTheJacobianOfDifferences) { expect_differences(of_block(GetParam().data(), 6, 7)); }

TEST_P(EveryBlock, HasTheJacobianBetweenTwoChosenLayers) {
  NetworkSpec network = of_block(GetParam().data(), 6, 7);
  network.jacobian->from = 3;
  network.jacobian->to = 5;
  expect_differences(network);
}

/// |det J| is the product of the singular values and of the diagonals.
TEST_P(EveryBlock, HasExponentsThatAddUpToTheDeterminant) {
  const nn::JacobianSpectrum spectrum = spectrum_of(of_block(GetParam().data(), 20, 7));
  double of_values = 0, of_exponents = 0;
  for (const double value : spectrum.log10_singular_values) of_values += value * std::log(10.0);
  for (const double exponent : spectrum.lyapunov) of_exponents += 19 * exponent;
  EXPECT_NEAR(of_values, of_exponents, 1e-9);
}

std::vector<std::string_view> block_names() {
  std::vector<std::string_view> names;
  for (const nn::BlockRow& row : nn::blocks()) names.push_back(row.name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(Catalogue, EveryBlock, testing::ValuesIn(block_names()), nn::row_name);

TEST(Jacobian, IsThatOfANormalisedLayer) {
  NetworkSpec network = of_block("dense", 5, 7);
  network.normalization.kind = nn::NormalizationKind::layer;
  // The gradient of a normalised sample has no component along the mean: an exact zero up to rounding.
  const nn::JacobianSpectrum spectrum = spectrum_of(network);
  EXPECT_LT(spectrum.log10_singular_values.back(), spectrum.log10_singular_values.front() - 12);
}

TEST(Jacobian, OfDeadUnitsHasExactZeros) {
  const nn::JacobianSpectrum dense = spectrum_of(of_block("dense", 12, 16, "relu"));
  const nn::JacobianSpectrum steps = spectrum_of(of_block("rnn", 12, 16, "relu"));
  for (const nn::JacobianSpectrum& spectrum : {dense, steps}) {
    EXPECT_GT(spectrum.log10_singular_values.front(), -10);
    EXPECT_EQ(spectrum.log10_singular_values.back(), -std::numeric_limits<double>::infinity());
    EXPECT_EQ(spectrum.lyapunov.back(), -std::numeric_limits<double>::infinity());
    for (const double value : spectrum.log10_singular_values) EXPECT_TRUE(std::isinf(value) || value > -12);
  }
}

TEST(Jacobian, OfANarrowLayerHasNoMoreDirectionsThanItsUnits) {
  NetworkSpec network = nn::network(Widths::listed({8, 9, 3, 12, 6}), "tanh", 1.3);
  network.jacobian = JacobianRequest{1, 4, 6, true};
  const nn::JacobianSpectrum spectrum = spectrum_of(network);
  ASSERT_EQ(spectrum.log10_singular_values.size(), 6U);
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(std::isinf(spectrum.log10_singular_values[std::size_t(i)]), i >= 3) << i;
  }
}

TEST(Jacobian, OfADeadNetworkIsZero) {
  NetworkSpec network = of_block("dense", 40, 2, "relu");
  network.init = nn::Initialisation::make("gaussian", 1, 0);
  const nn::JacobianSpectrum spectrum = spectrum_of(network);  // dead with probability 1 - 3e-5
  EXPECT_EQ(spectrum.log10_frobenius_norm, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(spectrum.log10_singular_values, std::vector<double>(2, -std::numeric_limits<double>::infinity()));
}

std::vector<std::uint64_t> bits_of(const nn::JacobianSpectrum& spectrum) {
  std::vector<double> all = spectrum.lyapunov;
  all.insert(all.end(), spectrum.log10_singular_values.begin(), spectrum.log10_singular_values.end());
  all.insert(all.end(), {spectrum.log10_frobenius_norm, spectrum.isometry_variance});
  std::vector<std::uint64_t> bits;
  for (const double v : all) bits.push_back(std::isnan(v) ? 1 : std::bit_cast<std::uint64_t>(v));
  return bits;
}

/// Points that share their weights, with first samples in different microbatches and Jacobians of all kinds.
nn::Bundle points_with_jacobians(const char* block) {
  const auto point = [&](int depth, int batch, double sigma_w, std::optional<JacobianRequest> jacobian) {
    NetworkSpec network = nn::with_batch(of_block(block, depth, 20), batch);
    network.init = nn::Initialisation::make("gaussian", sigma_w, 0.1);
    network.jacobian = jacobian;
    return network;
  };
  return {point(9, 130, 1.2, JacobianRequest{1, 9, 20, true}),
          point(9, 5, 1e-30, JacobianRequest{3, 7, 20, true}), point(9, 70, 1, std::nullopt),
          point(6, 40, 30, JacobianRequest{2, 6, 3, false}),
          point(3, 8, 1.5, JacobianRequest{1, 2, 20, true})};
}

template <class Real>
void expect_spectra(const nn::Bundle& bundle, int microbatches, int stages, const Checkpointing& way = {}) {
  const std::vector<PointResult> together = measure<Real>(bundle, microbatches, stages, way);
  for (std::size_t i = 0; i < bundle.size(); ++i) {
    ASSERT_EQ(together[i].jacobian.has_value(), bundle[i].jacobian.has_value());
    if (!bundle[i].jacobian) continue;
    const PointResult alone = std::move(measure<Real>({bundle[i]}).front());
    EXPECT_EQ(bits_of(*together[i].jacobian), bits_of(*alone.jacobian))
        << "point " << i << ", " << microbatches << " microbatches, " << stages << " stages";
  }
}

TEST(Jacobian, HasTheSameBitsInEveryLayout) {
  for (const int stages : {1, 2, 3, 9}) {
    for (const int microbatches : {1, 3, 5}) {
      expect_spectra<float>(points_with_jacobians("dense"), microbatches, stages);
      expect_spectra<double>(points_with_jacobians("residual"), microbatches, stages);
    }
  }
}

TEST(Jacobian, HasTheSameBitsHoweverLittleIsKept) {
  for (const Checkpointing& way :
       {Checkpointing{{}, false}, Checkpointing{{2}, true}, Checkpointing{{3, 2}, false}}) {
    expect_spectra<float>(points_with_jacobians("dense"), 3, 2, way);
  }
}

TEST(Jacobian, HasTheSameBitsWithAnyNumberOfThreads) {
  const nn::Bundle bundle = points_with_jacobians("dense");
  const PointResult single = std::move(measure<float>({bundle[0]}).front());
  Threads(3).run(
      [&] { EXPECT_EQ(bits_of(*measure<float>({bundle[0]}).front().jacobian), bits_of(*single.jacobian)); });
}

TEST(Jacobian, OfStatesOfTwoSignalsHasTheSameBitsInEveryLayout) {
  for (const char* block : {"lstm", "rnn"}) {
    nn::Bundle bundle;
    for (const double sigma_w : {0.9, 2.0}) {
      bundle.push_back(nn::with_batch(of_block(block, 9, 20), 5));
      bundle.back().init = nn::Initialisation::make("gaussian", sigma_w, 0.1);
    }
    bundle[1].jacobian->to = 5;
    for (const int stages : {2, 4}) expect_spectra<float>(bundle, 1, stages);
  }
}

TEST(Jacobian, LeavesEveryOtherStatisticAsItWas) {
  const nn::Bundle bundle = points_with_jacobians("dense");
  nn::Bundle without = bundle;
  for (NetworkSpec& point : without) point.jacobian.reset();
  const std::vector<PointResult> a = measure<float>(bundle, 2);
  const std::vector<PointResult> b = measure<float>(without, 2);
  for (std::size_t i = 0; i < bundle.size(); ++i) expect_same_statistics(a[i], b[i]);
}

}  // namespace
}  // namespace gradflow::pipeline
