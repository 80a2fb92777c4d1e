#include "gradflow/stats/catalogue.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "stats/signals.hpp"

namespace gradflow::stats {
namespace {

using testing::HasSubstr;

/// Every signal and every matrix that a block can have.
BlockParts everything() {
  BlockParts parts;
  for (std::size_t i = 0; i < role_count; ++i) parts.signals.push_back(Role(i));
  parts.matrices = {WeightRole::first, WeightRole::second, WeightRole::input, WeightRole::transform};
  parts.normalises = true;
  return parts;
}

/// A layer whose every figure is some ordinary number; `needs` says what is measured, the rest stays empty.
LayerRecord measured(const Needs& needs) {
  const int samples = 140, width = 30;
  const auto z = random_signal<float>(samples, width, 1, 0.5);
  auto h = z.copy();
  for (int s = 0; s < samples; ++s) {
    for (int j = 0; j < width; ++j) h.values(s, j) = j < 3 ? 0 : std::max(0.0f, z.values(s, j));
  }
  auto delta = random_signal<float>(samples, width, 2);
  delta.exponents[7] = -5000;
  std::fill_n(delta.values.row(9).data(), width, 0.0f);

  LayerRecord record;
  for (std::size_t i = 0; i < role_count; ++i) {
    const Role role = Role(i);
    if (needs[role] == What::nothing) continue;
    const bool has_dead_units = role == Role::act || role == Role::branch_act;
    const Signal<float>& signal = is_gradient(role) ? delta : has_dead_units ? h : z;
    record[role] = {summary_of(signal, samples, needs[role]), 12, 3};
  }
  record.seal();
  if (!needs.gradients) return record;
  for (const WeightRole matrix : everything().matrices) {
    record[matrix] = {.wgrad_squared = Scaled::of(1.25, -9000),
                      .bgrad_squared = Scaled::of(1.5, -9010),
                      .weight_squared = Scaled::of(900),
                      .sample_squared_sum = Scaled::of(1.75, -8990),
                      .batch = samples,
                      .has_bias = true};
  }
  record.normalization = {Scaled::of(1.25, -9000), Scaled::of(1.5, -9010), true};
  return record;
}

class EveryStatistic : public testing::TestWithParam<const Statistic*> {};
INSTANTIATE_TEST_SUITE_P(Catalogue, EveryStatistic, testing::ValuesIn(of_preset("full", everything())),
                         [](const auto& test) { return test.param->name; });

TEST_P(EveryStatistic, AsksForAllItUses) {
  const Statistic& statistic = *GetParam();
  const LayerRecord full = measured(needed(of_preset("full", everything()))),
                    least = measured(needed({&statistic}));

  for (int i = 0; i < statistic.extent; ++i) {
    const double value = statistic.value(least, i);
    EXPECT_TRUE(std::isfinite(value));
    EXPECT_EQ(value, statistic.value(full, i));
  }
}

TEST_P(EveryStatistic, IsNoOrdinaryNumberUnmeasured) {
  const Statistic& statistic = *GetParam();

  const LayerRecord nothing = measured({});

  // NaN or infinite: it cannot be mistaken for a measurement.
  for (int i = 0; i < statistic.extent; ++i) EXPECT_FALSE(std::isfinite(statistic.value(nothing, i)));
}

TEST_P(EveryStatistic, SaysWhatItIs) {
  const Statistic& statistic = *GetParam();

  EXPECT_FALSE(statistic.long_name.empty());
  EXPECT_FALSE(statistic.formula.empty());
  EXPECT_EQ(statistic.units, "1");
  EXPECT_EQ(statistic.extra_dimension.empty(), statistic.extent == 1);
}

TEST(Catalogue, HoldsTheVariablesOfTheResultFile) {
  std::set<std::string_view> names;
  for (const Statistic& statistic : statistics()) names.insert(statistic.name);

  EXPECT_EQ(names.size(), statistics().size()) << "a name stands twice";
  for (const char* name : {"preact_log10_q",
                           "act_log10_q",
                           "preact_mean_over_rms",
                           "act_var_over_q",
                           "preact_skewness",
                           "act_kurtosis",
                           "preact_min_over_rms",
                           "act_max_over_rms",
                           "dgrad_kurtosis",
                           "preact_log10_norm_mean",
                           "preact_log10_norm_std",
                           "preact_corr",
                           "act_corr",
                           "dgrad_corr",
                           "act_zero_fraction",
                           "act_dead_fraction",
                           "act_saturated_fraction",
                           "dgrad_log10_norm_mean",
                           "dgrad_log10_norm_std",
                           "dgrad_dead_sample_fraction",
                           "dgrad_log10_rms",
                           "dgrad_log10_absmax",
                           "dgrad_zero_fraction",
                           "dgrad_underflow_fraction",
                           "wgrad_log10_norm",
                           "bgrad_log10_norm",
                           "weight_log10_norm",
                           "wgrad_to_weight_log10",
                           "log10_noise_scale",
                           "log10_signal_to_noise",
                           "act_log2_histogram",
                           "dgrad_log2_histogram",
                           "dgrad_log2_reference",
                           "preact_quantile_over_rms",
                           "dgrad_quantile_over_rms",
                           "preact_common_share",
                           "act_effective_rank",
                           "act_stable_rank",
                           "dgrad_lag_corr",
                           "dgrad_scaled_underflow_fraction",
                           "dgrad_overflow_fraction"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

TEST(Catalogue, PresetsContainTheSmallerOnes) {
  const Selection lean = of_preset("lean", everything()), standard = of_preset("standard", everything()),
                  full = of_preset("full", everything());

  EXPECT_TRUE(std::includes(standard.begin(), standard.end(), lean.begin(), lean.end()));
  EXPECT_TRUE(std::includes(full.begin(), full.end(), standard.begin(), standard.end()));
  EXPECT_LT(lean.size(), standard.size());
  EXPECT_EQ(full.size(), statistics().size());
}

TEST(Catalogue, LeanNeedsNoWeightGradientAndNoDirections) {
  const Selection lean = of_preset("lean", dense_parts());
  const Needs needs = needed(lean);

  EXPECT_TRUE(
      std::any_of(lean.begin(), lean.end(), [](auto* s) { return s->name == "dgrad_log10_norm_mean"; }));
  EXPECT_TRUE(std::any_of(lean.begin(), lean.end(), [](auto* s) { return s->name == "act_log10_q"; }));
  EXPECT_EQ(needs[Role::preact], What::squares);
  EXPECT_EQ(needs[Role::act], What::squares);
  EXPECT_EQ(needs[Role::dgrad], What::norms);
  EXPECT_FALSE(needs.gradients);
}

TEST(Catalogue, KeepsToThePartsOfTheBlock) {
  const Selection dense = of_preset("full", dense_parts());
  const Selection stream = of_preset("full", {{Role::act, Role::branch_dgrad}, {WeightRole::second}});
  const auto has = [](const Selection& selection, std::string_view name) {
    return std::ranges::any_of(selection, [&](auto* s) { return s->name == name; });
  };

  EXPECT_TRUE(has(dense, "preact_log10_q") && has(dense, "wgrad_log10_norm"));
  EXPECT_FALSE(has(dense, "branch_act_log10_q") || has(dense, "second_wgrad_log10_norm"));
  EXPECT_TRUE(has(stream, "act_log10_q") && has(stream, "branch_dgrad_log10_rms"));
  EXPECT_TRUE(has(stream, "second_wgrad_log10_norm"));
  EXPECT_FALSE(has(stream, "preact_log10_q") || has(stream, "wgrad_log10_norm"));
}

TEST(Catalogue, RefusesAnUnknownPresetNamingTheKnownOnes) {
  try {
    of_preset("rich", dense_parts());
    FAIL() << "no error";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("\"rich\""));
    EXPECT_THAT(error.what(), HasSubstr("lean standard full"));
  }
}

TEST(Catalogue, FillsOneRowOfATableBehindForeignColumns) {
  const Selection selection = of_preset("standard", everything());
  auto columns = std::make_shared<Columns>(1);
  for (const Column& column : columns_of(selection)) columns->push_back(column);
  PointTable table(columns, 4, 2);
  const LayerRecord record = measured(needed(selection));

  fill(table, 5, record, selection, 1);

  EXPECT_TRUE(std::isnan(table.at(0, 5)[0]));
  for (int k = 0; k < int(selection.size()); ++k) {
    EXPECT_EQ((*columns)[k + 1].name, selection[k]->name);
    ASSERT_EQ(int(table.at(k + 1, 5).size()), selection[k]->extent);
    for (int i = 0; i < selection[k]->extent; ++i) {
      EXPECT_EQ(table.at(k + 1, 5)[i], selection[k]->value(record, i));
      EXPECT_TRUE(std::isnan(table.at(k + 1, 4)[i]));
    }
  }
}

TEST(Catalogue, NamesTheFormatsOfTheFile) {
  EXPECT_THAT(format_names(), testing::ElementsAre("fp8_e4m3", "fp8_e5m2", "fp16", "bf16", "fp32", "fp64"));
}

TEST(GradientNorms, AreLogarithmsOfTrueValues) {
  const GradientNorms norms{.wgrad_squared = Scaled::of(1, -200000),
                            .bgrad_squared = Scaled::of(100),
                            .weight_squared = Scaled::of(1, 20),
                            .batch = 4,
                            .has_bias = true};

  EXPECT_DOUBLE_EQ(norms.wgrad_log10_norm(), -100000 * std::log10(2.0));
  EXPECT_DOUBLE_EQ(norms.bgrad_log10_norm(), 1);
  EXPECT_DOUBLE_EQ(norms.weight_log10_norm(), 10 * std::log10(2.0));
  EXPECT_DOUBLE_EQ(norms.wgrad_to_weight_log10(), -100010 * std::log10(2.0));
}

TEST(GradientNorms, OfAZeroGradientAreMinusInfinity) {
  const GradientNorms dead{.weight_squared = Scaled::of(2), .batch = 4, .has_bias = true};
  const GradientNorms nothing{.batch = 4};

  EXPECT_EQ(dead.wgrad_log10_norm(), -INFINITY);
  EXPECT_EQ(dead.bgrad_log10_norm(), -INFINITY);
  EXPECT_EQ(dead.wgrad_to_weight_log10(), -INFINITY);
  EXPECT_EQ(nothing.wgrad_to_weight_log10(), -INFINITY);
  EXPECT_TRUE(std::isnan(nothing.bgrad_log10_norm()));
}

/// Noise scale of scalar gradients g_s * 2^exponent, as the executor would report them.
GradientNorms norms_of(const std::vector<double>& gradients, std::int64_t exponent = 0) {
  double sum = 0, squares = 0;
  for (double g : gradients) {
    sum += g;
    squares += g * g;
  }
  const double mean = sum / double(gradients.size());
  return {.wgrad_squared = Scaled::of(mean * mean, 2 * exponent),
          .sample_squared_sum = Scaled::of(squares, 2 * exponent),
          .batch = int(gradients.size())};
}

TEST(NoiseScale, IsUnbiasedVarianceOverTheMeanSquared) {
  // Mean 2, unbiased variance (1 + 0 + 1) / 2 = 1.
  EXPECT_NEAR(norms_of({1, 2, 3}).log10_noise_scale(), std::log10(1.0 / 4), 1e-15);
  EXPECT_NEAR(norms_of({1, 2, 3}, -90000).log10_noise_scale(), std::log10(1.0 / 4), 1e-15);
}

TEST(NoiseScale, HasItsEdgeCases) {
  EXPECT_TRUE(std::isnan(norms_of({5}).log10_noise_scale()));
  EXPECT_TRUE(std::isnan(norms_of({0, 0}).log10_noise_scale()));
  EXPECT_EQ(norms_of({1, -1}).log10_noise_scale(), INFINITY);
  EXPECT_EQ(norms_of({3, 3, 3}).log10_noise_scale(), -INFINITY);
  // Equal samples whose mean square rounds above their sum: the difference is rounding, not a negative
  // variance.
  GradientNorms rounded = norms_of({3, 3, 3});
  rounded.wgrad_squared = Scaled::of(9 * (1 + 1e-15));
  EXPECT_EQ(rounded.log10_noise_scale(), -INFINITY);
}

}  // namespace
}  // namespace gradflow::stats
