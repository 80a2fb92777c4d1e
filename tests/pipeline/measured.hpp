#pragma once

#include <bit>
#include <cstdint>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "gradflow/nn/loss.hpp"
#include "gradflow/pipeline/stage.hpp"

/// Bundles measured in this process, and the comparison of everything that was measured.
namespace gradflow::pipeline {

/// Every layer and every statistic.
inline Observation everything_of(const nn::Bundle& bundle) {
  std::vector<int> layers(std::size_t(bundle.front().depth()));
  std::iota(layers.begin(), layers.end(), 1);
  return {layers, stats::needed(stats::of_preset("full"))};
}

/// All microbatches forward, then all of them backward, through stages of as equal a length as possible.
template <class Real>
std::vector<PointResult> measure(const nn::Bundle& bundle, int microbatches = 1, int stages = 1) {
  const Partition partition = Partition::uniform(bundle.front().depth(), stages);
  std::vector<Stage<Real>> pipeline;
  for (int k = 0; k < stages; ++k) {
    pipeline.emplace_back(bundle, partition.blocks_of(k), microbatches, everything_of(bundle), [] {});
  }
  nn::Failures failures(bundle.size());
  std::vector<State<Real>> outputs;
  for (int m = 0; m < microbatches; ++m) {
    State<Real> x = nn::input<Real>(bundle, pipeline.front().rows(m));
    for (Stage<Real>& stage : pipeline) x = stage.forward(m, std::move(x));
    outputs.push_back(std::move(x));
  }
  for (int m = 0; m < microbatches; ++m) {
    State<Real> dy =
        nn::cotangent(bundle, std::move(outputs[std::size_t(m)]), pipeline.back().rows(m), failures);
    nn::Entry entry = nn::entry_of(bundle.front());
    for (int k = stages; k-- > 0; entry = nn::Entry::output) {
      dy = pipeline[std::size_t(k)].backward(m, std::move(dy), entry);
    }
  }
  std::vector<PointResult> results(bundle.size());
  for (Stage<Real>& stage : pipeline) {
    std::vector<PointResult> part = std::move(stage).results();
    for (std::size_t i = 0; i < part.size(); ++i) {
      results[i].failure = first_of(first_of(results[i].failure, part[i].failure), failures[i]);
      for (stats::LayerRecord& layer : part[i].layers) results[i].layers.push_back(std::move(layer));
    }
  }
  return results;
}

/// Every statistic of one layer has the same bits.
inline void expect_same_bits(const stats::LayerRecord& a, const stats::LayerRecord& b) {
  for (const stats::Statistic& statistic : stats::statistics()) {
    for (int i = 0; i < statistic.extent; ++i) {
      const double x = statistic.value(a, i), y = statistic.value(b, i);
      EXPECT_EQ(std::bit_cast<std::uint64_t>(x), std::bit_cast<std::uint64_t>(y))
          << statistic.name << ": " << x << " and " << y;
    }
  }
}

/// @param part  some consecutive layers of `whole`, from `first_layer` (counted from 0) on
inline void expect_same_statistics(const PointResult& part, const PointResult& whole, int first_layer = 0) {
  ASSERT_LE(std::size_t(first_layer) + part.layers.size(), whole.layers.size());
  for (std::size_t l = 0; l < part.layers.size(); ++l) {
    SCOPED_TRACE(testing::Message() << "layer " << first_layer + int(l) + 1);
    expect_same_bits(part.layers[l], whole.layers[std::size_t(first_layer) + l]);
    if (testing::Test::HasFailure()) return;  // one layer says it all
  }
}

}  // namespace gradflow::pipeline
