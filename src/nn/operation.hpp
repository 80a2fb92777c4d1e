#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "gradflow/nn/affine.hpp"
#include "gradflow/nn/block.hpp"
#include "rows.hpp"
#include "wide_row.hpp"

namespace gradflow::nn {

/// One microbatch on its way through a block.
template <class Real>
struct Passage {
  Passage(const Stack& of, Observer<Real>& seen_by, int in_layer)
      : stack(of), tiles(tiles_of(of)), observer(seen_by), codes(gradflow::rows_of(of)), layer(in_layer) {}

  /// Calls body(tile) for every tile, in parallel.
  template <class Body>
  void for_tiles(Body body) const {
    parallel_for(int(tiles.size()), [&](int i) { body(tiles[std::size_t(i)]); });
  }
  void show(Role role, const Signal<Real>& signal) const {
    for_tiles([&](const RowRange& tile) { observer.see(role, signal, tile); });
  }
  void add_failures_to(Failures& failures) const { codes.add_to(failures, tiles, layer); }

  const Stack& stack;
  std::vector<RowRange> tiles;
  Observer<Real>& observer;
  RowCodes codes;
  int layer;
};

/// A signal whose samples are body(point, row), as WideRow.
template <class Real, class Body>
Signal<Real> each_sample(int rows, int width, Passage<Real>& passage, Body body) {
  Signal<Real> signal(rows, width);
  passage.for_tiles([&](const RowRange& tile) {
    for_samples(tile, [&](int row) { passage.codes.learn(row, store(body(tile.point, row), signal, row)); });
  });
  return signal;
}

/// W x + b
template <class Real>
Signal<Real> product_of(const Affine<Real>& affine, const Signal<Real>& x, Passage<Real>& passage);

/// W' dz
template <class Real>
Signal<Real> input_gradient_of(const Affine<Real>& affine, const Signal<Real>& dz, Passage<Real>& passage);

/// phi(z); a sample that fails becomes zeros in both. @param phi  one per point
template <class Real>
Signal<Real> activated(std::span<const Activation> phi, Signal<Real>& z, Passage<Real>& passage);

/// Under which signals saturated units and lost elements are counted; none: nowhere.
struct Counted {
  std::optional<Role> act;
  std::optional<Role> gradient;
};

/// dh *= phi'(z)
template <class Real>
void multiply_by_slopes(std::span<const Activation> phi, const Signal<Real>& z, Signal<Real>& dh,
                        Counted counted, Passage<Real>& passage);

/// Takes the last signal from a tape.
template <class Real>
Signal<Real> taken_from(Tape<Real>& tape) {
  expect(!tape.empty(), "backward follows its forward");
  Signal<Real> last = std::move(tape.back());
  tape.pop_back();
  return last;
}

template <class Real>
State<Real> state_of(Signal<Real> signal) {
  State<Real> state;
  state.push_back(std::move(signal));
  return state;
}

/// One step inside a block, from one signal to one signal.
template <class Real>
class Operation {
 public:
  virtual ~Operation() = default;

  /// Leaves on the tape what backward() takes from its end.
  virtual Signal<Real> forward(Signal<Real> x, Passage<Real>& passage, Tape<Real>& tape) const = 0;
  virtual Signal<Real> backward(Signal<Real> dy, Passage<Real>& passage, Tape<Real>& tape,
                                WeightGradient<Real>& gradient) const = 0;
  /// In place of backward() behind the point where the cotangent enters.
  virtual void pass_over(Passage<Real>& passage, Tape<Real>& tape) const = 0;
};

/// z = W x + b.
template <class Real>
class Product final : public Operation<Real> {
 public:
  /// How the product and its gradient are shown; none: nobody sees them.
  struct Shown {
    std::optional<Role> product;
    std::optional<Role> gradient;
  };
  Product(Affine<Real> affine, WeightRole role, Shown shown, bool wants_input_gradient)
      : affine_(std::move(affine)), role_(role), shown_(shown), wants_input_gradient_(wants_input_gradient) {}

  WeightRole role() const { return role_; }
  const Affine<Real>& affine() const { return affine_; }

  Signal<Real> forward(Signal<Real> x, Passage<Real>& passage, Tape<Real>& tape) const override;
  /// An empty signal if nobody wants the gradient of the input.
  Signal<Real> backward(Signal<Real> dz, Passage<Real>& passage, Tape<Real>& tape,
                        WeightGradient<Real>& gradient) const override;
  void pass_over(Passage<Real>& passage, Tape<Real>& tape) const override;

 private:
  Affine<Real> affine_;
  WeightRole role_;
  Shown shown_;
  bool wants_input_gradient_;
};

/// h = phi(z).
template <class Real>
class Activate final : public Operation<Real> {
 public:
  /// @param shows  whether the observer sees h, as counted.act
  Activate(const Bundle& bundle, Counted counted, bool shows);

  Signal<Real> forward(Signal<Real> z, Passage<Real>& passage, Tape<Real>& tape) const override;
  Signal<Real> backward(Signal<Real> dh, Passage<Real>& passage, Tape<Real>& tape,
                        WeightGradient<Real>& gradient) const override;
  void pass_over(Passage<Real>& passage, Tape<Real>& tape) const override;

 private:
  std::vector<Activation> activations_;
  Counted counted_;
  bool shows_;
};

/// n(z), see Normalization.
template <class Real>
class Normalise final : public Operation<Real> {
 public:
  /// @param which  of the block's normalisations, from 0
  Normalise(const Bundle& bundle, int which);

  Signal<Real> forward(Signal<Real> z, Passage<Real>& passage, Tape<Real>& tape) const override;
  Signal<Real> backward(Signal<Real> dn, Passage<Real>& passage, Tape<Real>& tape,
                        WeightGradient<Real>& gradient) const override;
  void pass_over(Passage<Real>& passage, Tape<Real>& tape) const override;

 private:
  std::vector<Normalization> normalizations_;
  int which_;
};

/// Operations one behind the other.
template <class Real>
using Chain = std::vector<std::unique_ptr<Operation<Real>>>;

template <class Real>
Signal<Real> forward_through(const Chain<Real>& chain, Signal<Real> x, Passage<Real>& passage,
                             Tape<Real>& tape) {
  for (const auto& operation : chain) x = operation->forward(std::move(x), passage, tape);
  return x;
}

template <class Real>
Signal<Real> backward_through(const Chain<Real>& chain, Signal<Real> dy, Passage<Real>& passage,
                              Tape<Real>& tape, WeightGradient<Real>& gradient) {
  for (std::size_t i = chain.size(); i-- > 0;) {
    dy = chain[i]->backward(std::move(dy), passage, tape, gradient);
  }
  return dy;
}

}  // namespace gradflow::nn
