#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "gradflow/nn/data.hpp"
#include "gradflow/nn/loss.hpp"
#include "gradflow/pipeline/stage.hpp"

/// Bundles measured in this process, and the comparison of everything that was measured.
namespace gradflow::pipeline {

/// Every layer and every statistic.
inline Observation everything_of(const nn::Bundle& bundle) {
  Observation::Layers layers;
  for (const nn::NetworkSpec& point : bundle) {
    layers[point.depth()].resize(std::size_t(point.depth()));
    std::iota(layers[point.depth()].begin(), layers[point.depth()].end(), 1);
  }
  return {layers, stats::of_preset("full", dense_parts())};
}

/// The rows of all stages, one after the other.
inline stats::PointTable joined(const std::vector<stats::PointTable>& parts) {
  const auto columns = std::make_shared<const stats::Columns>(parts.front().columns());
  const int rows = std::accumulate(parts.begin(), parts.end(), 0,
                                   [](int sum, const stats::PointTable& part) { return sum + part.rows(); });
  stats::PointTable whole(columns, 0, rows);
  for (int column = 0; column < int(columns->size()); ++column) {
    auto place = whole.values(column).begin();
    for (const stats::PointTable& part : parts) place = std::ranges::copy(part.values(column), place).out;
  }
  return whole;
}

/// All microbatches forward, then all of them backward, through stages of as equal a length as possible.
template <class Real>
std::vector<PointResult> measure(const nn::Bundle& bundle, int microbatches = 1, int stages = 1,
                                 const Checkpointing& checkpointing = {}) {
  const Partition partition = Partition::uniform(bundle.front().depth(), stages);
  std::vector<Stage<Real>> pipeline;
  for (int k = 0; k < stages; ++k) {
    pipeline.emplace_back(
        bundle, partition.blocks_of(k), microbatches, everything_of(bundle), [] {}, checkpointing);
  }
  for (int m = 0; m < microbatches; ++m) {
    State<Real> x = nn::input<Real>(bundle, pipeline.front().rows(m));
    for (Stage<Real>& stage : pipeline) x = stage.forward(m, std::move(x));
  }
  for (int m = 0; m < microbatches; ++m) {
    State<Real> dy;
    for (int k = stages; k-- > 0;) {
      Stage<Real>& stage = pipeline[std::size_t(k)];
      if (k + 1 < stages) stage.learn_directions(m, pipeline[std::size_t(k) + 1].directions_sent(m));
      dy = stage.backward(m, std::move(dy));
    }
  }
  nn::Failures found(bundle.size());
  std::vector<std::vector<stats::PointTable>> parts(bundle.size());
  std::vector<std::optional<nn::JacobianSpectrum>> jacobians(bundle.size());
  for (Stage<Real>& stage : pipeline) {
    std::vector<PointResult> part = std::move(stage).results();
    for (std::size_t i = 0; i < part.size(); ++i) {
      found[i] = first_of(found[i], part[i].failure);
      parts[i].push_back(std::move(part[i].rows));
      if (part[i].jacobian) jacobians[i] = std::move(part[i].jacobian);
    }
  }
  std::vector<PointResult> results;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    results.push_back({found[i], joined(parts[i]), {}, std::move(jacobians[i])});
  }
  return results;
}

/// Every statistic of layer `a_layer` of a and layer `b_layer` of b, counted from 0, has the same bits.
inline void expect_same_bits(const stats::PointTable& a, int a_layer, const stats::PointTable& b,
                             int b_layer) {
  for (int column = 0; column < int(a.columns().size()); ++column) {
    const auto extent = std::size_t(a.columns()[std::size_t(column)].extent);
    for (std::size_t i = 0; i < extent; ++i) {
      const double x = a.values(column)[std::size_t(a_layer) * extent + i];
      const double y = b.values(column)[std::size_t(b_layer) * extent + i];
      EXPECT_EQ(std::bit_cast<std::uint64_t>(x), std::bit_cast<std::uint64_t>(y))
          << a.columns()[std::size_t(column)].name << ": " << x << " and " << y;
    }
  }
}

/// @param part  some consecutive layers of `whole`, from `first_layer` (counted from 0) on
inline void expect_same_statistics(const PointResult& part, const PointResult& whole, int first_layer = 0) {
  ASSERT_LE(first_layer + part.rows.rows(), whole.rows.rows());
  for (int l = 0; l < part.rows.rows(); ++l) {
    SCOPED_TRACE(testing::Message() << "layer " << first_layer + l + 1);
    expect_same_bits(part.rows, l, whole.rows, first_layer + l);
    if (testing::Test::HasFailure()) return;  // one layer says it all
  }
}

}  // namespace gradflow::pipeline
