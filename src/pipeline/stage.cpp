#include "gradflow/pipeline/stage.hpp"

#include <algorithm>
#include <string>

#include "gradflow/core/parallel.hpp"
#include "layer_observer.hpp"

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
auto in_layer(std::size_t layer, Pass pass) {
  try {
    return pass();
  } catch (const BrokenPromise& broken) {
    throw BrokenPromise("layer " + std::to_string(layer) + ": " + broken.what());
  }
}

}  // namespace

template <class Real>
Stage<Real>::Stage(const nn::Bundle& bundle, BlockRange blocks, int microbatches,
                   const Observation& observation, Breather breathe, WeightPasses weight_passes)
    : bundle_(bundle),
      first_layer_(std::size_t(blocks.first) + 1),
      microbatches_(microbatches),
      breathe_(std::move(breathe)),
      weight_passes_(weight_passes),
      failures_(bundle.size()),
      layers_(std::size_t(blocks.size())),
      tapes_(std::size_t(microbatches)),
      deferred_(std::size_t(microbatches)) {
  for (int block = blocks.first; block < blocks.end; ++block) {
    Layer& layer = layers_[std::size_t(block - blocks.first)];
    layer.block = nn::make_block<Real>(bundle_, block + 1);
    layer.observed = std::ranges::binary_search(observation.layers, block + 1);
    if (layer.observed) {
      layer.records.resize(bundle_.size());
      layer.observer = std::make_unique<LayerObserver<Real>>(observation.needs, layer.records);
      layer.gradient = layer.block->weight_gradient();
    } else {
      layer.observer = std::make_unique<Blind<Real>>();
      layer.gradient = std::make_unique<NoWeightGradient<Real>>();
    }
    breathe_();
  }
}

template <class Real>
State<Real> Stage<Real>::forward(int microbatch, State<Real> x) {
  const Stack stack = rows(microbatch);
  std::vector<nn::Tape<Real>>& tapes = tapes_[std::size_t(microbatch)];
  tapes.resize(layers_.size());
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    layer.observer->begin_pass(stack);
    x = in_layer(first_layer_ + i, [&] {
      return layer.block->forward(std::move(x), stack, tapes[i], *layer.observer, failures_);
    });
    layer.observer->end_pass();
    breathe_();
  }
  return x;
}

template <class Real>
State<Real> Stage<Real>::backward(int microbatch, State<Real> dy, nn::Entry entry) {
  const Stack stack = rows(microbatch);
  std::vector<nn::Tape<Real>> tapes = std::move(tapes_[std::size_t(microbatch)]);
  std::vector<Factors>& deferred = deferred_[std::size_t(microbatch)];
  if (weight_passes_ == WeightPasses::deferred) deferred.resize(layers_.size());
  for (std::size_t i = layers_.size(); i-- > 0;) {
    Layer& layer = layers_[i];
    layer.observer->begin_pass(stack);
    const bool put_off = layer.observed && !deferred.empty();
    nn::WeightGradient<Real>& gradient = put_off ? deferred[i] : *layer.gradient;
    dy = in_layer(first_layer_ + i, [&] {
      return layer.block->backward(std::move(dy), entry, stack, tapes[i], *layer.observer, gradient,
                                   failures_);
    });
    layer.observer->end_pass();
    entry = nn::Entry::output;
    if (!put_off) weight_gradient_is_added(layer, microbatch);
    if (microbatch == microbatches_ - 1) layer.block.reset();  // nobody needs the weights any more
    breathe_();
  }
  return dy;
}

template <class Real>
void Stage<Real>::add_weight_gradients(int microbatch) {
  const Stack stack = rows(microbatch);
  std::vector<Factors> deferred = std::move(deferred_[std::size_t(microbatch)]);
  for (std::size_t i = deferred.size(); i-- > 0;) {
    Layer& layer = layers_[i];
    if (!layer.observed) continue;
    in_layer(first_layer_ + i,
             [&] { layer.gradient->add(std::move(deferred[i].x), std::move(deferred[i].dz), stack); });
    weight_gradient_is_added(layer, microbatch);
    breathe_();
  }
}

template <class Real>
void Stage<Real>::Factors::add(Signal<Real> input, Signal<Real> preact_gradient, const Stack&) {
  x = std::move(input);
  dz = std::move(preact_gradient);
}

template <class Real>
void Stage<Real>::weight_gradient_is_added(Layer& layer, int microbatch) {
  if (layer.observed && microbatch == microbatches_ - 1) waiting_.push_back(&layer);
  finish_weight_gradients(2 * std::size_t(concurrency()));
}

/// Takes the norms of whole weight gradients, several layers in parallel, and frees them.
template <class Real>
void Stage<Real>::finish_weight_gradients(std::size_t most_waiting) {
  if (waiting_.size() <= most_waiting) return;
  parallel_for(int(waiting_.size()), [&](int i) {
    Layer& layer = *waiting_[std::size_t(i)];
    const std::vector<nn::WeightGradientNorms> norms = layer.gradient->norms();
    for (std::size_t point = 0; point < norms.size(); ++point) {
      layer.records[point].gradients = gradient_norms(norms[point], bundle_[point].batch);
    }
    layer.gradient.reset();
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
  std::vector<PointResult> results(bundle_.size());
  for (std::size_t point = 0; point < results.size(); ++point) {
    results[point].failure = failures_[point];
    for (Layer& layer : layers_) {
      if (layer.observed) results[point].layers.push_back(std::move(layer.records[point]));
    }
  }
  return results;
}

template class Stage<float>;
template class Stage<double>;

}  // namespace gradflow::pipeline
