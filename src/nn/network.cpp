#include "gradflow/nn/network.hpp"

#include <algorithm>
#include <functional>

#include "gradflow/nn/block.hpp"

namespace gradflow::nn {

Widths Widths::uniform(int depth, int width) {
  expect(depth >= 1 && width >= 1, "a network has at least one layer of at least one unit");
  Widths widths;
  widths.depth_ = depth;
  widths.width_ = width;
  return widths;
}

Widths Widths::listed(std::vector<int> list) {
  expect(list.size() >= 2, "widths name the input and at least one layer");
  expect(std::all_of(list.begin(), list.end(), [](int n) { return n >= 1; }), "every layer has a unit");
  if (std::all_of(list.begin(), list.end(), [&](int n) { return n == list.front(); })) {
    return uniform(int(list.size()) - 1, list.front());
  }
  Widths widths;
  widths.depth_ = int(list.size()) - 1;
  widths.list_ = std::move(list);
  return widths;
}

bool Widths::agree_with(const Widths& other) const noexcept {
  if (list_.empty() && other.list_.empty()) return width_ == other.width_;
  for (int signal = 0; signal <= std::min(depth_, other.depth_); ++signal) {
    if ((*this)[signal] != other[signal]) return false;
  }
  return true;
}

int features_of(const NetworkSpec& network) {
  const Recurrence& recurrence = network.recurrence;
  return recurrence.input == StepInput::data ? network.steps() * recurrence.input_width : network.widths[0];
}

bool may_share_bundle(const NetworkSpec& a, const NetworkSpec& b) {
  return a.block == b.block && a.seed == b.seed && a.backward.loss == b.backward.loss &&
         a.normalization == b.normalization && a.residual.branch_layers == b.residual.branch_layers &&
         a.recurrence.input == b.recurrence.input && a.recurrence.input_width == b.recurrence.input_width &&
         a.recurrence.stack == b.recurrence.stack && a.recurrence.forget_gate == b.recurrence.forget_gate &&
         a.init.shares_unit_weights_with(b.init) &&
         (block_of(a).steps_in_time ? a.widths == b.widths : a.widths.agree_with(b.widths));
}

bool takes_batch_whole(const NetworkSpec& network) {
  return network.normalization.kind == NormalizationKind::batch || network.init.finds_scales() ||
         block_of(network).steps_in_time;
}

bool is_deepest_first(const Bundle& bundle) {
  return std::ranges::is_sorted(bundle, std::ranges::greater{}, &NetworkSpec::depth);
}

int points_with_layer(const Bundle& bundle, int layer) {
  const auto has_layer = [layer](const NetworkSpec& point) { return point.depth() >= layer; };
  return int(std::ranges::partition_point(bundle, has_layer) - bundle.begin());
}

int most_microbatches(const Bundle& bundle) {
  if (std::ranges::any_of(bundle, takes_batch_whole)) return 1;
  int tiles = 1;
  for (const NetworkSpec& point : bundle) tiles = std::max(tiles, padded_rows(point.batch) / tile_rows);
  return tiles;
}

Stack microbatch_rows(const Bundle& bundle, int index, int count, int layer) {
  expect(0 <= index && index < count && count <= most_microbatches(bundle),
         "a microbatch of at least one tile");
  const int points = points_with_layer(bundle, layer);
  Stack stack;
  int row = 0;
  for (int point = 0; point < points; ++point) {
    const int batch = bundle[std::size_t(point)].batch;
    const std::int64_t tiles = padded_rows(batch) / tile_rows;
    const int first = int(tiles * index / count) * tile_rows;
    const int end = std::min(batch, int(tiles * (index + 1) / count) * tile_rows);
    if (end > first) stack.push_back({point, row, end - first, first});
    if (end > first) row = stack.back().end_row();
  }
  return stack;
}

}  // namespace gradflow::nn
