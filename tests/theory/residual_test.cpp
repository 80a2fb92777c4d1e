#include "gradflow/theory/residual.hpp"

#include <cmath>
#include <numbers>
#include <string>

#include <gtest/gtest.h>

#include "theory/simulation.hpp"

namespace gradflow::theory {
namespace {

nn::Activation named(std::string_view name) { return nn::Activation::named(name); }

double square_after(const ResidualBlock& block, int depth) {
  return std::pow(10, predict_residual(block, depth).log10_q.back());
}

/// E |dE/dx_1|^2 / E |dE/dx_L|^2.
double gradient_ratio(const ResidualBlock& block, int depth) {
  return std::pow(10, 2 * predict_residual(block, depth).dgrad_log10_rms.front());
}

TEST(ResidualBlock, WithReluGrowsByOnePlusBeta) {
  const double sigma_w = 1.3;
  const ResidualBlock block{
      .activation = named("relu"), .sigma_w = sigma_w, .sigma_w_last = sigma_w, .branch_scale = 0.7};
  const double beta = 0.49 * std::pow(sigma_w, 4) / 2;

  EXPECT_NEAR(square_after(block, 30) / std::pow(1 + beta, 30), 1, 1e-12);
  EXPECT_NEAR(gradient_ratio(block, 30) / std::pow(1 + beta, 29), 1, 1e-12);
}

TEST(ResidualBlock, ScaledByTheRootOfDepthTendsToAnExponential) {
  constexpr int depth = 10000;
  const ResidualBlock block{.activation = named("relu"),
                            .sigma_w = std::pow(2, 0.25),
                            .sigma_w_last = std::pow(2, 0.25),
                            .branch_scale = 1 / std::sqrt(depth)};

  EXPECT_NEAR(square_after(block, depth), std::numbers::e,
              std::numbers::e / (2 * depth) * 1.01);  // (1 + 1/L)^L
}

TEST(ResidualBlock, WithoutBranchLeavesTheStreamAlone) {
  const ResidualProfile profile =
      predict_residual({.branch = Branch::postact, .activation = named("gelu"), .branch_scale = 0}, 50);

  for (double x : profile.log10_q) EXPECT_EQ(x, 0);
  for (double x : profile.dgrad_log10_rms) EXPECT_EQ(x, 0);
}

TEST(PreactResidual, WithReluGrowsByItsWeights) {
  const ResidualBlock block{.branch = Branch::preact, .activation = named("relu"), .sigma_w = 1.1};

  EXPECT_NEAR(square_after(block, 20) / std::pow(1 + 1.21 / 2, 20), 1, 1e-12);
}

TEST(PreactResidual, WithTanhGrowsLikeAnExponentialOfTheRootOfDepth) {
  // q_l = l, E tanh'^2 = sqrt(8 / (9 pi q)) for large q: the sum over l of that is 1.064 sqrt(L).
  const ResidualBlock block{.branch = Branch::preact, .activation = named("tanh")};
  const double slope = 2 * std::sqrt(8 / (9 * std::numbers::pi));

  const auto growth = [&](int depth) { return std::log(gradient_ratio(block, depth)); };

  EXPECT_NEAR(slope, 1.064, 5e-4);
  const double difference = growth(10000) - growth(2500);
  EXPECT_NEAR(difference, slope * (100 - 50), 0.04 * slope * 50);
}

TEST(PostactResidual, DriftsAwayFromTwoPerBlock) {
  const ResidualBlock block{
      .branch = Branch::postact, .activation = named("relu"), .sigma_w = std::numbers::sqrt2};

  const ResidualProfile profile = predict_residual(block, 4);

  const double published[] = {2.000, 4.900, 13.203, 37.111};
  for (std::size_t l = 0; l < 4; ++l) EXPECT_NEAR(std::pow(10, profile.log10_q[l]), published[l], 5e-4);
}

TEST(PreNorm, GrowsLinearlyAndItsGradientLikeARatio) {
  const double q0 = 3, beta = 0.5;
  constexpr int depth = 100;
  const ResidualBlock block{.activation = named("relu"), .norm = NormPlacement::pre};

  const ResidualProfile profile = predict_residual(block, depth, q0);

  EXPECT_NEAR(std::pow(10, profile.log10_q.back()), q0 + beta * depth, 1e-11);
  EXPECT_NEAR(std::pow(10, 2 * profile.dgrad_log10_rms.front()), (q0 + beta * depth) / (q0 + beta), 1e-11);
}

TEST(PostNorm, OfReluKeepsGradients) {
  const ResidualBlock block{
      .activation = named("relu"), .sigma_w = 1.4, .sigma_w_last = 0.8, .norm = NormPlacement::post};

  EXPECT_NEAR(gradient_ratio(block, 100), 1, 1e-12);
}

TEST(Highway, CarriesTheStreamOnItsDirectPath) {
  EXPECT_NEAR(highway_carry(-2), 1 / (1 + std::exp(-2)), 1e-15);
  const ResidualBlock closed = highway_block(named("tanh"), 0, 0, 1.5);
  EXPECT_NEAR(gradient_ratio(closed, 11), std::pow(highway_carry(1.5), 20), 1e-15);
}

TEST(Highway, WithGatesOfNoWeightsIsItsDirectPathAndItsBranch) {
  // Without weights z = u - bias = 0: phi(0) = 0 and what is left is the carry.
  const BlockStep closed = highway_step({named("tanh"), 0, 0, 1.5}, {{}, Scaled::of(2)});

  EXPECT_NEAR(closed.gradient_factor.value(), std::pow(highway_carry(1.5), 2), 1e-15);
  EXPECT_NEAR(closed.out.square.value(), 2 * std::pow(highway_carry(1.5), 2), 1e-15);
}

TEST(Highway, OfHugeSignalsIsOpenOrClosed) {
  // Half of the gates carry x, half pass relu(z): p' = (1 + sigma_w^2 / 2) p / 2, to the share that is half
  // open.
  const BlockStep step = highway_step({named("relu"), 3, 0, -1}, {{}, Scaled::of(1, 400)});

  EXPECT_NEAR((step.out.square / Scaled::of(1, 400)).value(), (1 + 4.5) / 2, 1e-12);
}

TEST(ResidualProfiles, HaveNoLimitOfSize) {
  const ResidualBlock block{.branch = Branch::preact, .activation = named("relu"), .sigma_w = 4};

  EXPECT_NEAR(predict_residual(block, 10000).log10_q.back(), 10000 * std::log10(9.0), 1e-7);
}

// --- networks in plain loops -------------------------------------------------------------------------------

struct Kind {
  const char* name;
  ResidualBlock block;
};

Vector divided_by_rms(Vector x, double& rms) {
  rms = std::sqrt(square(x) / double(x.size()));
  for (double& value : x) value /= rms;
  return x;
}

Vector divided_by_rms_backward(const Vector& y, double rms, const Vector& dy) {
  return each(sum_of(dy, y, -dot(y, dy) / double(y.size())), [&](double value) { return value / rms; });
}

struct Layer {
  const ResidualBlock* block = nullptr;
  Matrix w, last;
  Vector bias, last_bias;
  double pre_rms = 1, post_rms = 1;
  Vector inside, argument, out;

  double value(double z) const { return block->activation.value(z); }
  Vector phi(const Vector& z) const {
    return each(z, [this](double x) { return value(x); });
  }
  Vector slope(const Vector& z) const {
    return each(z, [this](double x) { return block->activation.slope(x); });
  }

  Vector forward(const Vector& x) {
    inside = block->norm == NormPlacement::pre ? divided_by_rms(x, pre_rms) : x;
    argument = block->branch == Branch::preact ? inside : sum_of(product(w, inside), bias);
    Vector branch = phi(argument);
    if (block->branch == Branch::preact) branch = sum_of(product(w, branch), bias);
    if (block->branch == Branch::residual) branch = sum_of(product(last, branch), last_bias);
    const Vector skip = each(x, [&](double value) { return value * block->skip_scale; });
    out = sum_of(skip, branch, block->branch_scale);
    if (block->norm == NormPlacement::post) out = divided_by_rms(out, post_rms);
    return out;
  }
  Vector backward(Vector d) const {
    if (block->norm == NormPlacement::post) d = divided_by_rms_backward(out, post_rms, d);
    Vector branch = d;
    if (block->branch == Branch::residual) branch = transposed_product(last, branch);
    if (block->branch == Branch::preact) branch = transposed_product(w, branch);
    branch = times(branch, slope(argument));
    if (block->branch != Branch::preact) branch = transposed_product(w, branch);
    if (block->norm == NormPlacement::pre) branch = divided_by_rms_backward(inside, pre_rms, branch);
    const Vector skip = each(d, [&](double value) { return value * block->skip_scale; });
    return sum_of(skip, branch, block->branch_scale);
  }
};

constexpr int width = 300;
constexpr int depth = 6;

Layer made(const ResidualBlock& block, Random& random) {
  Layer layer;
  layer.block = &block;
  layer.w = random.matrix(width, block.sigma_w);
  layer.bias = random.vector(width, block.sigma_b);
  if (block.branch != Branch::residual) return layer;
  layer.last = random.matrix(width, block.sigma_w_last);
  layer.last_bias = random.vector(width, block.sigma_b);
  return layer;
}

/// E x_L^2 / E x_1^2 and E |dE/dx_1|^2 / E |dE/dx_L|^2 in one network: ratios, because the mean of their
/// logarithms is that of a typical network, which is smaller.
std::pair<double, double> measured_growth(const ResidualBlock& block, std::uint64_t seed) {
  Random random(seed);
  Vector x = random.vector(width);
  std::vector<Layer> layers;
  double first = 0;
  for (int l = 0; l < depth; ++l) {
    layers.push_back(made(block, random));
    x = layers.back().forward(x);
    if (l == 0) first = square(x);
  }
  Vector d = random.vector(width);
  const double injected = square(d);
  for (std::size_t l = depth; l-- > 1;) d = layers[l].backward(d);
  return {square(x) / first, square(d) / injected};
}

class ResidualNetwork : public testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(
    Kinds, ResidualNetwork,
    testing::Values(
        Kind{"residual_relu", {.activation = named("relu"), .branch_scale = 0.8}},
        Kind{"residual_tanh",
             {.activation = named("tanh"), .sigma_w = 1.4, .sigma_w_last = 0.9, .sigma_b = 0.3}},
        Kind{"preact_tanh", {.branch = Branch::preact, .activation = named("tanh")}},
        Kind{"postact_relu",
             {.branch = Branch::postact, .activation = named("relu"), .sigma_b = 0.2, .branch_scale = 0.5}},
        Kind{"pre_norm", {.activation = named("relu"), .sigma_w = 1.4, .norm = NormPlacement::pre}},
        Kind{"pre_norm_preact",
             {.branch = Branch::preact, .activation = named("gelu"), .norm = NormPlacement::pre}},
        Kind{"post_norm_tanh",
             {.activation = named("tanh"), .sigma_w = 2, .sigma_w_last = 1.5, .norm = NormPlacement::post}},
        Kind{"deep_norm", {.activation = named("tanh"), .skip_scale = 2, .norm = NormPlacement::post}},
        Kind{"highway", highway_block(named("tanh"), 1.5, 0.2, -1)}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_P(ResidualNetwork, GrowsAsTheRecursionSays) {
  const ResidualBlock& block = GetParam().block;
  const ResidualProfile law = predict_residual(block, depth);
  Vector forward, backward;
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {
    const auto [signal, gradient] = measured_growth(block, seed);
    forward.push_back(signal);
    backward.push_back(gradient);
  }

  const Estimate signal = estimate(forward);
  const Estimate gradient = estimate(backward);

  const double grown = std::pow(10, law.log10_q.back() - law.log10_q.front());
  const double exploded = std::pow(10, 2 * law.dgrad_log10_rms.front());
  const double finite = (depth - 1) * 5.0 / width;  // at most 5/N per block
  EXPECT_NEAR(signal.mean / grown, 1, 4 * signal.error / grown + finite);
  EXPECT_NEAR(gradient.mean / exploded, 1, 4 * gradient.error / exploded + finite);
}

}  // namespace
}  // namespace gradflow::theory
