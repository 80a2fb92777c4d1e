#include <utility>

#include "gradflow/nn/recurrent.hpp"
#include "time_step.hpp"

namespace gradflow::nn {
namespace {

bool is_leaky(const NetworkSpec& network) { return network.block == "leaky_rnn"; }

template <class Real>
class Rnn final : public Block<Real> {
 public:
  Rnn(const Bundle& bundle, int layer) : time_(bundle, layer, 1), leaky_(is_leaky(bundle.front())) {
    for (const NetworkSpec& point : bundle) {
      activations_.push_back(point.activation);
      leaks_.push_back(point.recurrence.leak);
    }
  }

  /// h_t = phi(z), or (1 - leak) h + leak phi(z)
  State<Real> forward(State<Real> state, const Stack& stack, Tape<Real>& tape, Observer<Real>& observer,
                      Failures& failures) const override {
    Passage<Real> passage(stack, observer, time_.layer());
    Signal<Real> h = std::move(time_.own(state).front());
    std::optional<Signal<Real>> x = time_.input(state, passage);
    Signal<Real> z = std::move(time_.preactivations(h, x, passage).front());
    Signal<Real> y = activated<Real>(activations_, z, passage);
    passage.show(leaky_ ? Role::branch_preact : Role::preact, z);
    if (leaky_) {
      passage.show(Role::branch_act, y);
      y = leaked(h, y, passage);
    }
    passage.show(Role::act, y);
    passage.add_failures_to(failures);
    time_.keep(std::move(x), tape);
    tape.push_back(std::move(h));
    tape.push_back(std::move(z));
    return time_.moved(std::move(state), state_of(std::move(y)));
  }

  /// dz = phi'(z) dh_t and dh = W' dz, or dz = leak phi'(z) dh_t and dh = (1 - leak) dh_t + W' dz
  State<Real> backward(State<Real> state, Entry, const Stack& stack, Tape<Real>& tape,
                       Observer<Real>& observer, WeightGradient<Real>& gradient,
                       Failures& failures) const override {
    Passage<Real> passage(stack, observer, time_.layer());
    const Signal<Real> dy = std::move(time_.own_gradient(state).front());
    const Signal<Real> z = taken_from(tape);
    Signal<Real> h = taken_from(tape);
    std::optional<Signal<Real>> x = time_.kept(tape, passage);
    if (leaky_) passage.show(Role::dgrad, dy);
    Signal<Real> dz = leaky_ ? scaled_by(dy, &leak, passage) : dy.copy();
    const Counted counted =
        leaky_ ? Counted{Role::branch_act, Role::branch_dgrad} : Counted{Role::act, Role::dgrad};
    multiply_by_slopes<Real>(activations_, z, dz, counted, passage);
    passage.show(leaky_ ? Role::branch_dgrad : Role::dgrad, dz);
    State<Real> dh;
    if (!time_.is_first()) {
      dh.push_back(time_.state_gradient(dz, passage));
      if (leaky_) dh.front() = sum_of(scaled_by(dy, &keep, passage), dh.front(), passage);
    }
    state = time_.returned(std::move(state), std::move(dh), dz, passage);
    time_.add_gradients(gradient, std::move(h), std::move(dz), std::move(x), passage);
    passage.add_failures_to(failures);
    return state;
  }

  std::unique_ptr<WeightGradient<Real>> weight_gradient() const override { return time_.weight_gradient(); }

  std::unique_ptr<Block<Real>> at_layer(int layer) const override {
    auto other = std::make_unique<Rnn>(*this);
    other->time_ = time_.at(layer);
    return other;
  }

 private:
  static double leak(double of_point) { return of_point; }
  static double keep(double of_point) { return 1 - of_point; }

  Signal<Real> scaled_by(const Signal<Real>& signal, double (*factor)(double), Passage<Real>& passage) const {
    return each_sample<Real>(signal.rows(), signal.width, passage, [&](int point, int row) {
      return scaled(wide(signal, row), factor(leaks_[std::size_t(point)]));
    });
  }

  Signal<Real> leaked(const Signal<Real>& h, const Signal<Real>& y, Passage<Real>& passage) const {
    return each_sample<Real>(h.rows(), h.width, passage, [&](int point, int row) {
      const double a = leaks_[std::size_t(point)];
      return sum(scaled(wide(h, row), 1 - a), scaled(wide(y, row), a));
    });
  }

  TimeStep<Real> time_;
  bool leaky_;
  std::vector<Activation> activations_;
  std::vector<double> leaks_;
};

}  // namespace

template <class Real>
std::unique_ptr<Block<Real>> make_rnn(const Bundle& bundle, int layer) {
  return std::make_unique<Rnn<Real>>(bundle, layer);
}

BlockParts rnn_parts(const NetworkSpec& network) {
  if (!is_leaky(network)) return {dense_parts().signals, matrices_of_step(network)};
  return {{Role::act, Role::branch_preact, Role::branch_act, Role::dgrad, Role::branch_dgrad},
          matrices_of_step(network)};
}

/// h_{t-1} and z_t.
int rnn_tape(const NetworkSpec& network) { return 2 + taped_inputs(network); }

template std::unique_ptr<Block<float>> make_rnn(const Bundle&, int);
template std::unique_ptr<Block<double>> make_rnn(const Bundle&, int);

}  // namespace gradflow::nn
