#include "gradflow/pipeline/stage.hpp"

#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "gradflow/core/parallel.hpp"
#include "gradflow/nn/logits.hpp"
#include "gradflow/nn/loss.hpp"
#include "layer_measurement.hpp"
#include "parting.hpp"
#include "row_parts.hpp"

namespace gradflow::pipeline {
namespace {

/// Runs one pass of one layer; a promise broken in it is told with the layer. So is memory that ran out,
/// which the plan had promised.
template <class Pass>
auto in_layer(int layer, Pass pass) {
  try {
    return pass();
  } catch (const BrokenPromise& broken) {
    throw BrokenPromise("layer " + std::to_string(layer) + ": " + broken.what());
  } catch (const std::bad_alloc&) {
    throw BrokenPromise("layer " + std::to_string(layer) + ": there is no memory left");
  }
}

void seal_forward(std::vector<stats::LayerRecord>& records, bool side_by_side) {
  if (side_by_side) {
    parallel_for(int(records.size()), [&](int point) { records[std::size_t(point)].seal_forward(); });
  } else {
    for (stats::LayerRecord& record : records) record.seal_forward();
  }
}

template <class Real>
State<Real> copy_of(const State<Real>& state) {
  State<Real> copy;
  for (const Signal<Real>& signal : state) copy.push_back(signal.copy());
  return copy;
}

/// Room for the rows of each point: its observed layers among the stage's blocks.
std::vector<RowParts> empty_rows(const Observation& observation, BlockRange blocks, const nn::Bundle& bundle,
                                 const Parts& parts) {
  std::vector<RowParts> rows;
  for (const nn::NetworkSpec& point : bundle) {
    const std::vector<int>& layers = observation.layers_of(point);
    const auto first = std::ranges::lower_bound(layers, blocks.first + 1);
    const auto end = std::lower_bound(first, layers.end(), blocks.end + 1);
    rows.emplace_back(observation.columns, int(first - layers.begin()), int(end - first), parts.rows);
  }
  return rows;
}

}  // namespace

int tied_sums(const nn::Bundle& bundle, const Observation& observation) {
  const bool summed =
      nn::block_of(bundle.front()).steps_in_time && stats::needed(observation.selection).gradients;
  return summed ? bundle.front().recurrence.stack : 0;
}

template <class Real>
Stage<Real>::Stage(const nn::Bundle& bundle, BlockRange blocks, int microbatches,
                   const Observation& observation, Breather breathe, Checkpointing checkpointing,
                   WeightPasses weight_passes, Parts parts)
    : bundle_(bundle),
      first_layer_(blocks.first + 1),
      microbatches_(microbatches),
      observation_(observation),
      observed_(observed_blocks(observation.layers, blocks)),
      needs_(stats::needed(observation.selection)),
      matrices_(nn::parts_of(bundle.front()).matrices),
      breathe_(std::move(breathe)),
      checkpointing_(std::move(checkpointing)),
      weight_passes_(checkpointing_.keeps_tapes() ? weight_passes : WeightPasses::at_once),
      failures_(bundle.size()),
      layers_(std::size_t(blocks.size())),
      parts_(std::move(parts)),
      rows_(empty_rows(observation, blocks, bundle, parts_)),
      tapes_(std::size_t(microbatches)),
      signals_(std::size_t(microbatches)),
      deferred_(std::size_t(microbatches)),
      directions_(bundle) {
  expect(nn::is_deepest_first(bundle), "the points of a bundle that have a layer are the first ones");
  if (nn::block_of(bundle.front()).steps_in_time)
    patterns_.resize(std::size_t(bundle.front().recurrence.stack));
  for (int sum = 0; sum < tied_sums(bundle, observation); ++sum) tied_.emplace_back(bundle);
  if (!checkpointing_.keep_weights) return;
  for (int i = 0; i < blocks.size(); ++i) {
    block(i);
    breathe_();
  }
}

template <class Real>
Stage<Real>::Stage(Stage&&) noexcept = default;
template <class Real>
Stage<Real>::~Stage() = default;

/// Rows of the points that have block i; i may be one beyond the stage.
template <class Real>
Stack Stage<Real>::rows_at(int i, int microbatch) const {
  return nn::microbatch_rows(bundle_, microbatch, microbatches_, first_layer_ + i);
}

/// The points that have block i. Most blocks have as many as their neighbour.
template <class Real>
const nn::Bundle& Stage<Real>::bundle_at(int i) {
  const auto points = std::size_t(points_at(i));
  if (points == bundle_.size()) return bundle_;
  if (points != first_points_.size()) {
    first_points_.assign(bundle_.begin(), bundle_.begin() + std::ptrdiff_t(points));
  }
  return first_points_;
}

/// The block, its weights generated if they are not there.
template <class Real>
const nn::Block<Real>& Stage<Real>::block(int i) {
  std::unique_ptr<nn::Block<Real>>& block = layers_[std::size_t(i)].block;
  if (block) return *block;
  if (patterns_.empty()) {
    block = nn::make_block<Real>(bundle_at(i), first_layer_ + i);
    return *block;
  }
  std::unique_ptr<nn::Block<Real>>& pattern = patterns_[level(i)];
  if (!pattern) pattern = nn::make_block<Real>(bundle_, first_layer_ + i);
  block = pattern->at_layer(first_layer_ + i);
  return *block;
}

/// What is known of an observed layer so far; null for the others.
template <class Real>
LayerMeasurement<Real>* Stage<Real>::measurement(int i) {
  std::unique_ptr<LayerMeasurement<Real>>& measurement = layers_[std::size_t(i)].measurement;
  if (!measurement && observed_[std::size_t(i)]) {
    measurement = std::make_unique<LayerMeasurement<Real>>(needs_, observation_.loss_scale,
                                                           std::size_t(points_at(i)), block(i));
  }
  return measurement.get();
}

/// After a pass through block i that needs its weights no more.
template <class Real>
void Stage<Real>::leave(int i) {
  if (!checkpointing_.keep_weights) layers_[std::size_t(i)].block.reset();
  breathe_();
}

/// Points of which the microbatch has no rows have nothing to pass.
template <class Real>
State<Real> Stage<Real>::forward_rows(int i, const Stack& stack, State<Real> x, nn::Tape<Real>& tape,
                                      nn::Observer<Real>& observer) {
  if (stack.empty()) return {};
  observer.begin_pass(stack);
  State<Real> y = in_layer(first_layer_ + i,
                           [&] { return block(i).forward(std::move(x), stack, tape, observer, failures_); });
  observer.end_pass();
  return y;
}

/// The last block of points that end: what their loss takes.
template <class Real>
State<Real> Stage<Real>::forward_into_loss(int i, const Stack& stack, State<Real> x, nn::Tape<Real>& tape,
                                           nn::Observer<Real>& observer) {
  if (stack.empty()) return {};
  const int layer = first_layer_ + i;
  observer.begin_pass(stack);
  State<Real> y = in_layer(layer, [&] {
    return nn::forward_into_loss(bundle_.front(), layer, block(i), std::move(x), stack, tape, observer,
                                 failures_);
  });
  observer.end_pass();
  return y;
}

/// Forward through block i. The points that end with it pass by themselves and leave the stack.
template <class Real>
State<Real> Stage<Real>::forward_through(int i, int microbatch, Stack& stack, State<Real> x, BlockTape& tape,
                                         nn::Observer<Real>& observer) {
  if (!some_end_at(i)) return forward_rows(i, stack, std::move(x), tape.going_on, observer);
  const Stack ending = from_point(stack, points_at(i + 1));
  stack = rows_at(i + 1, microbatch);
  if (stack.empty()) {
    tape.outputs = forward_into_loss(i, ending, std::move(x), tape.ending, observer);
    return {};
  }
  tape.outputs =
      forward_into_loss(i, ending, rows_from(x, rows_of(stack), rows_of(ending)), tape.ending, observer);
  return forward_rows(i, stack, rows_from(x, 0, rows_of(stack)), tape.going_on, observer);
}

template <class Real>
State<Real> Stage<Real>::forward(int microbatch, State<Real> x) {
  const Piece all{0, int(layers_.size())};
  if (!checkpointing_.keeps_tapes()) {
    return run_keeping_signals(all, microbatch, std::move(x), checkpointing_.spans.front(),
                               signals_[std::size_t(microbatch)]);
  }
  return run_taping(all, microbatch, std::move(x), tapes_[std::size_t(microbatch)]);
}

/// Forward with everything the backward pass needs; here a layer is observed.
template <class Real>
State<Real> Stage<Real>::run_taping(Piece piece, int microbatch, State<Real> x, Tapes& tapes) {
  Stack stack = rows_at(piece.first, microbatch);
  Blind<Real> nobody;
  tapes.resize(std::size_t(piece.end - piece.first));
  for (int i = piece.first; i < piece.end; ++i) {
    LayerMeasurement<Real>* measured = measurement(i);
    nn::Observer<Real>& observer = measured ? static_cast<nn::Observer<Real>&>(measured->observer) : nobody;
    x = forward_through(i, microbatch, stack, std::move(x), tapes[std::size_t(i - piece.first)], observer);
    if (measured && microbatch == microbatches_ - 1) {
      seal_forward(measured->records, stats::takes_long_to_seal(needs_));
    }
    // A piece that is taped for its backward pass, which follows at once, keeps its weights until then.
    checkpointing_.keeps_tapes() ? leave(i) : breathe_();
  }
  return x;
}

/// Forward without tapes or observers, but for copies of the signals the pieces of `span` blocks begin with.
template <class Real>
State<Real> Stage<Real>::run_keeping_signals(Piece piece, int microbatch, State<Real> x, int span,
                                             Signals& signals) {
  Stack stack = rows_at(piece.first, microbatch);
  Blind<Real> nobody;
  for (int i = piece.first; i < piece.end; ++i) {
    if ((i - piece.first) % span == 0) signals.push_back(copy_of(x));
    BlockTape tape;
    x = forward_through(i, microbatch, stack, std::move(x), tape, nobody);
    leave(i);
  }
  return x;
}

template <class Real>
State<Real> Stage<Real>::backward_rows(int i, const Stack& stack, State<Real> dy, nn::Entry entry,
                                       nn::Tape<Real>& tape, nn::Observer<Real>& observer,
                                       nn::WeightGradient<Real>& gradient) {
  if (stack.empty()) return {};
  const int layer = first_layer_ + i;
  in_layer(layer, [&] { directions_.pass(block(i), layer, stack, tape, failures_); });
  observer.begin_pass(stack);
  State<Real> dx = in_layer(layer, [&] {
    return block(i).backward(std::move(dy), entry, stack, tape, observer, gradient, failures_);
  });
  observer.end_pass();
  return dx;
}

/// Backward through block i. The points that end with it begin here and join the stack.
template <class Real>
State<Real> Stage<Real>::backward_through(int i, int microbatch, Stack& stack, State<Real> dy,
                                          BlockTape& tape, nn::Observer<Real>& observer,
                                          nn::WeightGradient<Real>& gradient) {
  State<Real> dx =
      backward_rows(i, stack, std::move(dy), nn::Entry::output, tape.going_on, observer, gradient);
  if (!some_end_at(i)) return dx;
  stack = rows_at(i, microbatch);
  const Stack ending = from_point(stack, points_at(i + 1));
  if (ending.empty()) return dx;
  dy = nn::cotangent(bundle_, std::move(tape.outputs), ending, failures_);
  return joined(std::move(dx), backward_rows(i, ending, std::move(dy), nn::entry_of(bundle_.front()),
                                             tape.ending, observer, gradient));
}

template <class Real>
State<Real> Stage<Real>::backward(int microbatch, State<Real> dy) {
  const std::size_t signals = nn::state_widths(bundle_.front(), 0).size();
  for (std::size_t sum = 0; sum < tied_.size() && dy.size() > signals; ++sum) {
    tied_[sum].unpack(dy[signals + sum]);
  }
  dy.erase(dy.begin() + std::ptrdiff_t(std::min(signals, dy.size())), dy.end());
  State<Real> dx = back_through_all(microbatch, std::move(dy));
  if (first_layer_ == 1) return dx;
  for (const nn::TiedGradient<Real>& sum : tied_) dx.push_back(sum.packed());
  return dx;
}

template <class Real>
State<Real> Stage<Real>::back_through_all(int microbatch, State<Real> dy) {
  const Piece all{0, int(layers_.size())};
  if (!checkpointing_.keeps_tapes()) {
    return back_from_signals(all, microbatch, std::move(dy), 0,
                             std::exchange(signals_[std::size_t(microbatch)], {}));
  }
  return back_through(all, microbatch, std::move(dy), std::exchange(tapes_[std::size_t(microbatch)], {}));
}

template <class Real>
State<Real> Stage<Real>::back_through(Piece piece, int microbatch, State<Real> dy, Tapes tapes) {
  Stack stack = rows_at(piece.end, microbatch);
  Blind<Real> nobody;
  NoWeightGradient<Real> nothing;
  DeferredGradients& deferred = deferred_[std::size_t(microbatch)];
  if (weight_passes_ == WeightPasses::deferred) deferred.resize(layers_.size());
  for (int i = piece.end; i-- > piece.first;) {
    LayerMeasurement<Real>* measured = measurement(i);
    nn::Observer<Real>& observer = measured ? static_cast<nn::Observer<Real>&>(measured->observer) : nobody;
    const bool put_off = measured && !deferred.empty();
    nn::WeightGradient<Real>& gradient = put_off    ? deferred[std::size_t(i)]
                                         : measured ? *measured->gradient
                                                    : static_cast<nn::WeightGradient<Real>&>(nothing);
    std::optional<AddToSum<Real>> summing;
    if (!tied_.empty()) summing.emplace(gradient, tied_[level(i)]);
    nn::WeightGradient<Real>& added = summing ? static_cast<nn::WeightGradient<Real>&>(*summing) : gradient;
    dy = backward_through(i, microbatch, stack, std::move(dy), tapes[std::size_t(i - piece.first)], observer,
                          added);
    if (measured && !put_off) weight_gradient_is_added(i, microbatch);
    if (microbatch == microbatches_ - 1) layers_[std::size_t(i)].block.reset();
    leave(i);
  }
  return dy;
}

template <class Real>
void Stage<Real>::add_weight_gradients(int microbatch) {
  DeferredGradients deferred = std::move(deferred_[std::size_t(microbatch)]);
  for (int i = int(deferred.size()); i-- > 0;) {
    LayerMeasurement<Real>* measured = layers_[std::size_t(i)].measurement.get();
    if (!measured) continue;
    in_layer(first_layer_ + i, [&] { std::move(deferred[std::size_t(i)]).move_to(*measured->gradient); });
    weight_gradient_is_added(i, microbatch);
    breathe_();
  }
}

template <class Real>
void Stage<Real>::weight_gradient_is_added(int i, int microbatch) {
  if (microbatch == microbatches_ - 1) waiting_.push_back(i);
  const std::size_t as_many_for_each_thread = 2 * std::size_t(concurrency());
  if (waiting_.size() >= as_many_for_each_thread) finish_weight_gradients();
}

/// Backward through pieces of the level's span, each computed again from the signal before it.
template <class Real>
State<Real> Stage<Real>::back_from_signals(Piece piece, int microbatch, State<Real> dy, std::size_t level,
                                           Signals signals) {
  const int span = checkpointing_.spans[level];
  for (; !signals.empty(); signals.pop_back()) {
    const int first = piece.first + (int(signals.size()) - 1) * span;
    const Piece part{first, std::min(first + span, piece.end)};
    State<Real> x = std::move(signals.back());
    if (level + 1 == checkpointing_.spans.size()) {
      Tapes tapes;
      run_taping(part, microbatch, std::move(x), tapes);
      dy = back_through(part, microbatch, std::move(dy), std::move(tapes));
    } else {
      Signals inner;
      run_keeping_signals(part, microbatch, std::move(x), checkpointing_.spans[level + 1], inner);
      dy = back_from_signals(part, microbatch, std::move(dy), level + 1, std::move(inner));
    }
  }
  return dy;
}

template <class Real>
void Stage<Real>::make_room_for_waiting() {
  for (const int i : waiting_) {
    for (std::size_t point = 0; point < std::size_t(points_at(i)); ++point) {
      const std::optional<int> row = observation_.row_of(bundle_[point], first_layer_ + i);
      if (row) rows_[point].reach(*row);
    }
  }
}

template <class Real>
void Stage<Real>::hand_over_filled_rows() {
  for (std::size_t point = 0; point < rows_.size(); ++point) {
    for (stats::PointTable& part : rows_[point].take_filled()) parts_.take(point, std::move(part));
  }
}

/// Takes the norms of whole weight gradients, several layers in parallel; the layers' rows are then final.
template <class Real>
void Stage<Real>::finish_weight_gradients() {
  make_room_for_waiting();
  parallel_for(int(waiting_.size()), [&](int which) {
    const int i = waiting_[std::size_t(which)];
    LayerMeasurement<Real>& measured = *layers_[std::size_t(i)].measurement;
    measured.take_gradient_norms(bundle_, first_layer_ + i, matrices_);
    for (std::size_t point = 0; point < measured.records.size(); ++point) {
      const std::optional<int> row = observation_.row_of(bundle_[point], first_layer_ + i);
      if (!row) continue;
      measured.records[point].seal();
      stats::fill(rows_[point].holding(*row), *row, measured.records[point], observation_.selection);
    }
    layers_[std::size_t(i)].measurement.reset();
  });
  waiting_.clear();
  hand_over_filled_rows();
}

template <class Real>
void Stage<Real>::learn(const nn::Failures& of_other_stages) {
  for (std::size_t point = 0; point < failures_.size(); ++point) {
    failures_[point] = first_of(failures_[point], of_other_stages[point]);
  }
}

template <class Real>
std::vector<PointResult> Stage<Real>::results() && {
  finish_weight_gradients();
  patterns_.clear();
  layers_ = std::vector<Layer>();  // weights and tapes are gone before anybody works on the rows
  std::vector<PointResult> results;
  for (std::size_t point = 0; point < bundle_.size(); ++point) {
    results.push_back({failures_[point], rows_[point].take_last()});
  }
  if (first_layer_ > 1) return results;
  parallel_for(int(bundle_.size()),
               [&](int point) { results[std::size_t(point)].jacobian = directions_.spectrum(point); });
  for (const nn::TiedGradient<Real>& of_level : tied_) {
    const std::vector<Scaled> squares = of_level.squared();
    for (std::size_t point = 0; point < bundle_.size(); ++point) {
      results[point].tied_wgrad_squared.push_back(squares[point]);
    }
  }
  return results;
}

template class Stage<float>;
template class Stage<double>;

}  // namespace gradflow::pipeline
