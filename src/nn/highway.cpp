#include "gradflow/nn/highway.hpp"

#include <utility>

#include "operation.hpp"

namespace gradflow::nn {
namespace {

template <class Real>
class Highway final : public Block<Real> {
 public:
  Highway(const Bundle& bundle, int layer)
      : layer_(layer),
        width_(bundle.front().widths.fan_out(layer)),
        candidate_(bundle, layer, WeightRole::first),
        gate_(bundle, layer, WeightRole::transform),
        sigmoid_(bundle.size(), Activation::named("sigmoid")) {
    for (const NetworkSpec& point : bundle) {
      activations_.push_back(point.activation);
      transform_bias_.push_back(point.transform_bias);
    }
  }

  /// y = t h + (1 - t) x, h = phi(z), t = sigmoid(u)
  State<Real> forward(State<Real> state, const Stack& stack, Tape<Real>& tape, Observer<Real>& observer,
                      Failures& failures) const override {
    Passage<Real> passage(stack, observer, layer_);
    Inside in(std::move(state.front()));
    in.z = product_of(candidate_, in.x, passage);
    const Signal<Real> product = product_of(gate_, in.x, passage);
    in.u = each_sample<Real>(in.x.rows(), width_, passage, [&](int point, int row) {
      const WideRow bias{std::vector<double>(std::size_t(width_), transform_bias_[std::size_t(point)]), 0};
      return sum(wide(product, row), bias);
    });
    const Outside out = outside(in, passage);
    Signal<Real> y = each_sample<Real>(in.x.rows(), width_, passage, [&](int, int row) {
      return sum(product_of_rows(out.t, out.h, row), product_of_rows(out.carry, in.x, row));
    });
    passage.show(Role::branch_preact, in.z);
    passage.show(Role::branch_act, out.h);
    passage.show(Role::gate_transform, out.t);
    passage.show(Role::act, y);
    passage.add_failures_to(failures);
    for (Signal<Real>* kept : {&in.x, &in.z, &in.u}) tape.push_back(std::move(*kept));
    return state_of(std::move(y));
  }

  /// dz = t phi'(z) dy, du = (h - x) sigmoid'(u) dy, dx = (1 - t) dy + W' dz + W_t' du
  State<Real> backward(State<Real> state, Entry, const Stack& stack, Tape<Real>& tape,
                       Observer<Real>& observer, WeightGradient<Real>& gradient,
                       Failures& failures) const override {
    Passage<Real> passage(stack, observer, layer_);
    const Signal<Real> dy = std::move(state.front());
    Inside in;
    in.u = taken_from(tape);
    in.z = taken_from(tape);
    in.x = taken_from(tape);
    passage.show(Role::dgrad, dy);
    const Outside out = outside(in, passage);
    const int rows = dy.rows();
    Signal<Real> dz = each_sample<Real>(rows, width_, passage,
                                        [&](int, int row) { return product_of_rows(out.t, dy, row); });
    Signal<Real> du = each_sample<Real>(rows, width_, passage, [&](int, int row) {
      const WideRow difference = sum(wide(out.h, row), scaled(wide(in.x, row), -1));
      return product(difference, wide(dy, row));
    });
    multiply_by_slopes<Real>(activations_, in.z, dz, {Role::branch_act, Role::branch_dgrad}, passage);
    multiply_by_slopes<Real>(sigmoid_, in.u, du, {Role::gate_transform, {}}, passage);
    passage.show(Role::branch_dgrad, dz);
    State<Real> dx;
    if (layer_ > 1) dx.push_back(input_gradient(out.carry, dy, dz, du, passage));
    passage.add_failures_to(failures);
    gradient.add(WeightRole::first, in.x.copy(), std::move(dz), stack);
    gradient.add(WeightRole::transform, std::move(in.x), std::move(du), stack);
    return dx;
  }

  std::unique_ptr<WeightGradient<Real>> weight_gradient() const override {
    std::vector<typename MatrixGradients<Real>::Entry> gradients;
    gradients.emplace_back(WeightRole::first, candidate_.gradient());
    gradients.emplace_back(WeightRole::transform, gate_.gradient());
    return std::make_unique<MatrixGradients<Real>>(std::move(gradients));
  }

 private:
  struct Inside {
    Inside() = default;
    explicit Inside(Signal<Real> input) : x(std::move(input)) {}

    Signal<Real> x;
    Signal<Real> z;  ///< W x + b
    Signal<Real> u;  ///< W_t x + b_t
  };
  struct Outside {
    Signal<Real> h;
    Signal<Real> t;
    Signal<Real> carry;  ///< 1 - t = sigmoid(-u), without cancellation
  };

  static WideRow product_of_rows(const Signal<Real>& a, const Signal<Real>& b, int row) {
    return product(wide(a, row), wide(b, row));
  }

  Outside outside(Inside& in, Passage<Real>& passage) const {
    Signal<Real> negative = in.u.copy();
    passage.for_tiles([&](const RowRange& tile) {
      for_samples(tile, [&](int row) { scale(negative.values.row(row), Real(-1)); });
    });
    return {activated<Real>(activations_, in.z, passage), activated<Real>(sigmoid_, in.u, passage),
            activated<Real>(sigmoid_, negative, passage)};
  }

  Signal<Real> input_gradient(const Signal<Real>& carry, const Signal<Real>& dy, const Signal<Real>& dz,
                              const Signal<Real>& du, Passage<Real>& passage) const {
    const Signal<Real> through_z = input_gradient_of(candidate_, dz, passage);
    const Signal<Real> through_u = input_gradient_of(gate_, du, passage);
    return each_sample<Real>(dy.rows(), width_, passage, [&](int, int row) {
      return sum(product_of_rows(carry, dy, row), sum(wide(through_z, row), wide(through_u, row)));
    });
  }

  int layer_;
  int width_;
  Affine<Real> candidate_;
  Affine<Real> gate_;
  std::vector<Activation> activations_;
  std::vector<Activation> sigmoid_;  ///< one per point
  std::vector<double> transform_bias_;
};

}  // namespace

template <class Real>
std::unique_ptr<Block<Real>> make_highway(const Bundle& bundle, int layer) {
  return std::make_unique<Highway<Real>>(bundle, layer);
}

BlockParts highway_parts(const NetworkSpec&) {
  return {{Role::act, Role::branch_preact, Role::branch_act, Role::gate_transform, Role::dgrad,
           Role::branch_dgrad},
          {WeightRole::first, WeightRole::transform}};
}

int highway_tape(const NetworkSpec&) { return 3; }

template std::unique_ptr<Block<float>> make_highway(const Bundle&, int);
template std::unique_ptr<Block<double>> make_highway(const Bundle&, int);

}  // namespace gradflow::nn
