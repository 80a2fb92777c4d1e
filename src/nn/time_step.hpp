#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "operation.hpp"

namespace gradflow::nn {

/// What all steps in time share: the products W h + b and W_x x_t, the gates stacked in their rows.
template <class Real>
class TimeStep {
 public:
  /// The weights of the first step, whatever the step.
  TimeStep(const Bundle& bundle, int step, int gates);

  /// Another step with the same weights, held once.
  TimeStep at(int step) const;

  int step() const noexcept { return step_; }
  int width() const noexcept { return width_; }

  /// W h + b, [rows][gates * width]
  Signal<Real> of_state(const Signal<Real>& h, Passage<Real>& passage) const;

  /// W_x x_t, [rows][gates * width]; none without inputs
  std::optional<Signal<Real>> of_input(Passage<Real>& passage) const;

  /// The rows of one gate.
  Signal<Real> gate(const Signal<Real>& stacked, int gate, Passage<Real>& passage) const;

  /// W h + b + W_x x_t, gate by gate.
  std::vector<Signal<Real>> preactivations(const Signal<Real>& h, Passage<Real>& passage) const;

  /// The gates' gradients as one signal, [rows][gates * width].
  Signal<Real> stacked(const std::vector<const Signal<Real>*>& gates, Passage<Real>& passage) const;

  /// W' da; empty for the first step: nobody asks for the gradient of the data.
  Signal<Real> state_gradient(const Signal<Real>& da, Passage<Real>& passage) const;

  /// @param dx  gradient of W_x x_t, where it is not that of W h + b
  void add_gradients(WeightGradient<Real>& gradient, Signal<Real> h, Signal<Real> da, Passage<Real>& passage,
                     std::optional<Signal<Real>> dx = {}) const;

  std::unique_ptr<WeightGradient<Real>> weight_gradient() const;

 private:
  /// x_t of every sample of the microbatch, a function of (seed, step, sample).
  Signal<Real> input(const Passage<Real>& passage) const;

  struct Weights {
    Affine<Real> recurrent;
    std::optional<Affine<Real>> input;
  };

  int step_;
  int width_;
  int gates_;
  std::uint64_t seed_;
  std::shared_ptr<const Weights> weights_;
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

/// The matrices of a block with steps in time.
inline std::vector<WeightRole> matrices_of_step(const NetworkSpec& network) {
  if (network.recurrence.gaussian_input) return {WeightRole::first, WeightRole::input};
  return {WeightRole::first};
}

}  // namespace gradflow::nn
