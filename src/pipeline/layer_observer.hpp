#pragma once

#include "gradflow/nn/block.hpp"
#include "gradflow/stats/catalogue.hpp"

namespace gradflow::pipeline {

/// Summarises what a block shows, into one record per point of the bundle, tile after tile in the order of
/// the batch.
template <class Real>
class LayerObserver final : public nn::Observer<Real> {
 public:
  /// @param records  one per point; written to as long as the observer lives
  LayerObserver(const stats::Needs& needs, std::span<stats::LayerRecord> records)
      : needs_(needs), records_(records) {}

  void see(nn::Role role, const Signal<Real>& signal, const Stack& stack) override;
  void count(int point, std::int64_t saturated, std::int64_t lost) override;

 private:
  stats::Needs needs_;
  std::span<stats::LayerRecord> records_;
};

/// For the layers nobody stores.
template <class Real>
class Blind final : public nn::Observer<Real> {
 public:
  void see(nn::Role, const Signal<Real>&, const Stack&) override {}
  void count(int, std::int64_t, std::int64_t) override {}
};

/// For the layers nobody stores.
template <class Real>
class NoWeightGradient final : public nn::WeightGradient<Real> {
 public:
  void add(Signal<Real>, Signal<Real>, const Stack&) override {}
  std::vector<nn::WeightGradientNorms> norms() const override { return {}; }
};

}  // namespace gradflow::pipeline
