#include "time_step.hpp"

#include <utility>

#include "gradflow/core/random.hpp"
#include "gradflow/nn/recurrent.hpp"

namespace gradflow::nn {
namespace {

constexpr int first_step = 1;  // its weights are those of every step

}  // namespace

template <class Real>
void fill_step_input(std::uint64_t seed, int step, int sample, std::span<Real> x) {
  fill_normal<Real>({seed, Purpose::step_input, std::uint32_t(step)}, std::uint32_t(sample), x);
}

std::vector<std::string> gate_names(const NetworkSpec& network) {
  if (network.block == "gru") return {"candidate", "update", "reset"};
  if (network.block != "lstm") return {};
  std::vector<std::string> names{"candidate", "input", "output", "forget"};
  names.resize(std::size_t(lstm_gates(network)));
  return names;
}

template <class Real>
TimeStep<Real>::TimeStep(const Bundle& bundle, int step, int gates)
    : step_(step), width_(bundle.front().widths.fan_out(step)), gates_(gates), seed_(bundle.front().seed) {
  expect(bundle.front().widths.fan_in(step) == width_, "every step is as wide as the one before");
  Weights weights{Affine<Real>(bundle, first_step, WeightRole::first), {}};
  if (bundle.front().recurrence.gaussian_input) {
    weights.input.emplace(bundle, first_step, WeightRole::input);
  }
  weights_ = std::make_shared<const Weights>(std::move(weights));
}

template <class Real>
TimeStep<Real> TimeStep<Real>::at(int step) const {
  TimeStep other = *this;
  other.step_ = step;
  return other;
}

template <class Real>
Signal<Real> TimeStep<Real>::of_state(const Signal<Real>& h, Passage<Real>& passage) const {
  return product_of(weights_->recurrent, h, passage);
}

template <class Real>
std::optional<Signal<Real>> TimeStep<Real>::of_input(Passage<Real>& passage) const {
  if (!weights_->input) return std::nullopt;
  return product_of(*weights_->input, input(passage), passage);
}

template <class Real>
Signal<Real> TimeStep<Real>::input(const Passage<Real>& passage) const {
  Signal<Real> x(rows_of(passage.stack), width_);
  passage.for_tiles([&](const RowRange& tile) {
    for_samples(tile, [&](int row) {
      const int sample = tile.first_sample + row - tile.first_row;
      fill_step_input<Real>(seed_, step_, sample, x.values.row(row).first(std::size_t(width_)));
    });
  });
  return x;
}

template <class Real>
Signal<Real> TimeStep<Real>::gate(const Signal<Real>& stacked, int gate, Passage<Real>& passage) const {
  return each_sample<Real>(stacked.rows(), width_, passage,
                           [&](int, int row) { return part_of(wide(stacked, row), gate * width_, width_); });
}

template <class Real>
std::vector<Signal<Real>> TimeStep<Real>::preactivations(const Signal<Real>& h,
                                                         Passage<Real>& passage) const {
  Signal<Real> all = of_state(h, passage);
  if (const std::optional<Signal<Real>> u = of_input(passage)) all = sum_of(all, *u, passage);
  std::vector<Signal<Real>> z;
  for (int k = 0; k < gates_; ++k) z.push_back(gate(all, k, passage));
  return z;
}

template <class Real>
Signal<Real> TimeStep<Real>::stacked(const std::vector<const Signal<Real>*>& gates,
                                     Passage<Real>& passage) const {
  return each_sample<Real>(gates.front()->rows(), gates_ * width_, passage, [&](int, int row) {
    std::vector<WideRow> parts;
    for (const Signal<Real>* gate : gates) parts.push_back(wide(*gate, row));
    return joined(std::move(parts));
  });
}

template <class Real>
Signal<Real> TimeStep<Real>::state_gradient(const Signal<Real>& da, Passage<Real>& passage) const {
  return step_ == first_step ? Signal<Real>() : input_gradient_of(weights_->recurrent, da, passage);
}

template <class Real>
void TimeStep<Real>::add_gradients(WeightGradient<Real>& gradient, Signal<Real> h, Signal<Real> da,
                                   Passage<Real>& passage, std::optional<Signal<Real>> dx) const {
  if (weights_->input) {
    gradient.add(WeightRole::input, input(passage), dx ? std::move(*dx) : da.copy(), passage.stack);
  }
  gradient.add(WeightRole::first, std::move(h), std::move(da), passage.stack);
}

template <class Real>
std::unique_ptr<WeightGradient<Real>> TimeStep<Real>::weight_gradient() const {
  std::vector<typename MatrixGradients<Real>::Entry> gradients;
  gradients.emplace_back(WeightRole::first, weights_->recurrent.gradient());
  if (weights_->input) gradients.emplace_back(WeightRole::input, weights_->input->gradient());
  return std::make_unique<MatrixGradients<Real>>(std::move(gradients));
}

template void fill_step_input(std::uint64_t, int, int, std::span<float>);
template void fill_step_input(std::uint64_t, int, int, std::span<double>);
template class TimeStep<float>;
template class TimeStep<double>;

}  // namespace gradflow::nn
