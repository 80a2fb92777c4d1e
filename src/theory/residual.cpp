#include "gradflow/theory/residual.hpp"

#include <cmath>
#include <functional>

#include "gradflow/core/errors.hpp"
#include "gradflow/theory/gaussian.hpp"
#include "gradflow/theory/moments.hpp"
#include "layer.hpp"

namespace gradflow::theory {
namespace {

/// What a branch adds to the stream, before branch_scale.
struct BranchMoments {
  Scaled mean;
  Scaled square;
  Scaled gradient;  ///< E |dE/dx|^2 through the branch over E |dE/d branch|^2
};

/// @param square  of what enters the branch
BranchMoments through_branch(const ResidualBlock& block, const Moments& moments, Scaled square) {
  const Scaled weights = scaled_square(block.sigma_w);
  const Scaled last = scaled_square(block.sigma_w_last);
  const Scaled biases = scaled_square(block.sigma_b);
  const Scaled q = block.branch == Branch::preact ? square : weights * square + biases;
  const Scaled gradient = weights * moments.slope_square(q);
  switch (block.branch) {
    case Branch::residual:
      return {{}, last * moments.square(q) + biases, last * gradient};
    case Branch::preact:
      return {{}, weights * moments.square(q) + biases, gradient};
    case Branch::postact:
      break;
  }
  return {moments.mean(q), moments.square(q), gradient};
}

BlockStep step(const ResidualBlock& block, const Moments& moments, const StreamMoments& in) {
  const bool pre = block.norm == NormPlacement::pre;
  const Scaled skip = Scaled::of(block.skip_scale);
  const Scaled scale = Scaled::of(block.branch_scale);
  const BranchMoments branch = through_branch(block, moments, pre ? Scaled::of(1) : in.square);

  const Scaled mean = skip * in.mean + scale * branch.mean;
  const Scaled square = skip * skip * in.square + Scaled::of(2) * skip * in.mean * scale * branch.mean +
                        scale * scale * branch.square;
  const Scaled through = scale * scale * branch.gradient;
  const Scaled gradient = skip * skip + (pre ? through / in.square : through);
  if (block.norm != NormPlacement::post) return {{mean, square}, gradient};
  return {{mean / sqrt(square), Scaled::of(1)}, gradient / square};
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// Of t = sigmoid(u), u ~ N(bias, q).
class Gate {
 public:
  Gate(double bias, Scaled q) : bias_(bias), q_(q), inner_(q < largest() ? q : largest()) {}

  Scaled open() const {
    return mean([](double t, double) { return t; });
  }
  Scaled open_square() const {
    return mean([](double t, double) { return t * t; });
  }
  Scaled carry_square() const {
    return mean([](double, double c) { return c * c; });
  }
  Scaled half_open() const {
    return narrow([](double t, double c) { return t * c; });
  }
  Scaled slope_square() const {
    return narrow([](double t, double c) { return t * c * t * c; });
  }

 private:
  static Scaled largest() { return Scaled::of(1, 100); }

  template <class OfGate>
  Scaled mean(OfGate f) const {
    const Curve curve = [&](double u) { return f(sigmoid(u), sigmoid(-u)); };
    return Scaled::of(gaussian_mean(curve, bias_, std::sqrt(inner_.value()), {}));
  }
  /// What lives around u = 0 alone is met as often as the density there says.
  template <class OfGate>
  Scaled narrow(OfGate f) const {
    return inner_ < q_ ? mean(f) * sqrt(inner_ / q_) : mean(f);
  }

  double bias_;
  Scaled q_, inner_;
};

BlockStep step(const HighwayBlock& block, const Moments& moments, const StreamMoments& in) {
  const Scaled weights = scaled_square(block.sigma_w), two = Scaled::of(2);
  const Scaled q = weights * in.square + scaled_square(block.sigma_b);
  const Gate gate(block.transform_bias, q);
  const Scaled phi = moments.mean(q), phi_square = moments.square(q);
  const Scaled carry = Scaled::of(1) - gate.open();

  const Scaled mean = gate.open() * phi + carry * in.mean;
  const Scaled square = gate.open_square() * phi_square + gate.carry_square() * in.square +
                        two * gate.half_open() * in.mean * phi;
  const Scaled difference = phi_square + in.square - two * in.mean * phi;  // of phi and x, what t decides on
  const Scaled gradient = gate.carry_square() + weights * (gate.open_square() * moments.slope_square(q) +
                                                           difference * gate.slope_square());
  return {{mean, square}, gradient};
}

ResidualProfile profile_of(const std::function<BlockStep(const StreamMoments&)>& step_of, int depth,
                           double input_square) {
  expect(depth >= 1, "at least one block");
  ResidualProfile profile;
  std::vector<Scaled> factors;
  StreamMoments stream{{}, Scaled::of(input_square)};
  for (int l = 0; l < depth; ++l) {
    const BlockStep next = step_of(stream);
    stream = next.out;
    profile.log10_q.push_back(stream.square.log10());
    factors.push_back(next.gradient_factor);
  }
  profile.dgrad_log10_rms.resize(std::size_t(depth));
  Scaled mean_square = Scaled::of(1);
  for (std::size_t l = std::size_t(depth); l-- > 0;) {
    profile.dgrad_log10_rms[l] = mean_square.log10() / 2;
    mean_square = mean_square * factors[l];
  }
  return profile;
}

}  // namespace

ResidualBlock highway_block(const nn::Activation& phi, double sigma_w, double sigma_b,
                            double transform_bias) {
  return {.branch = Branch::postact,
          .activation = phi,
          .sigma_w = sigma_w,
          .sigma_b = sigma_b,
          .branch_scale = sigmoid(transform_bias),
          .skip_scale = highway_carry(transform_bias)};
}

double highway_carry(double transform_bias) { return sigmoid(-transform_bias); }

BlockStep residual_step(const ResidualBlock& block, const StreamMoments& in) {
  return step(block, Moments(block.activation), in);
}

ResidualProfile predict_residual(const ResidualBlock& block, int depth, double input_square) {
  const Moments moments(block.activation);
  return profile_of([&](const StreamMoments& in) { return step(block, moments, in); }, depth, input_square);
}

BlockStep highway_step(const HighwayBlock& block, const StreamMoments& in) {
  return step(block, Moments(block.activation), in);
}

ResidualProfile predict_highway(const HighwayBlock& block, int depth, double input_square) {
  const Moments moments(block.activation);
  return profile_of([&](const StreamMoments& in) { return step(block, moments, in); }, depth, input_square);
}

}  // namespace gradflow::theory
