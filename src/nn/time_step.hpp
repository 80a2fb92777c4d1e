#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "operation.hpp"

namespace gradflow::nn {

/// What all steps in time share: the products W h + b and W_x x_t, the gates stacked in their rows.
///
/// The state of stacked levels is a queue: in front stands the level that has moved last, at the back the one
/// whose turn it is. So the output of a block is always in front, whatever its level.
template <class Real>
class TimeStep {
 public:
  /// The weights of the first step of the layer's level.
  TimeStep(const Bundle& bundle, int layer, int gates);

  /// Another step of the same level with the same weights, held once.
  TimeStep at(int layer) const;

  int layer() const noexcept { return layer_; }
  int width() const noexcept { return width_; }
  bool is_first() const noexcept { return time_ == 1; }

  /// Takes from the queue what this level was after the step before.
  State<Real> own(State<Real>& state) const;
  /// x_t: what the level below has just put out, or the input from outside; none without.
  /// @param state  the other levels
  std::optional<Signal<Real>> input(const State<Real>& state, const Passage<Real>& passage) const;
  /// The queue with what this level is now.
  State<Real> moved(State<Real> state, State<Real> own) const;

  /// Leaves x_t for the backward pass, and takes it again, as far as it cannot be had otherwise.
  void keep(std::optional<Signal<Real>> input, Tape<Real>& tape) const;
  std::optional<Signal<Real>> kept(Tape<Real>& tape, const Passage<Real>& passage) const;

  /// Takes from the queue the gradient of what this level has become.
  State<Real> own_gradient(State<Real>& state) const;
  /// The queue of gradients as it was before the step; empty for the first layer: nobody asks for the
  /// gradient of the data.
  /// @param own  of this level after the step before; empty for the first step
  /// @param dx   of W_x x_t, part of which belongs to the level below
  State<Real> returned(State<Real> state, State<Real> own, const Signal<Real>& dx,
                       Passage<Real>& passage) const;

  /// W h + b, [rows][gates * width]
  Signal<Real> of_state(const Signal<Real>& h, Passage<Real>& passage) const;

  /// W_x x_t, [rows][gates * width]; none without inputs
  std::optional<Signal<Real>> of_input(const std::optional<Signal<Real>>& x, Passage<Real>& passage) const;

  /// The rows of one gate.
  Signal<Real> gate(const Signal<Real>& stacked, int gate, Passage<Real>& passage) const;

  /// W h + b + W_x x_t, gate by gate.
  std::vector<Signal<Real>> preactivations(const Signal<Real>& h, const std::optional<Signal<Real>>& x,
                                           Passage<Real>& passage) const;

  /// The gates' gradients as one signal, [rows][gates * width].
  Signal<Real> stacked(const std::vector<const Signal<Real>*>& gates, Passage<Real>& passage) const;

  /// W' da
  Signal<Real> state_gradient(const Signal<Real>& da, Passage<Real>& passage) const;

  /// @param dx  gradient of W_x x_t, where it is not that of W h + b
  void add_gradients(WeightGradient<Real>& gradient, Signal<Real> h, Signal<Real> da,
                     std::optional<Signal<Real>> x, Passage<Real>& passage,
                     std::optional<Signal<Real>> dx = {}) const;

  std::unique_ptr<WeightGradient<Real>> weight_gradient() const;

 private:
  using Samples = std::vector<std::shared_ptr<const Matrix<float>>>;  ///< by point

  /// A level, and what its steps share.
  struct Shared {
    Affine<Real> recurrent;
    std::optional<Affine<Real>> input;
    Samples samples;  ///< the data, where it comes in step by step
  };

  Signal<Real> gaussian_input(const Passage<Real>& passage) const;
  Signal<Real> input_from_data(const Passage<Real>& passage) const;
  Signal<Real> outer_input(const Passage<Real>& passage) const;

  int layer_;
  int time_;
  int level_;
  int stack_;
  int signals_;  ///< of a level in the state
  int width_;
  int gates_;
  std::uint64_t seed_;
  std::shared_ptr<const Shared> shared_;
};

/// a[j] * b[j] of one sample
template <class Real>
WideRow product_of_samples(const Signal<Real>& a, const Signal<Real>& b, int row) {
  return product(wide(a, row), wide(b, row));
}

/// a + b
template <class Real>
Signal<Real> sum_of(const Signal<Real>& a, const Signal<Real>& b, Passage<Real>& passage) {
  return each_sample<Real>(a.rows(), a.width, passage,
                           [&](int, int row) { return sum(wide(a, row), wide(b, row)); });
}

/// a[j] * b[j]
template <class Real>
Signal<Real> product_of_signals(const Signal<Real>& a, const Signal<Real>& b, Passage<Real>& passage) {
  return each_sample<Real>(a.rows(), a.width, passage,
                           [&](int, int row) { return product_of_samples(a, b, row); });
}

/// The matrices of a block with steps in time; the first level of a stack may lack the input's.
inline std::vector<WeightRole> matrices_of_step(const NetworkSpec& network) {
  const Recurrence& recurrence = network.recurrence;
  if (recurrence.input == StepInput::none && recurrence.stack == 1) return {WeightRole::first};
  return {WeightRole::first, WeightRole::input};
}

/// Signals on the tape of a step beside its own: what a level above the first takes in.
inline int taped_inputs(const NetworkSpec& network) { return network.recurrence.stack > 1 ? 1 : 0; }

}  // namespace gradflow::nn
