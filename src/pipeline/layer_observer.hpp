#pragma once

#include <array>
#include <vector>

#include "gradflow/nn/block.hpp"
#include "gradflow/stats/catalogue.hpp"

namespace gradflow::pipeline {

/// Summarises what a block shows, into one record per point of the bundle, tile after tile in the order of
/// the batch.
template <class Real>
class LayerObserver final : public nn::Observer<Real> {
 public:
  /// @param records  one per point; written to as long as the observer lives
  /// @param loss_scale  log2, of the loss-scaled statistics
  LayerObserver(const stats::Needs& needs, int loss_scale, std::span<stats::LayerRecord> records)
      : needs_(needs), loss_scale_(loss_scale), records_(records) {}

  void begin_pass(const Stack& stack) override;
  void see(Role role, const Signal<Real>& signal, const RowRange& tile) override;
  void count_saturated(Role role, int point, std::int64_t elements) override;
  void count_lost(Role role, int point, std::span<const std::int64_t> log2_magnitudes) override;
  void end_pass() override;

 private:
  struct Tile {
    int point = 0;
    stats::SignalSummary summary;  ///< empty until the tile is shown
  };

  struct Lost {
    Role role = Role::dgrad;
    int point = 0;
    std::int64_t log2_magnitude = 0;
  };

  stats::Needs needs_;
  int loss_scale_;
  std::span<stats::LayerRecord> records_;
  std::array<std::vector<Tile>, role_count> tiles_;  ///< of the pass, by role
  std::vector<Lost> lost_;                           ///< of the pass
};

/// For the layers nobody stores.
template <class Real>
class Blind final : public nn::Observer<Real> {
 public:
  void see(Role, const Signal<Real>&, const RowRange&) override {}
  void count_saturated(Role, int, std::int64_t) override {}
  void count_lost(Role, int, std::span<const std::int64_t>) override {}
};

}  // namespace gradflow::pipeline
