#include "gradflow/theory/profile.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "dyadic_interpolant.hpp"
#include "gradflow/core/errors.hpp"
#include "gradflow/core/scaled.hpp"
#include "gradflow/theory/moments.hpp"
#include "layer.hpp"

namespace gradflow::theory {
namespace {

/// One unit's second moments over two samples: E x^2 (the same for both) and E x1 x2.
struct Pair {
  Scaled square;
  Scaled product;

  double correlation() const { return std::clamp((product / square).value(), -1.0, 1.0); }
};

Pair through_weights(const Pair& h, double sigma_w, double sigma_b) {
  return {scaled_square(sigma_w) * h.square + scaled_square(sigma_b),
          scaled_square(sigma_w) * h.product + scaled_square(sigma_b)};
}

/// E phi(z1) phi(z2) over E phi(z)^2, or the same of phi', at one q, for a c that moves from layer to layer.
///
/// A two-dimensional integral each, until so many were needed that interpolating is cheaper: near the
/// critical line q stands still after tens of layers and c creeps for thousands. The angle arccos c is the
/// natural variable: in c itself the map of an activation with a kink has a square root at 1.
class CorrelationCurve {
 public:
  explicit CorrelationCurve(Curve cosine)
      : cosine_(std::move(cosine)), by_angle_([this](double angle) { return cosine_(std::cos(angle)); }) {}

  CorrelationCurve(const CorrelationCurve&) = delete;
  CorrelationCurve& operator=(const CorrelationCurve&) = delete;

  double operator()(double c) {
    if (c == 1 || std::isnan(c)) return c;
    const bool few = ++evaluations_ <= 20;
    return few || c < 0 ? cosine_(c) : by_angle_(std::acos(c));
  }

 private:
  Curve cosine_;
  DyadicInterpolant by_angle_;
  int evaluations_ = 0;
};

/// The activation's moments at the layer the recursion has reached.
///
/// They are evaluated again only when q or c has left the place of the last evaluation by more than rounding:
/// a slow drift adds up until it counts, a converged recursion and a pure power law cost nothing.
class ActivationLayer {
 public:
  /// @param with_slopes  whether slope_correlation() is wanted: twice the integrals
  ActivationLayer(const nn::Activation& activation, bool with_slopes)
      : moments_(activation), with_slopes_(with_slopes) {}

  void move_to(Scaled q, double c) {
    if (q.is_zero()) c = 1;  // two zeros agree, whatever 0/0 says
    const Scaled inner = moments_.inner(q);
    const bool q_moved = !(std::abs(((inner - inner_) / inner).value()) <= rounding);
    if (q_moved) evaluate_at(inner);
    if (q_moved || !(std::abs(c - c_) <= rounding)) {
      c_ = c;
      cosine_ = (*correlation_)(c);
      if (with_slopes_) slope_cosine_ = (*slope_correlation_)(c);
    }
    h_.square = inner_square_ * moments_.square_ratio(q);
    h_.product = h_.square * Scaled::of(cosine_);
    density_ = moments_.density_ratio(q);
    slope_square_ = inner_slope_square_ * density_;
  }

  const Pair& h() const noexcept { return h_; }
  Scaled slope_square() const noexcept { return slope_square_; }
  /// E phi'(z1) phi'(z2) over E phi'(z)^2. Where phi is saturated, both samples near 0 are rarer than one by
  /// another density.
  double slope_correlation() const { return c_ == 1 ? 1 : (Scaled::of(slope_cosine_) * density_).value(); }

 private:
  static constexpr double rounding = 1e-15;

  void evaluate_at(Scaled inner) {
    inner_ = inner;
    inner_square_ = moments_.square(inner);
    inner_slope_square_ = moments_.slope_square(inner);
    correlation_.emplace(
        [this, inner](double c) { return (moments_.product(inner, c) / inner_square_).value(); });
    slope_correlation_.emplace(
        [this, inner](double c) { return (moments_.slope_product(inner, c) / inner_slope_square_).value(); });
  }

  Moments moments_;
  bool with_slopes_;
  Scaled inner_;
  Scaled inner_square_;
  Scaled inner_slope_square_;
  std::optional<CorrelationCurve> correlation_;
  std::optional<CorrelationCurve> slope_correlation_;
  double c_ = std::numeric_limits<double>::quiet_NaN();
  double cosine_ = 0;
  double slope_cosine_ = 0;
  Scaled density_;
  Pair h_;
  Scaled slope_square_;
};

void check(const DenseNetwork& network) {
  const std::size_t depth = network.sigma_w.size();
  expect(depth >= 1, "at least one layer");
  expect(network.sigma_b.size() == depth, "one sigma_b for each sigma_w");
  expect(network.widths.size() == depth + 1, "depth + 1 widths, input first");
}

/// dgrad_log10_rms from E phi'(z_l)^2: dE/dz_l = phi'(z_l) * W_{l+1}^T dE/dz_{l+1}, from the last layer down.
std::vector<double> backward(const DenseNetwork& network, const std::vector<Scaled>& slope_square) {
  const std::size_t depth = slope_square.size();
  std::vector<double> log10_rms(depth);
  Scaled mean_square = Scaled::of(1);
  for (std::size_t i = depth; i-- > 0;) {  // layer i + 1
    log10_rms[i] = mean_square.log10() / 2;
    if (i == 0) break;
    const Scaled fan_out_over_fan_in = Scaled::of(network.widths[i + 1]) / Scaled::of(network.widths[i]);
    mean_square = mean_square * slope_square[i - 1] * scaled_square(network.sigma_w[i]) * fan_out_over_fan_in;
  }
  return log10_rms;
}

/// dgrad_corr from the correlation of phi'(z_l) over two samples: the weights keep a correlation.
std::vector<double> backward_correlation(bool shared, const std::vector<double>& slope_correlation) {
  std::vector<double> correlation(slope_correlation.size(), shared ? 1 : 0);
  for (std::size_t i = correlation.size(); i-- > 1;)
    correlation[i - 1] = correlation[i] * slope_correlation[i - 1];
  return correlation;
}

}  // namespace

Profile Profile::unknown(int depth) {
  const std::vector<double> nothing(std::size_t(depth), std::numeric_limits<double>::quiet_NaN());
  return {nothing, nothing, nothing, nothing};
}

Profile predict(const DenseNetwork& network) {
  check(network);
  const Scaled input_square = Scaled::of(network.input_square);
  Pair h{input_square, input_square * Scaled::of(network.input_correlation)};
  ActivationLayer layer(network.activation, network.shared_cotangent);

  Profile profile;
  std::vector<Scaled> slope_square;
  std::vector<double> slope_correlation;
  profile.preact_log10_q.reserve(network.sigma_w.size());
  profile.preact_corr.reserve(network.sigma_w.size());
  slope_square.reserve(network.sigma_w.size());
  for (std::size_t i = 0; i < network.sigma_w.size(); ++i) {
    const Pair z = through_weights(h, network.sigma_w[i], network.sigma_b[i]);
    profile.preact_log10_q.push_back(z.square.log10());
    profile.preact_corr.push_back(z.correlation());
    layer.move_to(z.square, z.correlation());
    h = layer.h();
    slope_square.push_back(layer.slope_square());
    slope_correlation.push_back(layer.slope_correlation());
  }
  profile.dgrad_log10_rms = backward(network, slope_square);
  profile.dgrad_corr = backward_correlation(network.shared_cotangent, slope_correlation);
  return profile;
}

}  // namespace gradflow::theory
