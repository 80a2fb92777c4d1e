#include "gradflow/experiment/prediction.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "block_theory.hpp"
#include "gradflow/core/parallel.hpp"
#include "gradflow/nn/block.hpp"
#include "gradflow/nn/layer_weights.hpp"
#include "gradflow/theory/dead_units.hpp"
#include "gradflow/theory/jacobian.hpp"
#include "recurrent_theory.hpp"

namespace gradflow::experiment {
namespace {

constexpr double no_value = std::numeric_limits<double>::quiet_NaN();

/// A variable with one value per stored layer.
struct LayerColumn {
  const char* name;
  const char* long_name;
  const char* formula;
  double (*value)(const Prediction&, std::size_t layer);  ///< layer from 0
};

constexpr std::array layer_columns{
    LayerColumn{"theory_preact_log10_q", "mean-field mean square of the preactivations",
                "log10 q_l, q_l = sigma_w^2 E phi(sqrt(q_{l-1}) x)^2 + sigma_b^2",
                [](const Prediction& p, std::size_t l) { return p.profile.preact_log10_q[l]; }},
    LayerColumn{"theory_preact_corr", "mean-field correlation of two samples' preactivations",
                "c_l = [sigma_w^2 E phi(u1) phi(u2) + sigma_b^2] / q_l",
                [](const Prediction& p, std::size_t l) { return p.profile.preact_corr[l]; }},
    LayerColumn{"theory_dgrad_log10_rms", "mean-field size of dE/dz_l, 0 at the last layer",
                "log10 sqrt(prod_{j=l}^{L-1} chi(q_j) N_{j+1}/N_j)",
                [](const Prediction& p, std::size_t l) { return p.profile.dgrad_log10_rms[l]; }},
    LayerColumn{"theory_dgrad_corr", "mean-field correlation of two samples' dE/dz_l",
                "prod_{j=l}^{L-1} E phi'(u1) phi'(u2) / E phi'^2 for a shared cotangent, else 0",
                [](const Prediction& p, std::size_t l) { return p.profile.dgrad_corr[l]; }},
    LayerColumn{"theory_act_log10_q", "mean-field mean square of a residual stream",
                "log10 E x_l^2, by the recursion of the block",
                [](const Prediction& p, std::size_t l) {
                  return p.stream_log10_q.empty() ? no_value : p.stream_log10_q[l];
                }},
};

/// A variable with one value per point.
struct PointColumn {
  const char* name;
  const char* long_name;
  const char* formula;
  double (*value)(const Prediction&);
};

/// In log10 of the norm, where the law is of ln of its square.
theory::Increment norm_step(const Prediction& prediction) {
  constexpr double unit = 2 * std::numbers::ln10;
  return {prediction.increment.mean / unit, prediction.increment.variance / (unit * unit)};
}

constexpr const char* stability_meaning = "0 none, 1 attracting, 2 repelling, 3 marginal";

constexpr std::array point_columns{
    PointColumn{"theory_chi1", "factor of E (dE/dz)^2 per layer at the fixed point",
                "chi1 = sigma_w^2 E phi'(sqrt(q*) x)^2",
                [](const Prediction& p) { return p.asymptotics.chi1; }},
    PointColumn{"theory_chi_parallel", "factor of a deviation of the variance per layer at the fixed point",
                "chi_parallel = dq'/dq at q*",
                [](const Prediction& p) { return p.asymptotics.chi_parallel; }},
    PointColumn{"theory_fixed_point_corr", "correlation of two samples in deep layers", "c* = c'(c*)",
                [](const Prediction& p) { return p.asymptotics.c_star; }},
    PointColumn{"theory_log10_norm_step_mean", "exact mean change of the log10 of a norm per layer",
                "E ln(|x'|^2 / |x|^2) / (2 ln 10)", [](const Prediction& p) { return norm_step(p).mean; }},
    PointColumn{"theory_log10_norm_step_variance", "exact variance of that change, independent over layers",
                "Var ln(|x'|^2 / |x|^2) / (2 ln 10)^2",
                [](const Prediction& p) { return norm_step(p).variance; }},
    PointColumn{"theory_depth_scale", "layers over which E (dE/dz)^2 changes by e", "1 / |ln chi1|",
                [](const Prediction& p) { return p.asymptotics.depth_scale.gradient; }},
    PointColumn{"theory_depth_scale_corr", "layers over which a difference of correlation shrinks by e",
                "-1 / ln (dc'/dc at c*)", [](const Prediction& p) { return p.asymptotics.depth_scale.c; }},
    PointColumn{"theory_depth_scale_q", "layers over which a difference of variance shrinks by e",
                "-1 / ln (dq'/dq at q*)", [](const Prediction& p) { return p.asymptotics.depth_scale.q; }},
    PointColumn{"theory_fixed_point_q", "variance of deep preactivations",
                "q* = q'(q*); inf if q grows for ever",
                [](const Prediction& p) { return p.asymptotics.fixed_point.q; }},
    PointColumn{"theory_fixed_point_stability", "what the variance does near q*", stability_meaning,
                [](const Prediction& p) { return double(p.asymptotics.fixed_point.stability); }},
    PointColumn{"theory_critical_sigma_w", "sigma_w at which chi1 = 1, for this sigma_b",
                "chi1(sigma_w, sigma_b) = 1", [](const Prediction& p) { return p.critical.sigma_w; }},
    PointColumn{"theory_critical_stability", "what the variance does near the critical q*", stability_meaning,
                [](const Prediction& p) { return double(p.critical.stability); }},
    PointColumn{"theory_dead_network_probability", "probability that one input is lost in a hidden layer",
                "1 - prod_{l=1}^{L-1} (1 - 2^-N_l)",
                [](const Prediction& p) { return p.dead_network_probability; }},
    PointColumn{"theory_isometry_variance",
                "variance of the squared singular values of dz_L/dz_1 over the square of their mean",
                "(L - 1) (mu_2/mu_1^2 - 1 - s_1), mu_k = E phi'^(2k) at q*",
                [](const Prediction& p) { return p.isometry_variance; }},
    PointColumn{"theory_zero_state_direct", "a of a step in time at the zero state, a I + b W",
                "lstm: f; gru: u; leaky_rnn: 1 - leak; rnn: 0",
                [](const Prediction& p) { return p.zero_state.direct; }},
    PointColumn{"theory_zero_state_feedback", "b of a step in time at the zero state, a I + b W",
                "lstm: i o; gru: (1 - u) r; leaky_rnn: leak phi'(0); rnn: phi'(0)",
                [](const Prediction& p) { return p.zero_state.feedback; }},
    PointColumn{"theory_spectral_radius", "of a step in time at the zero state, in wide layers",
                "|a| + |b| sigma_w", [](const Prediction& p) { return p.spectral_radius; }},
};

theory::DenseNetwork dense_network(const nn::NetworkSpec& network) {
  const nn::Widths& widths = network.widths;
  theory::DenseNetwork dense{.activation = network.activation,
                             .sigma_w = {},
                             .sigma_b = {},
                             .widths = {widths[0]},
                             .shared_cotangent = network.backward.shared};
  dense.sigma_w.reserve(std::size_t(widths.depth()));
  dense.sigma_b.reserve(std::size_t(widths.depth()));
  dense.widths.reserve(std::size_t(widths.depth()) + 1);
  for (int layer = 1; layer <= widths.depth(); ++layer) {
    dense.sigma_w.push_back(nn::effective_sigma_w(network, layer));
    dense.sigma_b.push_back(network.init.effective_sigma_b(widths.fan_in(layer)));
    dense.widths.push_back(widths[layer]);
  }
  return dense;
}

template <class Number>
bool all_equal(const std::vector<Number>& values) {
  return std::ranges::all_of(values, [&](Number v) { return v == values.front(); });
}

/// Norms step by step at finite width, where the law is known: equal layers without biases.
theory::Increment increment_of(const nn::NetworkSpec& network, const theory::DenseNetwork& dense) {
  const nn::Activation& phi = network.activation;
  const int width = dense.widths[0];
  const bool alike = all_equal(dense.widths) && all_equal(dense.sigma_w);
  if (!alike || dense.sigma_w[0] == 0 || dense.sigma_b[0] != 0 || !phi.positively_homogeneous()) return {};
  const double variance = dense.sigma_w[0] * dense.sigma_w[0] / width;
  switch (network.init.scheme->distribution) {
    case nn::Distribution::normal:
      return theory::homogeneous_increment(width, variance, phi.slope(1), phi.slope(-1));
    case nn::Distribution::orthogonal:
      return phi.name() == "linear" ? theory::orthogonal_linear_increment(dense.sigma_w[0])
                                    : theory::Increment{};
    default:
      return {};
  }
}

/// For one input: every gate of a layer whose predecessor lives is a fair coin, whatever the width.
double dead_network_probability_of(const nn::NetworkSpec& network, const theory::DenseNetwork& dense) {
  const nn::Activation& phi = network.activation;
  const auto is_zero = [](double sigma) { return sigma == 0; };
  const bool is_relu = phi.positively_homogeneous() && phi.slope(-1) == 0 && phi.slope(1) != 0;
  if (!is_relu || !std::ranges::all_of(dense.sigma_b, is_zero)) return no_value;
  if (std::ranges::any_of(dense.sigma_w, is_zero)) return no_value;
  if (all_equal(dense.widths)) return theory::dead_network_probability(dense.widths[0], network.depth() - 1);
  return theory::dead_network_probability(
      std::span(dense.widths).subspan(1, std::size_t(network.depth()) - 1));
}

/// Of the Jacobian between the first and the last preactivation, square layers at q*.
double isometry_variance_of(const nn::NetworkSpec& network, const theory::DenseNetwork& dense, double q) {
  const bool any_q = network.activation.positively_homogeneous();
  if (!all_equal(dense.widths) || !all_equal(dense.sigma_w) || !all_equal(dense.sigma_b)) return no_value;
  if (dense.sigma_w[0] == 0 || !(any_q || std::isfinite(q))) return no_value;
  return theory::isometry_variance(network.activation, any_q ? 1 : q, network.depth() - 1,
                                   network.init.scheme->distribution == nn::Distribution::orthogonal);
}

/// Weights whose sums become normal at infinite width, each unit's independent of the others'.
bool has_mean_field(nn::Distribution distribution) {
  using enum nn::Distribution;
  return distribution != identity && distribution != sparse && distribution != looks_linear &&
         distribution != stored;
}

bool theory_covers(const nn::NetworkSpec& network) {
  if (nn::block_of(network).steps_in_time) {
    return has_mean_field(network.init.scheme->distribution) ||
           network.init.scheme->distribution == nn::Distribution::identity;
  }
  return network.data == "gaussian" && has_mean_field(network.init.scheme->distribution) &&
         network.init.scheme->solved_by != nn::SolvedBy::fixup && !network.init.finds_scales();
}

/// "256x1001": each width with how often it follows itself.
std::string text_of(const nn::Widths& widths) {
  std::string text;
  for (int signal = 0; signal <= widths.depth();) {
    const int first = signal;
    while (signal <= widths.depth() && widths[signal] == widths[first]) ++signal;
    text += fmt::format("{}x{} ", widths[first], signal - first);
  }
  return text;
}

std::string text_of(const nn::Activation& activation) {
  return fmt::format("{} {}", activation.name(), activation.parameter());
}

/// All that theory knows of a network: two with the same text have the same prediction.
std::string known_to_theory(const nn::NetworkSpec& network) {
  const nn::Initialisation& init = network.init;
  return fmt::format("{}|{}|{}|{} {} {} {}|{}|{} {}", known_to_block_theory(network), text_of(network.widths),
                     text_of(network.activation), init.scheme->name, init.sigma_w, init.sigma_b, init.gain,
                     network.data, network.backward.loss, network.backward.shared);
}

bool is_plain_dense(const nn::NetworkSpec& network) {
  return network.block == "dense" && network.normalization.kind == nn::NormalizationKind::none;
}

void add_block_theory(Prediction& prediction, const nn::NetworkSpec& network) {
  if (network.backward.loss != "random" || network.widths[0] != network.widths[network.depth()]) return;
  const bool in_time = nn::block_of(network).steps_in_time;
  BlockTheory known = in_time ? recurrent_theory(network) : block_theory(network);
  if (!known.dgrad_log10_rms.empty()) prediction.profile.dgrad_log10_rms = std::move(known.dgrad_log10_rms);
  prediction.stream_log10_q = std::move(known.act_log10_q);
  prediction.asymptotics.chi1 = known.rate;
  prediction.asymptotics.depth_scale.gradient = 1 / std::abs(std::log(known.rate));
  if (!known.zero_state) return;
  prediction.zero_state = *known.zero_state;
  const double sigma_w = network.init.effective_sigma_w(network.widths[1], network.widths[1]);
  prediction.spectral_radius = theory::spectral_radius(prediction.zero_state, sigma_w);
}

using CriticalOf = std::function<theory::CriticalPoint(const nn::Activation&, double sigma_b)>;

Prediction predict_with(const nn::NetworkSpec& network, const CriticalOf& critical_of) {
  Prediction prediction{.profile = theory::Profile::unknown(network.depth())};
  if (!theory_covers(network)) return prediction;
  if (!is_plain_dense(network)) {
    if (network.init.scheme->layer_scale != nn::LayerScale::plain) return prediction;
    add_block_theory(prediction, network);
    return prediction;
  }

  const theory::DenseNetwork dense = dense_network(network);
  prediction.profile = theory::predict(dense);
  if (network.backward.loss != "random") {
    std::ranges::fill(prediction.profile.dgrad_log10_rms, no_value);
    std::ranges::fill(prediction.profile.dgrad_corr, no_value);
  }
  if (all_equal(dense.sigma_w) && all_equal(dense.sigma_b)) {
    prediction.asymptotics =
        theory::asymptotics(dense.activation, dense.sigma_w[0], dense.sigma_b[0], dense.input_square);
  }
  prediction.increment = increment_of(network, dense);
  prediction.dead_network_probability = dead_network_probability_of(network, dense);
  prediction.isometry_variance = isometry_variance_of(network, dense, prediction.asymptotics.fixed_point.q);
  if (all_equal(dense.sigma_b)) prediction.critical = critical_of(dense.activation, dense.sigma_b[0]);
  return prediction;
}

std::size_t bytes_of(const Prediction& prediction) {
  const std::size_t numbers = 4 * prediction.profile.preact_log10_q.size() + prediction.stream_log10_q.size();
  return sizeof(double) * numbers + sizeof prediction;
}

}  // namespace

Prediction predict(const nn::NetworkSpec& network) { return predict_with(network, theory::critical_sigma_w); }

/// The configurations of a bundle differ in sigma_w more often than in what this depends on.
theory::CriticalPoint Predictions::critical(const nn::Activation& activation, double sigma_b) {
  const std::string key = fmt::format("{} {}", text_of(activation), sigma_b);
  const auto known = [&]() -> std::optional<theory::CriticalPoint> {
    const std::scoped_lock lock(critical_is_looked_up_);
    const auto entry = critical_.find(key);
    if (entry == critical_.end()) return {};
    return entry->second;
  };
  if (const auto point = known()) return *point;
  const theory::CriticalPoint found = theory::critical_sigma_w(activation, sigma_b);
  const std::scoped_lock lock(critical_is_looked_up_);
  return critical_.emplace(key, found).first->second;
}

void Predictions::learn(std::span<const nn::NetworkSpec> networks) {
  std::map<std::string, const nn::NetworkSpec*> unknown;
  for (const nn::NetworkSpec& network : networks) {
    std::string key = known_to_theory(network);
    if (!known_.contains(key)) unknown.emplace(std::move(key), &network);
  }
  const std::vector<std::pair<std::string, const nn::NetworkSpec*>> wanted(unknown.begin(), unknown.end());
  std::vector<Prediction> made(wanted.size());
  parallel_for(int(wanted.size()), [&](int i) {
    made[std::size_t(i)] = predict_with(
        *wanted[std::size_t(i)].second,
        [this](const nn::Activation& activation, double sigma_b) { return critical(activation, sigma_b); });
  });

  std::size_t bytes = 0;
  for (const Prediction& prediction : made) bytes += bytes_of(prediction);
  if (bytes_ + bytes > most_bytes) {
    known_.clear();
    bytes_ = 0;
  }
  bytes_ += bytes;
  for (std::size_t i = 0; i < made.size(); ++i) known_.emplace(wanted[i].first, std::move(made[i]));
}

const Prediction& Predictions::of(const nn::NetworkSpec& network) {
  const std::string key = known_to_theory(network);
  if (!known_.contains(key)) learn({&network, 1});
  return known_.at(key);
}

stats::Columns prediction_columns() {
  stats::Columns columns;
  for (const LayerColumn& column : layer_columns) {
    columns.push_back({.name = column.name,
                       .long_name = column.long_name,
                       .units = "1",
                       .formula = column.formula,
                       .extra_dimension = ""});
  }
  for (const PointColumn& column : point_columns) {
    columns.push_back({.name = column.name,
                       .long_name = column.long_name,
                       .units = "1",
                       .formula = column.formula,
                       .per_layer = false,
                       .extra_dimension = ""});
  }
  return columns;
}

void fill(stats::PointTable& table, int first_column, const std::vector<int>& layers,
          const Prediction& prediction) {
  for (const LayerColumn& column : layer_columns) {
    for (int row = table.first_row(); row < table.first_row() + table.rows(); ++row) {
      table.at(first_column, row)[0] = column.value(prediction, std::size_t(layers[std::size_t(row)] - 1));
    }
    ++first_column;
  }
  for (const PointColumn& column : point_columns) table.values(first_column++)[0] = column.value(prediction);
}

}  // namespace gradflow::experiment
