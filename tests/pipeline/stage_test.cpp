#include <algorithm>
#include <cmath>
#include <memory>
#include <string_view>

#include <gtest/gtest.h>

#include "gradflow/core/parallel.hpp"
#include "gradflow/nn/layer_weights.hpp"
#include "measured.hpp"
#include "nn/networks.hpp"
#include "nn/recording.hpp"

namespace gradflow::pipeline {
namespace {

using nn::NetworkSpec;
using nn::Widths;

/// Points that share their unit weights and nothing else.
nn::Bundle assorted_points(const Widths& widths) {
  nn::Bundle bundle{
      nn::with_batch(nn::network(widths, "tanh", 1.3, 0.2), 1),
      nn::with_batch(nn::network(widths, "relu", 1.4), 8),
      nn::with_batch(nn::network(widths, "gelu", 0.3, 1), 17),
      nn::with_batch(nn::network(widths, "linear", 1e-30), 64),
      nn::with_batch(nn::network(widths, "selu", 1e30, 1e20), 100),
      nn::with_batch(nn::network(widths, "sigmoid", 2, 1e-9), 130),
  };
  bundle[4].backward.shared = true;
  return bundle;
}

/// Of four depths, two points deep as often as one; the microbatches of the third have no rows of the
/// deepest.
nn::Bundle points_of_several_depths(std::string_view loss) {
  const auto point = [&](int depth, const char* activation, double sigma_w, double sigma_b, int batch) {
    return nn::with_loss(
        nn::with_batch(nn::network(Widths::uniform(depth, 20), activation, sigma_w, sigma_b), batch), loss);
  };
  return {point(12, "tanh", 1.3, 0.2, 30),   point(12, "gelu", 1e-30, 0, 70), point(7, "relu", 1.4, 0, 130),
          point(3, "selu", 1e30, 1e20, 100), point(3, "tanh", 2, 0.1, 1),     point(1, "sigmoid", 1, 0, 64)};
}

const std::vector<Widths> shapes{
    Widths::uniform(4, 5),   Widths::uniform(4, 10),  Widths::uniform(4, 16),
    Widths::uniform(4, 32),  Widths::uniform(4, 48),  Widths::uniform(4, 50),
    Widths::uniform(4, 100), Widths::uniform(4, 200), Widths::listed({7, 130, 20, 65, 3})};

/// Every point of a bundle that was measured somehow, against the point alone in one microbatch.
template <class Real>
void expect_as_alone(const nn::Bundle& bundle, const std::vector<PointResult>& results) {
  for (std::size_t i = 0; i < bundle.size(); ++i) {
    SCOPED_TRACE(testing::Message() << "point " << i << ", depth " << bundle[i].depth() << ", batch "
                                    << bundle[i].batch << ", " << bundle[i].activation.name());
    const PointResult alone = std::move(measure<Real>({bundle[i]}).front());
    ASSERT_EQ(results[i].rows.rows(), bundle[i].depth());
    EXPECT_EQ(results[i].failure, alone.failure);
    expect_same_statistics(results[i], alone);
  }
}

class EveryShape : public testing::TestWithParam<Widths> {};

TEST_P(EveryShape, GivesAPointTheSameBitsInABundleAndAlone) {
  const nn::Bundle bundle = assorted_points(GetParam());
  for (const int microbatches : {1, 2, 4}) {
    SCOPED_TRACE(testing::Message() << microbatches << " microbatches");
    expect_as_alone<float>(bundle, measure<float>(bundle, microbatches));
    expect_as_alone<double>(bundle, measure<double>(bundle, microbatches));
  }
}

TEST_P(EveryShape, GivesAPointTheSameBitsHoweverItsBatchIsCut) {
  for (const NetworkSpec& point : assorted_points(GetParam())) {
    for (const int microbatches : {2, 3, 4, 5}) {
      if (microbatches > nn::most_microbatches({point})) continue;
      SCOPED_TRACE(testing::Message() << microbatches << " microbatches");
      expect_as_alone<float>({point}, measure<float>({point}, microbatches));
      expect_as_alone<double>({point}, measure<double>({point}, microbatches));
    }
  }
}

TEST_P(EveryShape, GivesTheSameBitsWithAnyNumberOfThreads) {
  const nn::Bundle bundle = assorted_points(GetParam());
  for (const int threads : {1, 2, 3}) {
    SCOPED_TRACE(testing::Message() << threads << " threads");
    Threads(threads).run([&] {
      for (const int microbatches : {1, 2}) {
        const std::vector<PointResult> single = measure<float>(bundle, microbatches);
        const std::vector<PointResult> twice = measure<double>(bundle, microbatches);
        Threads(1).run([&] {
          expect_as_alone<float>(bundle, single);
          expect_as_alone<double>(bundle, twice);
        });
      }
    });
  }
}

/// Every way of keeping less: pieces that fit, that do not, of one block, of all of them, in several levels.
std::vector<Checkpointing> ways_of_keeping_less() {
  std::vector<Checkpointing> ways{{{}, false}};
  for (const bool keep_weights : {true, false}) {
    for (const std::vector<int>& spans :
         std::vector<std::vector<int>>{{1}, {2}, {3}, {9}, {2, 1}, {3, 2}, {3, 2, 1}}) {
      ways.push_back({spans, keep_weights});
    }
  }
  return ways;
}

TEST_P(EveryShape, GivesTheSameBitsHoweverLittleItKeeps) {
  const nn::Bundle bundle = assorted_points(GetParam());
  for (const Checkpointing& way : ways_of_keeping_less()) {
    SCOPED_TRACE(testing::Message() << testing::PrintToString(way.spans)
                                    << ", weights kept: " << way.keep_weights);
    for (const int microbatches : {1, 2}) {
      expect_as_alone<float>(bundle, measure<float>(bundle, microbatches, 1, way));
      expect_as_alone<float>(bundle, measure<float>(bundle, microbatches, 2, way));
    }
    expect_as_alone<double>(bundle, measure<double>(bundle, 1, 1, way));
  }
}

TEST_P(EveryShape, GivesTheSameBitsHoweverItsLayersAreCutIntoStages) {
  const nn::Bundle bundle = assorted_points(GetParam());
  for (const int stages : {2, 3, 4}) {
    SCOPED_TRACE(testing::Message() << stages << " stages");
    expect_as_alone<float>(bundle, measure<float>(bundle, 2, stages));
    expect_as_alone<double>(bundle, measure<double>(bundle, 2, stages));
  }
}

std::string columns(const testing::TestParamInfo<Widths>& info) {
  return info.param[0] == info.param[1] ? std::to_string(info.param[0]) + "columns" : "unequal";
}
INSTANTIATE_TEST_SUITE_P(Columns, EveryShape, testing::ValuesIn(shapes), columns);

class EveryLoss : public testing::TestWithParam<std::string_view> {};

TEST_P(EveryLoss, EntersWhereAPointEndsInABundleOfSeveralDepths) {
  const nn::Bundle bundle = points_of_several_depths(GetParam());
  for (const int microbatches : {1, 2, 3, 5}) {
    for (const int stages : {1, 2, 3, 4, 12}) {
      SCOPED_TRACE(testing::Message() << microbatches << " microbatches, " << stages << " stages");
      expect_as_alone<float>(bundle, measure<float>(bundle, microbatches, stages));
    }
    expect_as_alone<double>(bundle, measure<double>(bundle, microbatches, 3));
  }
}

TEST_P(EveryLoss, EntersThereHoweverLittleIsKept) {
  const nn::Bundle bundle = points_of_several_depths(GetParam());
  for (const Checkpointing& way : ways_of_keeping_less()) {
    SCOPED_TRACE(testing::Message() << testing::PrintToString(way.spans)
                                    << ", weights kept: " << way.keep_weights);
    expect_as_alone<float>(bundle, measure<float>(bundle, 1, 1, way));
    expect_as_alone<float>(bundle, measure<float>(bundle, 3, 2, way));
  }
}

TEST_P(EveryLoss, EntersThereWithAnyNumberOfThreads) {
  const nn::Bundle bundle = points_of_several_depths(GetParam());
  for (const int threads : {1, 2, 3}) {
    SCOPED_TRACE(testing::Message() << threads << " threads");
    Threads(threads).run([&] {
      const std::vector<PointResult> results = measure<float>(bundle, 2);
      Threads(1).run([&] { expect_as_alone<float>(bundle, results); });
    });
  }
}

std::vector<std::string_view> loss_names() {
  std::vector<std::string_view> names;
  for (const nn::LossRow& row : nn::losses()) names.push_back(row.name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(Catalogue, EveryLoss, testing::ValuesIn(loss_names()), nn::row_name);

class EveryActivation : public testing::TestWithParam<std::string_view> {};

TEST_P(EveryActivation, HasTheSameBitsInABundleAndInMicrobatches) {
  const Widths widths = Widths::uniform(4, 48);
  NetworkSpec mild = nn::with_batch(nn::network(widths, GetParam(), 1.1, 0.3), 40);
  NetworkSpec wild = nn::with_batch(nn::network(widths, GetParam(), 40), 70);
  for (const nn::LossRow& loss : nn::losses()) {
    const nn::Bundle bundle{nn::with_loss(mild, loss.name), nn::with_loss(wild, loss.name)};

    const std::vector<PointResult> together = measure<float>(bundle, 3);

    for (std::size_t i = 0; i < bundle.size(); ++i) {
      expect_same_statistics(together[i], measure<float>({bundle[i]}).front());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryActivation, testing::ValuesIn(nn::activation_names()), nn::row_name);

double mean_log10_norm(const nn::Samples& samples) {
  double sum = 0;
  for (const nn::Row& row : samples) sum += row.log10_norm();
  return sum / double(samples.size());
}

/// Of signals near 1, where the square of a norm is a double.
double log10_mean_square(const nn::Samples& samples, int width) {
  double sum = 0;
  for (const nn::Row& row : samples) sum += std::pow(10, 2 * row.log10_norm());
  return std::log10(sum / (double(samples.size()) * width));
}

/// A statistic with one value per layer. @param layer  from 1
double value_of(const stats::PointTable& rows, std::string_view name, int layer) {
  const auto column = std::ranges::find(rows.columns(), name, &stats::Column::name);
  return rows.values(int(column - rows.columns().begin()))[std::size_t(layer - 1)];
}

TEST(Stage, RecordsWhatItsBlocksShow) {
  const NetworkSpec point = nn::with_batch(nn::network(Widths::uniform(6, 48), "tanh", 1.3, 0.2), 70);
  const nn::Recording recording = nn::record<double>({point});

  const PointResult result = std::move(measure<double>({point}, 2).front());

  ASSERT_EQ(result.rows.rows(), 6);
  for (int l = 1; l <= 6; ++l) {
    const auto value = [&](std::string_view name) { return value_of(result.rows, name, l); };
    const nn::LayerRecording& shown = recording.layer(l);
    const nn::WeightGradientNorms& norms = shown.gradients[0];
    EXPECT_NEAR(value("preact_log10_norm_mean"), mean_log10_norm(shown.preact[0]), 1e-13);
    EXPECT_NEAR(value("act_log10_q"), log10_mean_square(shown.act[0], 48), 1e-13);
    EXPECT_NEAR(value("dgrad_log10_norm_mean"), mean_log10_norm(shown.dgrad[0]), 1e-13);
    EXPECT_EQ(value("wgrad_log10_norm"), norms.weight_gradient_squared.log10() / 2);
    EXPECT_EQ(value("bgrad_log10_norm"), norms.bias_gradient_squared.log10() / 2);
    EXPECT_EQ(value("weight_log10_norm"), norms.weight_squared.log10() / 2);
  }
}

TEST(Stage, RecordsOnlyTheLayersItIsAskedForAndThoseTheSame) {
  const nn::Bundle bundle = assorted_points(Widths::uniform(9, 20));
  const std::vector<PointResult> all = measure<float>(bundle);
  Observation some = everything_of(bundle);
  some.layers = {{9, {1, 4, 9}}};

  Stage<float> stage(bundle, {0, 9}, 1, some, [] {});
  stage.backward(0, stage.forward(0, nn::input<float>(bundle, stage.rows(0))));
  const std::vector<PointResult> results = std::move(stage).results();

  for (std::size_t i = 0; i < bundle.size(); ++i) {
    ASSERT_EQ(results[i].rows.rows(), 3);
    expect_same_bits(results[i].rows, 0, all[i].rows, 0);
    expect_same_bits(results[i].rows, 1, all[i].rows, 3);
    expect_same_bits(results[i].rows, 2, all[i].rows, 8);
  }
}

TEST(Stage, StoresOfEveryPointTheLayersOfItsOwnDepth) {
  const nn::Bundle bundle = points_of_several_depths("random");
  const std::vector<PointResult> all = measure<float>(bundle);
  Observation some = everything_of(bundle);
  some.layers = {{12, {1, 6, 11, 12}}, {7, {1, 6, 7}}, {3, {1, 3}}, {1, {1}}};  // every:5

  Stage<float> stage(bundle, {0, 12}, 1, some, [] {});
  stage.backward(0, stage.forward(0, nn::input<float>(bundle, stage.rows(0))));
  const std::vector<PointResult> results = std::move(stage).results();

  for (std::size_t i = 0; i < bundle.size(); ++i) {
    const std::vector<int>& layers = some.layers_of(bundle[i]);
    ASSERT_EQ(results[i].rows.rows(), int(layers.size()));
    for (int row = 0; row < int(layers.size()); ++row) {
      expect_same_bits(results[i].rows, row, all[i].rows, layers[std::size_t(row)] - 1);
    }
  }
}

TEST(Stage, HasNoRowsOfAPointThatEndedBeforeIt) {
  const nn::Bundle bundle = points_of_several_depths("random");
  const Observation observation = everything_of(bundle);

  EXPECT_EQ(rows_of(Stage<float>(bundle, {0, 4}, 1, observation, [] {}).rows(0)),
            32 + 96 + 160 + 128 + 32 + 64);
  const Stage<float> middle(bundle, {4, 7}, 1, observation, [] {});
  EXPECT_EQ(rows_of(middle.rows(0)), 32 + 96 + 160);
  EXPECT_EQ(rows_of(middle.rows_sent(0)), 32 + 96);
  EXPECT_TRUE(Stage<float>(bundle, {7, 12}, 1, observation, [] {}).rows_sent(0).empty());
}

TEST(Stage, HandsOverTheRowsOfADeepPointFromTheLastToTheFirst) {
  const nn::Bundle bundle = points_of_several_depths("random");
  const std::vector<PointResult> whole = measure<float>(bundle);
  for (const Checkpointing& way : {Checkpointing{}, Checkpointing{{5}, false}, Checkpointing{{2, 1}, true}}) {
    std::vector<std::vector<stats::PointTable>> parts(bundle.size());
    const Parts in_fours{4, [&](std::size_t point, stats::PointTable rows) {
                           parts[point].insert(parts[point].begin(), std::move(rows));
                         }};

    Stage<float> stage(
        bundle, {0, 12}, 2, everything_of(bundle), [] {}, way, WeightPasses::at_once, in_fours);
    for (int m = 0; m < 2; ++m) stage.forward(m, nn::input<float>(bundle, stage.rows(m)));
    for (int m = 0; m < 2; ++m) stage.backward(m, {});
    std::vector<PointResult> results = std::move(stage).results();

    for (std::size_t i = 0; i < bundle.size(); ++i) {
      EXPECT_EQ(int(parts[i].size()), (bundle[i].depth() - 1) / 4);
      int next_row = results[i].rows.rows();
      EXPECT_LE(next_row, 4);
      for (const stats::PointTable& part : parts[i]) {
        EXPECT_EQ(part.rows(), 4);
        EXPECT_EQ(part.first_row(), next_row);
        next_row += part.rows();
      }
      parts[i].insert(parts[i].begin(), std::move(results[i].rows));
      expect_same_statistics({results[i].failure, joined(parts[i])}, whole[i]);
    }
  }
}

/// Points whose scales are still to be found, each in its own place.
nn::Bundle points_to_be_scaled() {
  nn::Bundle bundle = points_of_several_depths("random");
  for (NetworkSpec& point : bundle) {
    const double sigma_b = point.init.sigma_b;
    point.init = nn::Initialisation::make("lsuv", {}, sigma_b);
    point.init.found = std::make_shared<nn::FoundScales>();
  }
  return bundle;
}

TEST(Stage, FindsTheSameScalesOfDataHoweverItIsCutAndHoweverLittleItKeeps) {
  std::vector<PointResult> alone;
  for (const NetworkSpec& point : points_to_be_scaled()) {
    alone.push_back(std::move(measure<float>({point}).front()));
  }
  for (const Checkpointing& way : ways_of_keeping_less()) {
    for (const int stages : {1, 3}) {
      SCOPED_TRACE(testing::Message() << testing::PrintToString(way.spans) << ", weights kept: "
                                      << way.keep_weights << ", " << stages << " stages");
      const std::vector<PointResult> results = measure<float>(points_to_be_scaled(), 1, stages, way);
      for (std::size_t i = 0; i < alone.size(); ++i) expect_same_statistics(results[i], alone[i]);
    }
  }
}

TEST(Stage, RefusesABundleWhoseDeepestPointIsNotTheFirst) {
  nn::Bundle bundle = points_of_several_depths("random");
  std::swap(bundle.front(), bundle.back());

  EXPECT_THROW(Stage<float>(bundle, {0, 1}, 1, everything_of(bundle), [] {}), BrokenPromise);
}

TEST(Stage, BreathesBetweenItsBlocks) {
  const nn::Bundle bundle{nn::network(Widths::uniform(9, 20), "tanh", 1)};
  int breaths = 0;

  Stage<float> stage(bundle, {0, 9}, 1, everything_of(bundle), [&] { ++breaths; });
  EXPECT_GE(std::exchange(breaths, 0), 9);  // weights take time too
  stage.forward(0, nn::input<float>(bundle, stage.rows(0)));
  EXPECT_GE(std::exchange(breaths, 0), 9);
  stage.backward(0, {});
  EXPECT_GE(breaths, 9);
}

TEST(Stage, KeepsAFailureToItsPointAndFindsTheSameHoweverItIsCut) {
  const Widths widths = Widths::uniform(6, 20);
  const nn::Bundle bundle{nn::with_batch(nn::network(widths, "tanh", 1.3), 70),
                          nn::with_batch(nn::network(widths, "sin", 6e6), 70),  // some |z| are above 2^24
                          nn::with_batch(nn::network(widths, "relu", 1.4), 40)};
  const std::vector<PointResult> whole = measure<float>(bundle);
  EXPECT_EQ(whole[1].failure.code, FailureCode::phase_lost);

  for (const int microbatches : {1, 2, 3}) {
    for (const int stages : {1, 2, 4, 6}) {
      const std::vector<PointResult> cut = measure<float>(bundle, microbatches, stages);
      for (std::size_t i = 0; i < bundle.size(); ++i) EXPECT_EQ(cut[i].failure, whole[i].failure);
      expect_same_statistics(cut[0], measure<float>({bundle[0]}).front());
      expect_same_statistics(cut[2], measure<float>({bundle[2]}).front());
    }
  }
}

TEST(Stage, FindsTheSameFailureWhenItComputesTwice) {
  const nn::Bundle bundle{nn::with_batch(nn::network(Widths::uniform(7, 20), "sin", 6e6), 70)};
  const PointResult kept = std::move(measure<float>(bundle).front());
  ASSERT_EQ(kept.failure.code, FailureCode::phase_lost);

  for (const Checkpointing& way : ways_of_keeping_less()) {
    for (const int microbatches : {1, 2}) {
      const PointResult again = std::move(measure<float>(bundle, microbatches, 1, way).front());
      EXPECT_EQ(again.failure, kept.failure);
      expect_same_statistics(again, kept);
    }
  }
}

TEST(Stage, HoldsOneStateOfSeveralMicrobatchesInFlight) {
  const nn::Bundle bundle{nn::with_batch(nn::network(Widths::uniform(5, 32), "tanh", 1.2, 0.1), 100)};

  // As 1f1b with a window of 2, where measure() has all of them in flight.
  Stage<float> stage(bundle, {0, 5}, 4, everything_of(bundle), [] {});
  stage.forward(0, nn::input<float>(bundle, stage.rows(0)));
  for (int m = 1; m < 4; ++m) {
    stage.forward(m, nn::input<float>(bundle, stage.rows(m)));
    stage.backward(m - 1, {});
  }
  stage.backward(3, {});

  expect_same_statistics(std::move(stage).results().front(), measure<float>(bundle).front());
}

TEST(Stage, GivesTheSameBitsIfWeightGradientsAreAddedLater) {
  const nn::Bundle bundle = assorted_points(Widths::listed({7, 130, 20, 65, 3}));
  Observation all_but_one = everything_of(bundle);
  std::erase(all_but_one.layers[4], 2);
  constexpr int microbatches = 4;

  Stage<float> stage(
      bundle, {0, 4}, microbatches, all_but_one, [] {}, Checkpointing{}, WeightPasses::deferred);
  for (int m = 0; m < microbatches; ++m) {
    stage.backward(m, stage.forward(m, nn::input<float>(bundle, stage.rows(m))));
    if (m == 2) stage.add_weight_gradients(0);  // two late, then the others
  }
  for (int m = 1; m < microbatches; ++m) stage.add_weight_gradients(m);
  const std::vector<PointResult> late = std::move(stage).results();

  const std::vector<PointResult> at_once = measure<float>(bundle);
  for (std::size_t i = 0; i < bundle.size(); ++i) {
    ASSERT_EQ(late[i].rows.rows(), 3);
    for (const int l : {0, 1, 2}) expect_same_bits(late[i].rows, l, at_once[i].rows, l == 0 ? 0 : l + 1);
  }
}

}  // namespace
}  // namespace gradflow::pipeline
