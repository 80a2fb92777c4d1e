#pragma once

#include <algorithm>
#include <cmath>
#include <mutex>
#include <span>
#include <vector>

#include "gradflow/nn/block.hpp"
#include "gradflow/nn/data.hpp"
#include "gradflow/nn/logits.hpp"
#include "gradflow/nn/loss.hpp"

/// Every signal a bundle of networks has, as its blocks show them.
namespace gradflow::nn {

/// One sample of a signal in true values: values[j] * 2^exponent.
struct Row {
  std::vector<double> values;
  std::int64_t exponent = 0;

  double operator[](std::size_t j) const { return std::ldexp(values[j], int(exponent)); }
  Scaled squared_norm() const {
    double sum = 0;
    for (const double v : values) sum += v * v;
    return Scaled::of(sum, 2 * exponent);
  }
  double log10_norm() const { return squared_norm().log10() / 2; }
  bool is_zero() const { return squared_norm().is_zero(); }
};

using Samples = std::vector<Row>;

/// One layer of a bundle: samples by point.
struct LayerRecording {
  std::vector<Samples> preact, act, dgrad;
  std::vector<WeightGradientNorms> gradients;
  std::int64_t lost = 0;
};

struct Recording {
  const LayerRecording& layer(int l) const { return layers[std::size_t(l - 1)]; }

  std::vector<Samples> input;
  std::vector<LayerRecording> layers;
  Failures failures;
};

template <class Real>
std::vector<Samples> samples_of(const Signal<Real>& signal, const Stack& stack, std::size_t points) {
  std::vector<Samples> all(points);
  for (const RowRange& range : stack) {
    for (int row = range.first_row; row < range.first_row + range.samples; ++row) {
      const std::span<const Real> values = signal.values.row(row).first(std::size_t(signal.width));
      all[std::size_t(range.point)].push_back(
          {{values.begin(), values.end()}, signal.exponents[std::size_t(row)]});
    }
  }
  return all;
}

template <class Real>
class Recorder final : public Observer<Real> {
 public:
  Recorder(LayerRecording& layer, std::size_t points) : layer_(layer), points_(points) {}

  void see(Role role, const Signal<Real>& signal, const RowRange& tile) override {
    if (role != Role::preact && role != Role::act && role != Role::dgrad) return;
    std::vector<Samples>& to = role == Role::preact ? layer_.preact
                               : role == Role::act  ? layer_.act
                                                    : layer_.dgrad;
    const std::vector<Samples> shown = samples_of(signal, {tile}, points_);
    const std::scoped_lock lock(mutex_);
    to.resize(points_);
    Samples& samples = to[std::size_t(tile.point)];
    samples.resize(std::max(samples.size(), std::size_t(tile.first_sample + tile.samples)));
    std::ranges::copy(shown[std::size_t(tile.point)], samples.begin() + tile.first_sample);
  }
  void count_saturated(Role, int, std::int64_t) override {}
  void count_lost(Role, int, std::span<const std::int64_t> log2_magnitudes) override {
    layer_.lost += std::int64_t(log2_magnitudes.size());
  }

 private:
  LayerRecording& layer_;
  std::size_t points_;
  std::mutex mutex_;
};

/// One forward and one backward pass over the whole batch. Weights exist one layer at a time.
template <class Real>
Recording record(const Bundle& bundle) {
  const int depth = bundle.front().depth();
  const Stack stack = microbatch_rows(bundle, 0, 1);
  Recording recording;
  recording.failures.resize(bundle.size());
  recording.layers.resize(std::size_t(depth));
  std::vector<Tape<Real>> tapes(static_cast<std::size_t>(depth));

  State<Real> x = input<Real>(bundle, stack);
  recording.input = samples_of(x.front(), stack, bundle.size());
  for (int l = 1; l <= depth; ++l) {
    Recorder<Real> recorder(recording.layers[std::size_t(l - 1)], bundle.size());
    const std::unique_ptr<Block<Real>> block = make_block<Real>(bundle, l);
    Tape<Real>& tape = tapes[std::size_t(l - 1)];
    x = l == depth ? forward_into_loss(bundle.front(), l, *block, std::move(x), stack, tape, recorder,
                                       recording.failures)
                   : block->forward(std::move(x), stack, tape, recorder, recording.failures);
  }
  State<Real> dy = cotangent(bundle, std::move(x), stack, recording.failures);
  Entry entry = entry_of(bundle.front());
  for (int l = depth; l >= 1; --l) {
    LayerRecording& layer = recording.layers[std::size_t(l - 1)];
    Recorder<Real> recorder(layer, bundle.size());
    const std::unique_ptr<Block<Real>> block = make_block<Real>(bundle, l);
    const std::unique_ptr<WeightGradient<Real>> gradient = block->weight_gradient();
    dy = block->backward(std::move(dy), entry, stack, tapes[std::size_t(l - 1)], recorder, *gradient,
                         recording.failures);
    layer.gradients = gradient->norms(WeightRole::first);
    entry = Entry::output;
  }
  return recording;
}

}  // namespace gradflow::nn
