#include "time_step.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "gradflow/core/random.hpp"
#include "gradflow/nn/data.hpp"
#include "gradflow/nn/recurrent.hpp"

namespace gradflow::nn {
namespace {

/// Moves signals from one end of a state to a state of their own.
template <class Real>
State<Real> taken(State<Real>& state, std::size_t first, std::size_t count) {
  expect(first + count <= state.size(), "a state of every level");
  const auto begin = state.begin() + std::ptrdiff_t(first);
  const auto end = begin + std::ptrdiff_t(count);
  State<Real> part{std::make_move_iterator(begin), std::make_move_iterator(end)};
  state.erase(begin, end);
  return part;
}

template <class Real>
State<Real> joined(State<Real> front, State<Real> back) {
  for (Signal<Real>& signal : back) front.push_back(std::move(signal));
  return front;
}

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
TimeStep<Real>::TimeStep(const Bundle& bundle, int layer, int gates)
    : layer_(layer),
      time_(bundle.front().time_of(layer)),
      level_(bundle.front().level_of(layer)),
      stack_(bundle.front().recurrence.stack),
      signals_(block_of(bundle.front()).state_signals),
      width_(bundle.front().widths.fan_out(layer)),
      gates_(gates),
      seed_(bundle.front().seed) {
  expect(bundle.front().widths.fan_in(layer) == width_, "every step is as wide as the one before");
  const StepInput outer = bundle.front().recurrence.input;
  Shared shared{Affine<Real>(bundle, level_, WeightRole::first), {}, {}};
  if (level_ > 1 || outer != StepInput::none) shared.input.emplace(bundle, level_, WeightRole::input);
  if (level_ == 1 && outer == StepInput::data) shared.samples = samples_of(bundle);
  shared_ = std::make_shared<const Shared>(std::move(shared));
}

template <class Real>
TimeStep<Real> TimeStep<Real>::at(int layer) const {
  expect((layer - layer_) % stack_ == 0, "another step of the same level");
  TimeStep other = *this;
  other.time_ += (layer - layer_) / stack_;
  other.layer_ = layer;
  return other;
}

template <class Real>
State<Real> TimeStep<Real>::own(State<Real>& state) const {
  return taken(state, state.size() - std::size_t(signals_), std::size_t(signals_));
}

template <class Real>
std::optional<Signal<Real>> TimeStep<Real>::input(const State<Real>& state,
                                                  const Passage<Real>& passage) const {
  if (!shared_->input) return std::nullopt;
  return level_ > 1 ? state.front().copy() : outer_input(passage);
}

template <class Real>
State<Real> TimeStep<Real>::moved(State<Real> state, State<Real> own) const {
  return joined(std::move(own), std::move(state));
}

template <class Real>
void TimeStep<Real>::keep(std::optional<Signal<Real>> input, Tape<Real>& tape) const {
  if (level_ > 1) tape.push_back(std::move(*input));
}

template <class Real>
std::optional<Signal<Real>> TimeStep<Real>::kept(Tape<Real>& tape, const Passage<Real>& passage) const {
  if (!shared_->input) return std::nullopt;
  return level_ > 1 ? taken_from(tape) : outer_input(passage);
}

template <class Real>
State<Real> TimeStep<Real>::own_gradient(State<Real>& state) const {
  return taken(state, 0, std::size_t(signals_));
}

template <class Real>
State<Real> TimeStep<Real>::returned(State<Real> state, State<Real> own, const Signal<Real>& dx,
                                     Passage<Real>& passage) const {
  if (layer_ == 1) return {};
  if (level_ > 1) {
    Signal<Real>& below = state.front();
    below = sum_of(below, input_gradient_of(*shared_->input, dx, passage), passage);
  }
  while (int(own.size()) < signals_) own.push_back(Signal<Real>(dx.rows(), width_));
  return joined(std::move(state), std::move(own));
}

template <class Real>
Signal<Real> TimeStep<Real>::of_state(const Signal<Real>& h, Passage<Real>& passage) const {
  return product_of(shared_->recurrent, h, passage);
}

template <class Real>
std::optional<Signal<Real>> TimeStep<Real>::of_input(const std::optional<Signal<Real>>& x,
                                                     Passage<Real>& passage) const {
  if (!x) return std::nullopt;
  return product_of(*shared_->input, *x, passage);
}

template <class Real>
Signal<Real> TimeStep<Real>::outer_input(const Passage<Real>& passage) const {
  return shared_->samples.empty() ? gaussian_input(passage) : input_from_data(passage);
}

/// x_t of every sample, a function of (seed, step, sample).
template <class Real>
Signal<Real> TimeStep<Real>::gaussian_input(const Passage<Real>& passage) const {
  Signal<Real> x(rows_of(passage.stack), width_);
  passage.for_tiles([&](const RowRange& tile) {
    for_samples(tile, [&](int row) {
      const int sample = tile.first_sample + row - tile.first_row;
      fill_step_input<Real>(seed_, time_, sample, x.values.row(row).first(std::size_t(width_)));
    });
  });
  return x;
}

/// The t-th piece of every sample.
template <class Real>
Signal<Real> TimeStep<Real>::input_from_data(const Passage<Real>& passage) const {
  const auto features = std::size_t(shared_->input->fan_in());
  Signal<Real> x(rows_of(passage.stack), int(features));
  passage.for_tiles([&](const RowRange& tile) {
    const Matrix<float>& samples = *shared_->samples[std::size_t(tile.point)];
    for_samples(tile, [&](int row) {
      const int sample = tile.first_sample + row - tile.first_row;
      std::ranges::copy(samples.row(sample).subspan(std::size_t(time_ - 1) * features, features),
                        x.values.row(row).begin());
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
                                                         const std::optional<Signal<Real>>& x,
                                                         Passage<Real>& passage) const {
  Signal<Real> all = of_state(h, passage);
  if (const std::optional<Signal<Real>> u = of_input(x, passage)) all = sum_of(all, *u, passage);
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
  return input_gradient_of(shared_->recurrent, da, passage);
}

template <class Real>
void TimeStep<Real>::add_gradients(WeightGradient<Real>& gradient, Signal<Real> h, Signal<Real> da,
                                   std::optional<Signal<Real>> x, Passage<Real>& passage,
                                   std::optional<Signal<Real>> dx) const {
  if (x) {
    gradient.add(WeightRole::input, std::move(*x), dx ? std::move(*dx) : da.copy(), passage.stack);
  }
  gradient.add(WeightRole::first, std::move(h), std::move(da), passage.stack);
}

template <class Real>
std::unique_ptr<WeightGradient<Real>> TimeStep<Real>::weight_gradient() const {
  std::vector<typename MatrixGradients<Real>::Entry> gradients;
  gradients.emplace_back(WeightRole::first, shared_->recurrent.gradient());
  if (shared_->input) gradients.emplace_back(WeightRole::input, shared_->input->gradient());
  return std::make_unique<MatrixGradients<Real>>(std::move(gradients));
}

template void fill_step_input(std::uint64_t, int, int, std::span<float>);
template void fill_step_input(std::uint64_t, int, int, std::span<double>);
template class TimeStep<float>;
template class TimeStep<double>;

}  // namespace gradflow::nn
