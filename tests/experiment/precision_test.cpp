#include <cmath>

#include "measured.hpp"

/// What float32 and float64 must agree on though their arithmetic ends at different sizes.
namespace gradflow::experiment {
namespace {

MeasuredPoint with_precision(const std::string& sweep_text, const std::string& precision) {
  return measure_one(sweep_text + "[run]\nprecision = \"" + precision + "\"\n");
}

// tanh at sigma_w = 40 saturates: a fifth of the elements have slopes below what float32 can hold. They
// underflow in the formats they underflow in, and are no zeros.
TEST(Precision, UnderflowIsCountedAtTrueMagnitudes) {
  const std::string sweep = R"(
[network]
depth = 2
width = 200
activation = "tanh"
[init]
sigma_w = 40.0
[data]
batch = 32
[statistics]
preset = "full"
)";
  const MeasuredPoint single = with_precision(sweep, "float32");
  const MeasuredPoint twice = with_precision(sweep, "float64");
  // Elements within rounding of a threshold may fall on either side: one part in 1e4 of them at most.
  for (int format = 0; format < stats::format_count; ++format) {
    const double share = single.column("dgrad_underflow_fraction", format)[0];
    EXPECT_NEAR(share, twice.column("dgrad_underflow_fraction", format)[0], 1e-3) << format;
  }
  EXPECT_GT(single.column("dgrad_underflow_fraction", 4)[0], 0.1);  // fp32
  EXPECT_EQ(single.column("dgrad_zero_fraction")[0], 0);
}

// One cotangent for all samples and samples that have become nearly parallel: the gradients of the samples
// differ by less than float32 sums can tell. The noise scale is then either right or not a number.
TEST(Precision, NoiseScaleIsRightOrNotANumber) {
  const std::string sweep = R"(
[network]
depth = 40
width = 64
activation = "tanh"
[init]
sigma_w = 0.9
sigma_b = 0.5
[data]
batch = 64
[backward]
shared = true
)";
  const std::vector<double> single = with_precision(sweep, "float32").column("log10_noise_scale");
  const std::vector<double> twice = with_precision(sweep, "float64").column("log10_noise_scale");
  int numbers = 0;
  for (std::size_t i = 0; i < single.size(); ++i) {
    if (std::isnan(single[i])) continue;
    ++numbers;
    EXPECT_NEAR(single[i], twice[i], 0.01) << "layer " << i + 1;  // two digits
  }
  EXPECT_GT(numbers, 5);
  EXPECT_LT(numbers, 40);
  EXPECT_LT(twice[39], -10);
}

}  // namespace
}  // namespace gradflow::experiment
