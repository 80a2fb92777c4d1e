#include "layer_observer.hpp"

#include <utility>

namespace gradflow::pipeline {
template <class Real>
void LayerObserver<Real>::begin_pass(const Stack& stack) {
  for (std::size_t role = 0; role < role_count; ++role) {
    if (needs_.signals[role] != stats::What::nothing)
      tiles_[role].resize(std::size_t(rows_of(stack) / tile_rows));
  }
}

template <class Real>
void LayerObserver<Real>::see(Role role, const Signal<Real>& signal, const RowRange& tile) {
  const stats::What what = needs_[role];
  if (what == stats::What::nothing) return;
  tiles_[std::size_t(role)][std::size_t(tile.first_row / tile_rows)] = {
      tile.point, stats::summarise(signal, tile, what, loss_scale_)};
}

/// In the order of the batch, whichever thread was first.
template <class Real>
void LayerObserver<Real>::end_pass() {
  for (std::size_t role = 0; role < role_count; ++role) {
    std::vector<Tile>& of_role = tiles_[role];
    for (Tile& tile : of_role) {
      if (tile.summary.samples() == 0) continue;
      records_[std::size_t(tile.point)][Role(role)].summary.merge(std::move(tile.summary));
    }
    of_role = {};
  }
  for (const Lost& lost : lost_) {
    stats::SignalRecord& record = records_[std::size_t(lost.point)][lost.role];
    ++record.lost;
    record.summary.count_underflown(lost.log2_magnitude);
  }
  lost_ = {};
}

template <class Real>
void LayerObserver<Real>::count_saturated(Role role, int point, std::int64_t elements) {
  records_[std::size_t(point)][role].saturated += elements;
}

template <class Real>
void LayerObserver<Real>::count_lost(Role role, int point, std::span<const std::int64_t> log2_magnitudes) {
  for (const std::int64_t log2_magnitude : log2_magnitudes) lost_.push_back({role, point, log2_magnitude});
}

template class LayerObserver<float>;
template class LayerObserver<double>;

}  // namespace gradflow::pipeline
