#include "layer_observer.hpp"

#include <utility>

namespace gradflow::pipeline {
namespace {

stats::SignalSummary& summary_of(stats::LayerRecord& record, nn::Role role) {
  switch (role) {
    case nn::Role::preact:
      return record.preact;
    case nn::Role::act:
      return record.act;
    case nn::Role::dgrad:
      break;
  }
  return record.dgrad;
}

stats::What needs_of(const stats::Needs& needs, nn::Role role) {
  switch (role) {
    case nn::Role::preact:
      return needs.preact;
    case nn::Role::act:
      return needs.act;
    case nn::Role::dgrad:
      break;
  }
  return needs.dgrad;
}

}  // namespace

template <class Real>
void LayerObserver<Real>::begin_pass(const Stack& stack) {
  for (std::vector<Tile>& of_role : tiles_) of_role.resize(std::size_t(rows_of(stack) / tile_rows));
}

template <class Real>
void LayerObserver<Real>::see(nn::Role role, const Signal<Real>& signal, const RowRange& tile) {
  const stats::What what = needs_of(needs_, role);
  if (what == stats::What::nothing) return;
  tiles_[std::size_t(role)][std::size_t(tile.first_row / tile_rows)] = {tile.point,
                                                                        stats::summarise(signal, tile, what)};
}

/// In the order of the batch, whichever thread was first.
template <class Real>
void LayerObserver<Real>::end_pass() {
  for (const nn::Role role : {nn::Role::preact, nn::Role::act, nn::Role::dgrad}) {
    std::vector<Tile>& of_role = tiles_[std::size_t(role)];
    for (Tile& tile : of_role) {
      if (tile.summary.samples() == 0) continue;
      summary_of(records_[std::size_t(tile.point)], role).merge(std::move(tile.summary));
    }
    of_role = {};
  }
  for (const Lost& lost : lost_) {
    stats::LayerRecord& record = records_[std::size_t(lost.point)];
    ++record.lost;
    record.dgrad.count_underflown(lost.log2_magnitude);
  }
  lost_ = {};
}

template <class Real>
void LayerObserver<Real>::count_saturated(int point, std::int64_t elements) {
  records_[std::size_t(point)].saturated += elements;
}

template <class Real>
void LayerObserver<Real>::count_lost(int point, std::span<const std::int64_t> log2_magnitudes) {
  for (const std::int64_t log2_magnitude : log2_magnitudes) lost_.push_back({point, log2_magnitude});
}

template class LayerObserver<float>;
template class LayerObserver<double>;

}  // namespace gradflow::pipeline
