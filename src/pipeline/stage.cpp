#include "gradflow/pipeline/stage.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "gradflow/core/parallel.hpp"
#include "layer_measurement.hpp"

namespace gradflow::pipeline {
namespace {

stats::GradientNorms gradient_norms(const nn::WeightGradientNorms& norms, int batch) {
  return {.wgrad_squared = norms.weight_gradient_squared,
          .bgrad_squared = norms.bias_gradient_squared,
          .weight_squared = norms.weight_squared,
          .sample_squared_sum = norms.sample_squared_sum,
          .relative_error = norms.relative_error,
          .batch = batch,
          .has_bias = norms.has_bias};
}

/// Runs one pass of one layer; a promise broken in it is told with the layer.
template <class Pass>
auto in_layer(int layer, Pass pass) {
  try {
    return pass();
  } catch (const BrokenPromise& broken) {
    throw BrokenPromise("layer " + std::to_string(layer) + ": " + broken.what());
  }
}

template <class Real>
State<Real> copy_of(const State<Real>& state) {
  State<Real> copy;
  for (const Signal<Real>& signal : state) copy.push_back(signal.copy());
  return copy;
}

/// Adds to the sum over blocks, beside what is kept of one block.
template <class Real>
class AddToSum final : public nn::WeightGradient<Real> {
 public:
  AddToSum(nn::WeightGradient<Real>& of_block, nn::TiedGradient<Real>& sum)
      : of_block_(of_block), sum_(sum) {}

  void add(WeightRole matrix, Signal<Real> input, Signal<Real> product_gradient,
           const Stack& stack) override {
    if (matrix == WeightRole::first) sum_.add(input, product_gradient, stack);
    of_block_.add(matrix, std::move(input), std::move(product_gradient), stack);
  }
  std::vector<nn::WeightGradientNorms> norms(WeightRole matrix) const override {
    return of_block_.norms(matrix);
  }

 private:
  nn::WeightGradient<Real>& of_block_;
  nn::TiedGradient<Real>& sum_;
};

/// An empty table for each point: the observed layers among the stage's blocks.
std::vector<stats::PointTable> empty_tables(const Observation& observation, BlockRange blocks,
                                            std::size_t points) {
  const auto begin = observation.layers.begin();
  const auto first = std::lower_bound(begin, observation.layers.end(), blocks.first + 1);
  const auto end = std::lower_bound(first, observation.layers.end(), blocks.end + 1);
  return {points, stats::PointTable(observation.columns, int(first - begin), int(end - first))};
}

}  // namespace

Observation::Observation(std::vector<int> observed, stats::Selection chosen)
    : layers(std::move(observed)),
      selection(std::move(chosen)),
      columns(std::make_shared<const stats::Columns>(stats::columns_of(selection))) {}

bool sums_tied_gradient(const nn::Bundle& bundle, const Observation& observation) {
  return nn::block_of(bundle.front()).steps_in_time && stats::needed(observation.selection).gradients;
}

template <class Real>
Stage<Real>::Stage(const nn::Bundle& bundle, BlockRange blocks, int microbatches,
                   const Observation& observation, Breather breathe, Checkpointing checkpointing,
                   WeightPasses weight_passes)
    : bundle_(bundle),
      first_layer_(blocks.first + 1),
      microbatches_(microbatches),
      observation_(observation),
      needs_(stats::needed(observation.selection)),
      matrices_(nn::parts_of(bundle.front()).matrices),
      breathe_(std::move(breathe)),
      checkpointing_(std::move(checkpointing)),
      weight_passes_(checkpointing_.keeps_tapes() ? weight_passes : WeightPasses::at_once),
      failures_(bundle.size()),
      layers_(std::size_t(blocks.size())),
      tables_(empty_tables(observation, blocks, bundle.size())),
      tapes_(std::size_t(microbatches)),
      signals_(std::size_t(microbatches)),
      deferred_(std::size_t(microbatches)) {
  if (nn::block_of(bundle.front()).steps_in_time) pattern_ = nn::make_block<Real>(bundle, first_layer_);
  if (sums_tied_gradient(bundle, observation)) tied_.emplace(bundle);
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

/// The block, its weights generated if they are not there.
template <class Real>
const nn::Block<Real>& Stage<Real>::block(int i) {
  std::unique_ptr<nn::Block<Real>>& block = layers_[std::size_t(i)].block;
  if (!block && pattern_) block = pattern_->at_layer(first_layer_ + i);
  if (!block) block = nn::make_block<Real>(bundle_, first_layer_ + i);
  return *block;
}

/// What is known of an observed layer so far; null for the others.
template <class Real>
LayerMeasurement<Real>* Stage<Real>::measurement(int i) {
  std::unique_ptr<LayerMeasurement<Real>>& measurement = layers_[std::size_t(i)].measurement;
  if (!measurement && std::ranges::binary_search(observation_.layers, first_layer_ + i)) {
    measurement = std::make_unique<LayerMeasurement<Real>>(needs_, bundle_.size(), block(i));
  }
  return measurement.get();
}

template <class Real>
int Stage<Real>::row_of(int i) const {
  return int(std::ranges::lower_bound(observation_.layers, first_layer_ + i) - observation_.layers.begin());
}

/// After a pass through block i that needs its weights no more.
template <class Real>
void Stage<Real>::leave(int i) {
  if (!checkpointing_.keep_weights) layers_[std::size_t(i)].block.reset();
  breathe_();
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
  const Stack stack = rows(microbatch);
  Blind<Real> nobody;
  tapes.resize(std::size_t(piece.end - piece.first));
  for (int i = piece.first; i < piece.end; ++i) {
    LayerMeasurement<Real>* measured = measurement(i);
    nn::Observer<Real>& observer = measured ? static_cast<nn::Observer<Real>&>(measured->observer) : nobody;
    observer.begin_pass(stack);
    x = in_layer(first_layer_ + i, [&] {
      return block(i).forward(std::move(x), stack, tapes[std::size_t(i - piece.first)], observer, failures_);
    });
    observer.end_pass();
    if (measured && microbatch == microbatches_ - 1) {
      for (stats::LayerRecord& record : measured->records) record.seal_forward();
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
  const Stack stack = rows(microbatch);
  Blind<Real> nobody;
  for (int i = piece.first; i < piece.end; ++i) {
    if ((i - piece.first) % span == 0) signals.push_back(copy_of(x));
    nn::Tape<Real> tape;
    x = in_layer(first_layer_ + i,
                 [&] { return block(i).forward(std::move(x), stack, tape, nobody, failures_); });
    leave(i);
  }
  return x;
}

template <class Real>
State<Real> Stage<Real>::backward(int microbatch, State<Real> dy, nn::Entry entry) {
  if (tied_ && dy.size() > nn::state_widths(bundle_.front(), 0).size()) {
    tied_->unpack(dy.back());
    dy.pop_back();
  }
  State<Real> dx = back_through_all(microbatch, std::move(dy), entry);
  if (tied_ && first_layer_ > 1) dx.push_back(tied_->packed());
  return dx;
}

template <class Real>
State<Real> Stage<Real>::back_through_all(int microbatch, State<Real> dy, nn::Entry entry) {
  const Piece all{0, int(layers_.size())};
  if (!checkpointing_.keeps_tapes()) {
    return back_from_signals(all, microbatch, std::move(dy), entry, 0,
                             std::exchange(signals_[std::size_t(microbatch)], {}));
  }
  return back_through(all, microbatch, std::move(dy), entry,
                      std::exchange(tapes_[std::size_t(microbatch)], {}));
}

template <class Real>
State<Real> Stage<Real>::back_through(Piece piece, int microbatch, State<Real> dy, nn::Entry& entry,
                                      Tapes tapes) {
  const Stack stack = rows(microbatch);
  Blind<Real> nobody;
  NoWeightGradient<Real> nothing;
  std::vector<Factors>& deferred = deferred_[std::size_t(microbatch)];
  if (weight_passes_ == WeightPasses::deferred) deferred.resize(layers_.size());
  for (int i = piece.end; i-- > piece.first;) {
    LayerMeasurement<Real>* measured = measurement(i);
    nn::Observer<Real>& observer = measured ? static_cast<nn::Observer<Real>&>(measured->observer) : nobody;
    const bool put_off = measured && !deferred.empty();
    nn::WeightGradient<Real>& gradient = put_off    ? deferred[std::size_t(i)]
                                         : measured ? *measured->gradient
                                                    : static_cast<nn::WeightGradient<Real>&>(nothing);
    std::optional<AddToSum<Real>> summing;
    if (tied_) summing.emplace(gradient, *tied_);
    nn::WeightGradient<Real>& added = summing ? static_cast<nn::WeightGradient<Real>&>(*summing) : gradient;
    observer.begin_pass(stack);
    dy = in_layer(first_layer_ + i, [&] {
      return block(i).backward(std::move(dy), std::exchange(entry, nn::Entry::output), stack,
                               tapes[std::size_t(i - piece.first)], observer, added, failures_);
    });
    observer.end_pass();
    if (measured && !put_off) weight_gradient_is_added(i, microbatch);
    if (microbatch == microbatches_ - 1) layers_[std::size_t(i)].block.reset();
    leave(i);
  }
  return dy;
}

template <class Real>
void Stage<Real>::add_weight_gradients(int microbatch) {
  const Stack stack = rows(microbatch);
  std::vector<Factors> deferred = std::move(deferred_[std::size_t(microbatch)]);
  for (int i = int(deferred.size()); i-- > 0;) {
    LayerMeasurement<Real>* measured = layers_[std::size_t(i)].measurement.get();
    if (!measured) continue;
    Factors& factors = deferred[std::size_t(i)];
    in_layer(first_layer_ + i, [&] {
      for (auto& [matrix, x, dz] : factors.pairs) {
        measured->gradient->add(matrix, std::move(x), std::move(dz), stack);
      }
    });
    weight_gradient_is_added(i, microbatch);
    breathe_();
  }
}

template <class Real>
void Stage<Real>::Factors::add(WeightRole matrix, Signal<Real> input, Signal<Real> product_gradient,
                               const Stack&) {
  pairs.push_back({matrix, std::move(input), std::move(product_gradient)});
}

template <class Real>
void Stage<Real>::weight_gradient_is_added(int i, int microbatch) {
  if (microbatch == microbatches_ - 1) waiting_.push_back(i);
  finish_weight_gradients(2 * std::size_t(concurrency()));
}

/// Backward through pieces of the level's span, each computed again from the signal before it.
template <class Real>
State<Real> Stage<Real>::back_from_signals(Piece piece, int microbatch, State<Real> dy, nn::Entry& entry,
                                           std::size_t level, Signals signals) {
  const int span = checkpointing_.spans[level];
  for (; !signals.empty(); signals.pop_back()) {
    const int first = piece.first + (int(signals.size()) - 1) * span;
    const Piece part{first, std::min(first + span, piece.end)};
    State<Real> x = std::move(signals.back());
    if (level + 1 == checkpointing_.spans.size()) {
      Tapes tapes;
      run_taping(part, microbatch, std::move(x), tapes);
      dy = back_through(part, microbatch, std::move(dy), entry, std::move(tapes));
    } else {
      Signals inner;
      run_keeping_signals(part, microbatch, std::move(x), checkpointing_.spans[level + 1], inner);
      dy = back_from_signals(part, microbatch, std::move(dy), entry, level + 1, std::move(inner));
    }
  }
  return dy;
}

/// Takes the norms of whole weight gradients, several layers in parallel; the layers' rows are then final.
template <class Real>
void Stage<Real>::finish_weight_gradients(std::size_t most_waiting) {
  if (waiting_.size() <= most_waiting) return;
  parallel_for(int(waiting_.size()), [&](int which) {
    const int i = waiting_[std::size_t(which)];
    LayerMeasurement<Real>& measured = *layers_[std::size_t(i)].measurement;
    for (const WeightRole matrix : matrices_) {
      const std::vector<nn::WeightGradientNorms> norms = measured.gradient->norms(matrix);
      for (std::size_t point = 0; point < norms.size(); ++point) {
        measured.records[point][matrix] = gradient_norms(norms[point], bundle_[point].batch);
      }
    }
    for (std::size_t point = 0; point < bundle_.size(); ++point) {
      stats::fill(tables_[point], row_of(i), measured.records[point], observation_.selection);
    }
    layers_[std::size_t(i)].measurement.reset();
  });
  waiting_.clear();
}

template <class Real>
void Stage<Real>::learn(const nn::Failures& of_other_stages) {
  for (std::size_t point = 0; point < failures_.size(); ++point) {
    failures_[point] = first_of(failures_[point], of_other_stages[point]);
  }
}

template <class Real>
std::vector<PointResult> Stage<Real>::results() && {
  finish_weight_gradients(0);
  pattern_.reset();
  layers_ = std::vector<Layer>();  // weights and tapes are gone before anybody works on the rows
  std::vector<PointResult> results;
  for (std::size_t point = 0; point < bundle_.size(); ++point) {
    results.push_back({failures_[point], std::move(tables_[point])});
  }
  if (!tied_ || first_layer_ > 1) return results;
  const std::vector<Scaled> squares = tied_->squared();
  for (std::size_t point = 0; point < bundle_.size(); ++point) {
    results[point].tied_wgrad_squared = squares[point];
  }
  return results;
}

template class Stage<float>;
template class Stage<double>;

}  // namespace gradflow::pipeline
