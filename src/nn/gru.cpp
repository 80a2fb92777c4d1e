#include <utility>

#include "gradflow/nn/recurrent.hpp"
#include "time_step.hpp"

namespace gradflow::nn {
namespace {

template <class Real>
class Gru final : public Block<Real> {
 public:
  Gru(const Bundle& bundle, int layer)
      : time_(bundle, layer, gru_gates(bundle.front())),
        sigmoid_(bundle.size(), Activation::named("sigmoid")) {
    for (const NetworkSpec& point : bundle) activations_.push_back(point.activation);
  }

  /// h_t = (1 - u) n + u h, n = phi(W_x x + r a), a = W h + b
  State<Real> forward(State<Real> state, const Stack& stack, Tape<Real>& tape, Observer<Real>& observer,
                      Failures& failures) const override {
    Passage<Real> passage(stack, observer, time_.layer());
    Signal<Real> h = std::move(time_.own(state).front());
    std::optional<Signal<Real>> x = time_.input(state, passage);
    Inside in = inside(std::move(h), x, passage);
    const Outside out = outside(in, passage);
    Signal<Real> next = each_sample<Real>(in.h.rows(), in.h.width, passage, [&](int, int row) {
      return sum(product_of_samples(out.one_minus_u, out.n, row), product_of_samples(out.u, in.h, row));
    });
    passage.show(Role::gate_update, out.u);
    passage.show(Role::gate_reset, out.r);
    passage.show(Role::act, next);
    passage.add_failures_to(failures);
    time_.keep(std::move(x), tape);
    for (Signal<Real>* kept : {&in.h, &in.a, &in.z_n, &in.z_u, &in.z_r}) tape.push_back(std::move(*kept));
    return time_.moved(std::move(state), state_of(std::move(next)));
  }

  /// dz_n = (1 - u) phi'(z_n) dh_t, dz_u = (h - n) u' dh_t, dz_r = a r' dz_n, da = r dz_n;
  /// dh = u dh_t + W' (da, dz_u, dz_r)
  State<Real> backward(State<Real> state, Entry, const Stack& stack, Tape<Real>& tape,
                       Observer<Real>& observer, WeightGradient<Real>& gradient,
                       Failures& failures) const override {
    Passage<Real> passage(stack, observer, time_.layer());
    const Signal<Real> dy = std::move(time_.own_gradient(state).front());
    Inside in;
    for (Signal<Real>* kept : {&in.z_r, &in.z_u, &in.z_n, &in.a, &in.h}) *kept = taken_from(tape);
    std::optional<Signal<Real>> x = time_.kept(tape, passage);
    passage.show(Role::dgrad, dy);
    const Outside out = outside(in, passage);
    const Gradients d = gradients(in, out, dy, passage);
    Signal<Real> of_state = time_.stacked({&d.a, &d.z_u, &d.z_r}, passage);
    Signal<Real> of_input = time_.stacked({&d.z_n, &d.z_u, &d.z_r}, passage);
    State<Real> dh;
    if (!time_.is_first()) {
      const Signal<Real> through_gates = time_.state_gradient(of_state, passage);
      dh.push_back(sum_of(product_of_signals(out.u, dy, passage), through_gates, passage));
    }
    state = time_.returned(std::move(state), std::move(dh), of_input, passage);
    time_.add_gradients(gradient, std::move(in.h), std::move(of_state), std::move(x), passage,
                        std::move(of_input));
    passage.add_failures_to(failures);
    return state;
  }

  std::unique_ptr<WeightGradient<Real>> weight_gradient() const override { return time_.weight_gradient(); }

  std::unique_ptr<Block<Real>> at_layer(int layer) const override {
    auto other = std::make_unique<Gru>(*this);
    other->time_ = time_.at(layer);
    return other;
  }

 private:
  enum Gate { candidate, update, reset };

  struct Inside {
    Signal<Real> h;
    Signal<Real> a;  ///< the candidate's rows of W h + b
    Signal<Real> z_n, z_u, z_r;
  };
  struct Outside {
    Signal<Real> n, u, r;
    Signal<Real> one_minus_u;  ///< sigmoid(-z_u), without cancellation
  };
  struct Gradients {
    Signal<Real> a, z_n, z_u, z_r;
  };

  Inside inside(Signal<Real> h, const std::optional<Signal<Real>>& x, Passage<Real>& passage) const {
    const Signal<Real> from_state = time_.of_state(h, passage);
    const std::optional<Signal<Real>> from_input = time_.of_input(x, passage);
    const auto rows_of_gate = [&](Gate gate) {
      Signal<Real> z = time_.gate(from_state, gate, passage);
      return from_input ? sum_of(z, time_.gate(*from_input, gate, passage), passage) : std::move(z);
    };
    Inside in;
    in.h = std::move(h);
    in.a = time_.gate(from_state, candidate, passage);
    in.z_u = rows_of_gate(update);
    in.z_r = rows_of_gate(reset);
    const Signal<Real> r = activated<Real>(sigmoid_, in.z_r, passage);
    in.z_n = product_of_signals(r, in.a, passage);
    if (from_input) in.z_n = sum_of(in.z_n, time_.gate(*from_input, candidate, passage), passage);
    return in;
  }

  Outside outside(Inside& in, Passage<Real>& passage) const {
    Signal<Real> negative = in.z_u.copy();
    passage.for_tiles([&](const RowRange& tile) {
      for_samples(tile, [&](int row) { scale(negative.values.row(row), Real(-1)); });
    });
    return {activated<Real>(activations_, in.z_n, passage), activated<Real>(sigmoid_, in.z_u, passage),
            activated<Real>(sigmoid_, in.z_r, passage), activated<Real>(sigmoid_, negative, passage)};
  }

  Gradients gradients(const Inside& in, const Outside& out, const Signal<Real>& dy,
                      Passage<Real>& passage) const {
    Gradients d;
    d.z_n = product_of_signals(out.one_minus_u, dy, passage);
    multiply_by_slopes<Real>(activations_, in.z_n, d.z_n, {Role::act, {}}, passage);
    d.z_u = each_sample<Real>(dy.rows(), dy.width, passage, [&](int, int row) {
      const WideRow difference = sum(wide(in.h, row), scaled(wide(out.n, row), -1));
      return product(difference, wide(dy, row));
    });
    multiply_by_slopes<Real>(sigmoid_, in.z_u, d.z_u, {Role::gate_update, {}}, passage);
    d.z_r = product_of_signals(in.a, d.z_n, passage);
    multiply_by_slopes<Real>(sigmoid_, in.z_r, d.z_r, {Role::gate_reset, {}}, passage);
    d.a = product_of_signals(out.r, d.z_n, passage);
    return d;
  }

  TimeStep<Real> time_;
  std::vector<Activation> activations_;
  std::vector<Activation> sigmoid_;  ///< one per point
};

}  // namespace

template <class Real>
std::unique_ptr<Block<Real>> make_gru(const Bundle& bundle, int layer) {
  return std::make_unique<Gru<Real>>(bundle, layer);
}

int gru_gates(const NetworkSpec&) { return 3; }

BlockParts gru_parts(const NetworkSpec& network) {
  return {{Role::act, Role::gate_update, Role::gate_reset, Role::dgrad}, matrices_of_step(network)};
}

/// h_{t-1}, the candidate's product and the preactivations of candidate and gates.
int gru_tape(const NetworkSpec& network) { return 5 + taped_inputs(network); }

template std::unique_ptr<Block<float>> make_gru(const Bundle&, int);
template std::unique_ptr<Block<double>> make_gru(const Bundle&, int);

}  // namespace gradflow::nn
