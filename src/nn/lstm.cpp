#include <cmath>
#include <utility>

#include "gradflow/core/random.hpp"
#include "gradflow/nn/recurrent.hpp"
#include "time_step.hpp"

namespace gradflow::nn {
namespace {

/// What is added to the rows of a gate of one point, [width].
struct GateBiases {
  std::vector<double> input;
  std::vector<double> forget;
};

/// b_f = ln U(1, t_max - 1), b_i = -b_f
GateBiases chrono_biases(const NetworkSpec& network, int level, int width) {
  std::vector<double> unit(static_cast<std::size_t>(width));
  fill_uniform<double>({network.seed, Purpose::chrono_bias, std::uint32_t(level)}, 0,
                       std::span<double>(unit));
  GateBiases biases;
  for (const double u : unit) {
    const double share = (u / std::sqrt(3.0) + 1) / 2;
    biases.forget.push_back(std::log1p((*network.recurrence.t_max - 2) * share));
    biases.input.push_back(-biases.forget.back());
  }
  return biases;
}

GateBiases gate_biases(const NetworkSpec& network, int level, int width) {
  if (network.recurrence.t_max) return chrono_biases(network, level, width);
  const auto units = static_cast<std::size_t>(width);
  return {std::vector<double>(units, 0.0), std::vector<double>(units, network.recurrence.forget_bias)};
}

template <class Real>
class Lstm final : public Block<Real> {
 public:
  Lstm(const Bundle& bundle, int layer)
      : time_(bundle, layer, lstm_gates(bundle.front())),
        forgets_(bundle.front().recurrence.forget_gate),
        sigmoid_(bundle.size(), Activation::named("sigmoid")) {
    std::vector<GateBiases> biases;
    for (const NetworkSpec& point : bundle) {
      activations_.push_back(point.activation);
      biases.push_back(gate_biases(point, point.level_of(layer), time_.width()));
    }
    biases_ = std::make_shared<const std::vector<GateBiases>>(std::move(biases));
  }

  /// c_t = f c + i g, h_t = o phi(c_t)
  State<Real> forward(State<Real> state, const Stack& stack, Tape<Real>& tape, Observer<Real>& observer,
                      Failures& failures) const override {
    Passage<Real> passage(stack, observer, time_.layer());
    State<Real> own = time_.own(state);
    std::optional<Signal<Real>> x = time_.input(state, passage);
    Inside in;
    in.h = std::move(own[0]);
    in.c = std::move(own[1]);
    in.z = time_.preactivations(in.h, x, passage);
    add_biases(in, passage);
    Outside out = outside(in, passage);
    show(out, passage);
    passage.add_failures_to(failures);
    time_.keep(std::move(x), tape);
    tape.push_back(std::move(in.h));
    tape.push_back(std::move(in.c));
    for (Signal<Real>& z : in.z) tape.push_back(std::move(z));
    own[0] = std::move(out.h);
    own[1] = std::move(out.c);
    return time_.moved(std::move(state), std::move(own));
  }

  /// With dc_t + o phi'(c_t) dh_t as dc: dz_g = i phi' dc, dz_i = g i' dc, dz_f = c f' dc,
  /// dz_o = phi(c_t) o' dh_t; dh = W' dz, dc_{t-1} = f dc
  State<Real> backward(State<Real> state, Entry, const Stack& stack, Tape<Real>& tape,
                       Observer<Real>& observer, WeightGradient<Real>& gradient,
                       Failures& failures) const override {
    Passage<Real> passage(stack, observer, time_.layer());
    const State<Real> own = time_.own_gradient(state);
    const Signal<Real>& dh = own[0];
    Inside in = inside(tape);
    std::optional<Signal<Real>> x = time_.kept(tape, passage);
    Outside out = outside(in, passage);
    passage.show(Role::dgrad, dh);
    Signal<Real> through_h = product_of_signals(out.o, dh, passage);
    multiply_by_slopes<Real>(activations_, out.c, through_h, {Role::act, {}}, passage);
    const Signal<Real> dc = sum_of(own[1], through_h, passage);
    passage.show(Role::cell_dgrad, dc);
    Signal<Real> da = gate_gradients(in, out, dh, dc, passage);
    State<Real> before;
    if (!time_.is_first()) {
      before.push_back(time_.state_gradient(da, passage));
      before.push_back(forgets_ ? product_of_signals(out.f, dc, passage) : dc.copy());
    }
    state = time_.returned(std::move(state), std::move(before), da, passage);
    time_.add_gradients(gradient, std::move(in.h), std::move(da), std::move(x), passage);
    passage.add_failures_to(failures);
    return state;
  }

  std::unique_ptr<WeightGradient<Real>> weight_gradient() const override { return time_.weight_gradient(); }

  std::unique_ptr<Block<Real>> at_layer(int layer) const override {
    auto other = std::make_unique<Lstm>(*this);
    other->time_ = time_.at(layer);
    return other;
  }

 private:
  enum Gate { candidate, input, output, forget };

  struct Inside {
    Signal<Real> h;               ///< h_{t-1}
    Signal<Real> c;               ///< c_{t-1}
    std::vector<Signal<Real>> z;  ///< by Gate
  };
  struct Outside {
    Signal<Real> g, i, o, f;
    Signal<Real> c;      ///< c_t
    Signal<Real> phi_c;  ///< phi(c_t)
    Signal<Real> h;      ///< h_t
  };

  Inside inside(Tape<Real>& tape) const {
    Inside in;
    in.z.resize(forgets_ ? 4 : 3);
    for (std::size_t k = in.z.size(); k-- > 0;) in.z[k] = taken_from(tape);
    in.c = taken_from(tape);
    in.h = taken_from(tape);
    return in;
  }

  void add_biases(Inside& in, Passage<Real>& passage) const {
    add_bias_of(&GateBiases::input, in.z[input], passage);
    if (forgets_) add_bias_of(&GateBiases::forget, in.z[forget], passage);
  }

  void add_bias_of(std::vector<double> GateBiases::*gate, Signal<Real>& z, Passage<Real>& passage) const {
    z = each_sample<Real>(z.rows(), z.width, passage, [&](int point, int row) {
      return sum(wide(z, row), WideRow{(*biases_)[std::size_t(point)].*gate, 0});
    });
  }

  Outside outside(Inside& in, Passage<Real>& passage) const {
    Outside out;
    out.g = activated<Real>(activations_, in.z[candidate], passage);
    out.i = activated<Real>(sigmoid_, in.z[input], passage);
    out.o = activated<Real>(sigmoid_, in.z[output], passage);
    if (forgets_) out.f = activated<Real>(sigmoid_, in.z[forget], passage);
    out.c = each_sample<Real>(in.c.rows(), in.c.width, passage, [&](int, int row) {
      const WideRow kept = forgets_ ? product_of_samples(out.f, in.c, row) : wide(in.c, row);
      return sum(kept, product_of_samples(out.i, out.g, row));
    });
    out.phi_c = activated<Real>(activations_, out.c, passage);
    out.h = product_of_signals(out.o, out.phi_c, passage);
    return out;
  }

  void show(const Outside& out, const Passage<Real>& passage) const {
    passage.show(Role::gate_input, out.i);
    if (forgets_) passage.show(Role::gate_forget, out.f);
    passage.show(Role::gate_output, out.o);
    passage.show(Role::cell_act, out.c);
    passage.show(Role::act, out.h);
  }

  /// a b phi'(z), [rows][width]
  Signal<Real> gate_gradient(const Signal<Real>& a, const Signal<Real>& b, const Signal<Real>& z,
                             std::span<const Activation> phi, std::optional<Role> role,
                             Passage<Real>& passage) const {
    Signal<Real> dz = product_of_signals(a, b, passage);
    multiply_by_slopes<Real>(phi, z, dz, {role, {}}, passage);
    return dz;
  }

  Signal<Real> gate_gradients(const Inside& in, const Outside& out, const Signal<Real>& dh,
                              const Signal<Real>& dc, Passage<Real>& passage) const {
    using enum Role;
    const Signal<Real> dg = gate_gradient(out.i, dc, in.z[candidate], activations_, {}, passage);
    const Signal<Real> di = gate_gradient(out.g, dc, in.z[input], sigmoid_, gate_input, passage);
    const Signal<Real> d_o = gate_gradient(out.phi_c, dh, in.z[output], sigmoid_, gate_output, passage);
    if (!forgets_) return time_.stacked({&dg, &di, &d_o}, passage);
    const Signal<Real> df = gate_gradient(in.c, dc, in.z[forget], sigmoid_, gate_forget, passage);
    return time_.stacked({&dg, &di, &d_o, &df}, passage);
  }

  TimeStep<Real> time_;
  bool forgets_;
  std::vector<Activation> activations_;
  std::vector<Activation> sigmoid_;  ///< one per point
  std::shared_ptr<const std::vector<GateBiases>>
      biases_;  ///< one per point, the same in every step of a level
};

}  // namespace

template <class Real>
std::unique_ptr<Block<Real>> make_lstm(const Bundle& bundle, int layer) {
  return std::make_unique<Lstm<Real>>(bundle, layer);
}

std::vector<double> lstm_gate_biases(const NetworkSpec& network, int level) {
  const int width = network.widths.fan_out(level);
  const GateBiases biases = gate_biases(network, level, width);
  std::vector<double> rows(std::size_t(width), 0.0);  // the candidate's
  rows.insert(rows.end(), biases.input.begin(), biases.input.end());
  rows.resize(rows.size() + std::size_t(width), 0.0);  // the output gate's
  if (network.recurrence.forget_gate) rows.insert(rows.end(), biases.forget.begin(), biases.forget.end());
  return rows;
}

int lstm_gates(const NetworkSpec& network) { return network.recurrence.forget_gate ? 4 : 3; }

BlockParts lstm_parts(const NetworkSpec& network) {
  BlockParts parts{
      {Role::act, Role::cell_act, Role::gate_input, Role::gate_output, Role::dgrad, Role::cell_dgrad},
      matrices_of_step(network)};
  if (network.recurrence.forget_gate) parts.signals.push_back(Role::gate_forget);
  return parts;
}

/// h_{t-1}, c_{t-1} and the preactivations of the gates.
int lstm_tape(const NetworkSpec& network) { return 2 + lstm_gates(network) + taped_inputs(network); }

template std::unique_ptr<Block<float>> make_lstm(const Bundle&, int);
template std::unique_ptr<Block<double>> make_lstm(const Bundle&, int);

}  // namespace gradflow::nn
