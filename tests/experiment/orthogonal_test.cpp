#include <cmath>
#include <limits>
#include <numbers>
#include <ostream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "measured.hpp"

namespace gradflow::experiment {
namespace {

constexpr int width = 64, depth = 100;

struct Precise {
  const char* name;
  double ulp;

  friend std::ostream& operator<<(std::ostream& out, const Precise& x) { return out << x.name; }
};

class OrthogonalLinear : public testing::TestWithParam<Precise> {
 protected:
  MeasuredPoint measured(double sigma_w) const {
    return measure_one(fmt::format(R"(
      network = {{ activation = "linear", depth = {}, width = {} }}
      init = {{ scheme = "orthogonal", sigma_w = {:.17g} }}
      data = {{ batch = 8 }}
      run = {{ precision = "{}" }}
    )",
                                   depth, width, sigma_w, GetParam().name));
  }

  /// Rounding of a relative size: sqrt(N) ulp/2 for the sums of a product, and as much for the rounded
  /// weights, in each of the layers between. Relative errors add up linearly at worst.
  double rounding() const { return depth * std::sqrt(double(width)) * GetParam().ulp; }
};

INSTANTIATE_TEST_SUITE_P(Precisions, OrthogonalLinear,
                         testing::Values(Precise{"float32", std::numeric_limits<float>::epsilon()},
                                         Precise{"float64", std::numeric_limits<double>::epsilon()}),
                         [](const auto& instance) { return instance.param.name; });

TEST_P(OrthogonalLinear, KeepsEveryNormAndEveryAngleToRounding) {
  const MeasuredPoint network = measured(1);

  for (const char* preserved :
       {"preact_log10_norm_mean", "preact_log10_norm_std", "preact_log10_q", "act_log10_q", "preact_corr",
        "dgrad_log10_norm_mean", "dgrad_log10_norm_std", "dgrad_log10_rms", "dgrad_corr"}) {
    SCOPED_TRACE(preserved);
    const std::vector<double> column = network.column(preserved);
    for (double value : column) EXPECT_NEAR(value, column.back(), rounding());
  }
}

// A gain of 3 is no power of two: each layer multiplies every norm by exactly sigma_w.
TEST_P(OrthogonalLinear, MultipliesEveryNormBySigmaPerLayer) {
  const MeasuredPoint network = measured(3);

  const std::vector<double> forward = network.column("preact_log10_norm_mean");
  const std::vector<double> backward = network.column("dgrad_log10_norm_mean");
  for (int layer = 1; layer <= depth; ++layer) {
    const auto i = std::size_t(layer - 1);
    EXPECT_NEAR(forward[i], forward.front() + (layer - 1) * std::log10(3), rounding());
    EXPECT_NEAR(backward[i], backward.back() + (depth - layer) * std::log10(3), rounding());
  }
}

}  // namespace
}  // namespace gradflow::experiment
