#include "gradflow/nn/residual.hpp"

#include <utility>

#include "operation.hpp"
#include "wide_row.hpp"

namespace gradflow::nn {
namespace {

/// The signals of a dense layer, and those of a branch.
struct Shown {
  Role preact;
  Role act;
  Role dgrad;
};
constexpr Shown of_layer{Role::preact, Role::act, Role::dgrad};
constexpr Shown of_branch{Role::branch_preact, Role::branch_act, Role::branch_dgrad};

/// Builds the operations of a block one behind the other.
template <class Real>
class ChainBuilder {
 public:
  ChainBuilder(const Bundle& bundle, int layer, Shown shown)
      : bundle_(bundle), layer_(layer), shown_(shown) {}

  /// The first matrix is shown, further ones are not.
  void add_product() {
    const bool is_first = products_ == 0;
    const WeightRole role = is_first ? WeightRole::first : WeightRole::second;
    using Seen = typename Product<Real>::Shown;
    const Seen seen = is_first ? Seen{shown_.preact, shown_.dgrad} : Seen{};
    // Nobody asks for the gradient of the data, unless something stands between them and the weights.
    const bool wants_input_gradient = layer_ > 1 || !chain.empty();
    chain.push_back(std::make_unique<Product<Real>>(Affine<Real>(bundle_, layer_, role), role, seen,
                                                    wants_input_gradient));
    ++products_;
  }

  /// phi with its normalisation.
  void add_activation(bool shows) {
    if (normalises(NormalizationPosition::before)) add_normalisation();
    // Shares are of the elements of the signal that is shown: further activations do not count.
    const bool is_first = activations_ == 0;
    const Counted counted = is_first ? Counted{shown_.act, shown_.dgrad} : Counted{};
    chain.push_back(std::make_unique<Activate<Real>>(bundle_, counted, shows && is_first));
    ++activations_;
    if (normalises(NormalizationPosition::after)) add_normalisation();
  }

  void add_normalisation() { chain.push_back(std::make_unique<Normalise<Real>>(bundle_, normalisations_++)); }

  bool normalises(NormalizationPosition where) const {
    const Normalization& n = bundle_.front().normalization;
    return n.kind != NormalizationKind::none && n.position == where;
  }

  Chain<Real> chain;

 private:
  const Bundle& bundle_;
  int layer_;
  Shown shown_;
  int products_ = 0;
  int activations_ = 0;
  int normalisations_ = 0;
};

/// Sums for the products and normalisations of chains.
template <class Real>
std::unique_ptr<WeightGradient<Real>> gradients_of(const std::vector<const Chain<Real>*>& chains,
                                                   const std::vector<int>& batches) {
  std::vector<typename MatrixGradients<Real>::Entry> gradients;
  int normalisations = 0;
  for (const Chain<Real>* chain : chains) {
    for (const auto& operation : *chain) {
      if (const auto* product = dynamic_cast<const Product<Real>*>(operation.get())) {
        gradients.emplace_back(product->role(), product->affine().gradient());
      }
      normalisations += dynamic_cast<const Normalise<Real>*>(operation.get()) ? 1 : 0;
    }
  }
  return std::make_unique<MatrixGradients<Real>>(std::move(gradients),
                                                 NormalizationGradient(normalisations, batches));
}

std::vector<int> batches_of(const Bundle& bundle) {
  std::vector<int> batches;
  for (const NetworkSpec& point : bundle) batches.push_back(point.batch);
  return batches;
}

template <class Real>
class NormalisedDense final : public Block<Real> {
 public:
  NormalisedDense(const Bundle& bundle, Chain<Real> chain, int layer)
      : chain_(std::move(chain)), layer_(layer), batches_(batches_of(bundle)) {}

  State<Real> forward(State<Real> x, const Stack& stack, Tape<Real>& tape, Observer<Real>& observer,
                      Failures& failures) const override {
    Passage<Real> passage(stack, observer, layer_);
    Signal<Real> h = forward_through(chain_, std::move(x.front()), passage, tape);
    passage.show(Role::act, h);
    passage.add_failures_to(failures);
    return state_of(std::move(h));
  }

  State<Real> backward(State<Real> dy, Entry entry, const Stack& stack, Tape<Real>& tape,
                       Observer<Real>& observer, WeightGradient<Real>& gradient,
                       Failures& failures) const override {
    Passage<Real> passage(stack, observer, layer_);
    Signal<Real> d = std::move(dy.front());
    for (std::size_t i = chain_.size(); i-- > 1;) {
      if (entry == Entry::preactivation) {
        chain_[i]->pass_over(passage, tape);
      } else {
        d = chain_[i]->backward(std::move(d), passage, tape, gradient);
      }
    }
    d = chain_.front()->backward(std::move(d), passage, tape, gradient);
    passage.add_failures_to(failures);
    return layer_ > 1 ? state_of(std::move(d)) : State<Real>();
  }

  std::unique_ptr<WeightGradient<Real>> weight_gradient() const override {
    return gradients_of<Real>({&chain_}, batches_);
  }

 private:
  Chain<Real> chain_;
  int layer_;
  std::vector<int> batches_;
};

template <class Real>
class Residual final : public Block<Real> {
 public:
  Residual(const Bundle& bundle, int layer, Chain<Real> branch, Chain<Real> after_sum)
      : layer_(layer),
        branch_(std::move(branch)),
        after_sum_(std::move(after_sum)),
        batches_(batches_of(bundle)) {
    for (const NetworkSpec& point : bundle) scales_.push_back(point.residual);
  }

  /// y = n(skip_scale x + branch_scale F(x))
  State<Real> forward(State<Real> state, const Stack& stack, Tape<Real>& tape, Observer<Real>& observer,
                      Failures& failures) const override {
    Passage<Real> passage(stack, observer, layer_);
    Signal<Real> x = std::move(state.front());
    Signal<Real> f = forward_through(branch_, x.copy(), passage, tape);
    passage.show(Role::branch_output, f);
    add(x, f, passage);
    x = forward_through(after_sum_, std::move(x), passage, tape);
    passage.show(Role::act, x);
    passage.add_failures_to(failures);
    return state_of(std::move(x));
  }

  /// dx = skip_scale ds + F'(x) branch_scale ds, ds the gradient of the sum
  State<Real> backward(State<Real> dy, Entry, const Stack& stack, Tape<Real>& tape, Observer<Real>& observer,
                       WeightGradient<Real>& gradient, Failures& failures) const override {
    Passage<Real> passage(stack, observer, layer_);
    passage.show(Role::dgrad, dy.front());
    Signal<Real> ds = backward_through(after_sum_, std::move(dy.front()), passage, tape, gradient);
    Signal<Real> df = ds.copy();
    scale_rows(df, &ResidualScales::branch, passage);
    Signal<Real> dx = backward_through(branch_, std::move(df), passage, tape, gradient);
    if (layer_ > 1) {
      scale_rows(ds, &ResidualScales::skip, passage);
      add_unscaled(dx, ds, passage);
    }
    passage.add_failures_to(failures);
    return layer_ > 1 ? state_of(std::move(ds)) : State<Real>();
  }

  std::unique_ptr<WeightGradient<Real>> weight_gradient() const override {
    return gradients_of<Real>({&branch_, &after_sum_}, batches_);
  }

 private:
  /// x = skip_scale x + branch_scale f
  void add(Signal<Real>& x, Signal<Real>& f, Passage<Real>& passage) const {
    scale_rows(x, &ResidualScales::skip, passage);
    scale_rows(f, &ResidualScales::branch, passage);
    add_unscaled(f, x, passage);
  }

  /// to = to + from. A factor of 1 or 0 leaves the other operand's bits as they are.
  void add_unscaled(const Signal<Real>& from, Signal<Real>& to, Passage<Real>& passage) const {
    passage.for_tiles([&](const RowRange& tile) {
      for_samples(tile, [&](int row) {
        if (max_abs<Real>(from.values.row(row)) == 0) return;
        passage.codes.learn(row, store(sum(wide(to, row), wide(from, row)), to, row));
      });
    });
  }

  void scale_rows(Signal<Real>& signal, double ResidualScales::*factor, Passage<Real>& passage) const {
    passage.for_tiles([&](const RowRange& tile) {
      const double by = scales_[std::size_t(tile.point)].*factor;
      if (by == 1) return;
      for_samples(tile, [&](int row) {
        passage.codes.learn(row, store(scaled(wide(signal, row), by), signal, row));
      });
    });
  }

  int layer_;
  Chain<Real> branch_;
  Chain<Real> after_sum_;
  std::vector<int> batches_;
  std::vector<ResidualScales> scales_;
};

template <class Real>
std::unique_ptr<Block<Real>> residual_block(const Bundle& bundle, int layer, ChainBuilder<Real> branch) {
  Chain<Real> after_sum;
  if (branch.normalises(NormalizationPosition::post)) {
    after_sum.push_back(std::make_unique<Normalise<Real>>(bundle, 0));
  }
  return std::make_unique<Residual<Real>>(bundle, layer, std::move(branch.chain), std::move(after_sum));
}

template <class Real>
ChainBuilder<Real> begun_branch(const Bundle& bundle, int layer) {
  ChainBuilder<Real> branch(bundle, layer, of_branch);
  if (branch.normalises(NormalizationPosition::pre)) branch.add_normalisation();
  return branch;
}

}  // namespace

template <class Real>
std::unique_ptr<Block<Real>> make_normalised_dense(const Bundle& bundle, int layer) {
  ChainBuilder<Real> layer_of(bundle, layer, of_layer);
  layer_of.add_product();
  layer_of.add_activation(false);
  return std::make_unique<NormalisedDense<Real>>(bundle, std::move(layer_of.chain), layer);
}

template <class Real>
std::unique_ptr<Block<Real>> make_residual(const Bundle& bundle, int layer) {
  ChainBuilder<Real> branch = begun_branch<Real>(bundle, layer);
  branch.add_product();
  branch.add_activation(true);
  branch.add_product();
  return residual_block(bundle, layer, std::move(branch));
}

template <class Real>
std::unique_ptr<Block<Real>> make_preact_residual(const Bundle& bundle, int layer) {
  ChainBuilder<Real> branch = begun_branch<Real>(bundle, layer);
  for (int i = 0; i < bundle.front().residual.branch_layers; ++i) {
    branch.add_activation(true);
    branch.add_product();
  }
  return residual_block(bundle, layer, std::move(branch));
}

template <class Real>
std::unique_ptr<Block<Real>> make_postact_residual(const Bundle& bundle, int layer) {
  ChainBuilder<Real> branch = begun_branch<Real>(bundle, layer);
  for (int i = 0; i < bundle.front().residual.branch_layers; ++i) {
    branch.add_product();
    branch.add_activation(true);
  }
  return residual_block(bundle, layer, std::move(branch));
}

BlockParts residual_parts(const NetworkSpec& network) {
  BlockParts parts{{Role::act, Role::branch_preact, Role::branch_act, Role::branch_output, Role::dgrad,
                    Role::branch_dgrad},
                   {WeightRole::first}};
  if (network.block == "residual" || network.residual.branch_layers == 2) {
    parts.matrices.push_back(WeightRole::second);
  }
  return parts;
}

int residual_tape(const NetworkSpec& network) {
  const bool is_two_product = network.block == "residual";
  const int layers = is_two_product ? 1 : network.residual.branch_layers;
  const int products = is_two_product ? 2 : layers;
  const Normalization& n = network.normalization;
  const bool beside_phi =
      n.position == NormalizationPosition::before || n.position == NormalizationPosition::after;
  const int normalisations = n.kind == NormalizationKind::none ? 0 : beside_phi ? layers : 1;
  return products + layers + normalisations;
}

template std::unique_ptr<Block<float>> make_normalised_dense(const Bundle&, int);
template std::unique_ptr<Block<double>> make_normalised_dense(const Bundle&, int);
template std::unique_ptr<Block<float>> make_residual(const Bundle&, int);
template std::unique_ptr<Block<double>> make_residual(const Bundle&, int);
template std::unique_ptr<Block<float>> make_preact_residual(const Bundle&, int);
template std::unique_ptr<Block<double>> make_preact_residual(const Bundle&, int);
template std::unique_ptr<Block<float>> make_postact_residual(const Bundle&, int);
template std::unique_ptr<Block<double>> make_postact_residual(const Bundle&, int);

}  // namespace gradflow::nn
