#include "layer_observer.hpp"

#include <algorithm>

#include "gradflow/core/parallel.hpp"

namespace gradflow::pipeline {
namespace {

std::vector<RowRange> tiles_of(const Stack& stack) {
  std::vector<RowRange> tiles;
  for (const RowRange& range : stack) {
    for (int first = 0; first < range.samples; first += tile_rows) {
      tiles.push_back({range.point, range.first_row + first, std::min(tile_rows, range.samples - first),
                       range.first_sample + first});
    }
  }
  return tiles;
}

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
void LayerObserver<Real>::see(nn::Role role, const Signal<Real>& signal, const Stack& stack) {
  const stats::What what = needs_of(needs_, role);
  if (what == stats::What::nothing) return;
  const std::vector<RowRange> tiles = tiles_of(stack);
  std::vector<stats::SignalSummary> summaries(tiles.size());
  parallel_for(int(tiles.size()), [&](int i) {
    summaries[std::size_t(i)] = stats::summarise(signal, tiles[std::size_t(i)], what);
  });
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    summary_of(records_[std::size_t(tiles[i].point)], role).merge(summaries[i]);
  }
}

template <class Real>
void LayerObserver<Real>::count(int point, std::int64_t saturated, std::int64_t lost) {
  records_[std::size_t(point)].saturated += saturated;
  records_[std::size_t(point)].lost += lost;
}

template class LayerObserver<float>;
template class LayerObserver<double>;

}  // namespace gradflow::pipeline
