#include "gradflow/experiment/jacobian.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <string_view>

#include "gradflow/theory/jacobian.hpp"

namespace gradflow::experiment {
namespace {

constexpr double no_value = std::numeric_limits<double>::quiet_NaN();

struct JacobianColumn {
  const char* name;
  const char* long_name;
  const char* formula;
  bool by_index;
};

constexpr std::array columns_of_a_jacobian{
    JacobianColumn{
        "lyapunov_exponent",
        "Lyapunov exponents of the first sample's Jacobian, the leading ones if fewer directions "
        "than units were asked for",
        "mean over the (to - from) factors of ln |R_ii|, directions orthonormal behind every factor", true},
    JacobianColumn{
        "jacobian_log10_singular_value",
        "singular values of the first sample's Jacobian, falling; -inf: exact zero; NaN unless "
        "directions = \"all\"",
        "log10 s_i(J), J = dz_to/dz_from (dense), dx_to/dx_from (residual, highway), dh_to/dh_from "
        "(rnn, gru), dc_to/dc_from (lstm), total derivatives",
        true},
    JacobianColumn{"jacobian_log10_frobenius_norm",
                   "Frobenius norm of the first sample's Jacobian; an estimate from random directions unless "
                   "directions = \"all\"",
                   "log10 |J|_F; from k of N directions log10 sqrt(N/k sum_i |v_i J|^2)", false},
    JacobianColumn{"jacobian_isometry_variance",
                   "variance of the squared singular values over the square of their mean; NaN unless "
                   "directions = \"all\"",
                   "N sum s_i^4 / (sum s_i^2)^2 - 1", false},
    JacobianColumn{"theory_lyapunov_exponent",
                   "exact Lyapunov exponents of linear networks with Gaussian or orthogonal weights",
                   "[ln(2 sigma_w^2/N) + psi((N - i + 1)/2)] / 2; ln sigma_w", true},
    JacobianColumn{"theory_jacobian_log10_frobenius_norm", "mean-field Frobenius norm of the Jacobian",
                   "log10 sqrt(N_from prod chi(q_l) N_{l+1}/N_l)", false},
    JacobianColumn{
        "theory_jacobian_isometry_variance",
        "predicted variance of the squared singular values: exact moments at finite width for linear "
        "and ReLU layers without biases, else that of wide layers, far fewer than units",
        "N E tr X^2 / E (tr X)^2 - 1, X = J J'; sum over layers of mu_2/mu_1^2 - 1 - s_1", false},
};

stats::Column column_of(const JacobianColumn& column, int most) {
  return {.name = column.name,
          .long_name = column.long_name,
          .units = "1",
          .formula = column.formula,
          .per_layer = false,
          .extra_dimension = column.by_index ? "index" : "",
          .extent = column.by_index ? most : 1};
}

/// What theory says of a Jacobian. NaN where it says nothing.
struct JacobianTheory {
  std::vector<double> lyapunov;  ///< by index; empty: not known
  double log10_frobenius_norm = no_value;
  double isometry_variance = no_value;
};

/// A dense network whose every matrix is N x N with entries of one variance.
bool has_equal_factors(const nn::NetworkSpec& network) {
  if (network.block != "dense" || network.normalization.kind != nn::NormalizationKind::none) return false;
  for (int l = network.jacobian->from; l <= network.jacobian->to; ++l) {
    if (network.widths[l] != network.widths[network.jacobian->to]) return false;
  }
  return true;
}

double sigma_w_of(const nn::NetworkSpec& network) {
  const int width = network.widths[network.jacobian->to];
  return network.init.effective_sigma_w(width, width);
}

std::vector<double> lyapunov_of(const nn::NetworkSpec& network) {
  const int width = network.widths[network.jacobian->to];
  const double sigma_w = sigma_w_of(network);
  std::vector<double> exponents;
  for (int i = 1; i <= network.jacobian->directions; ++i) {
    if (network.init.scheme->distribution == nn::Distribution::normal) {
      exponents.push_back(theory::lyapunov_exponent(width, sigma_w * sigma_w / width, i).mean);
    } else if (network.init.scheme->distribution == nn::Distribution::orthogonal) {
      exponents.push_back(std::log(sigma_w));
    }
  }
  return exponents;
}

/// Of squared singular values whose E tr X^2 and E (tr X)^2 are known.
double variance_of(const theory::JacobianMoments& moments, int width) {
  return width * moments.trace_of_square / moments.square_of_trace - 1;
}

/// Exact at finite width for Gaussian linear and ReLU layers and orthogonal linear ones; else that of wide
/// layers, whose variances add up.
double isometry_variance_of(const nn::NetworkSpec& network, std::span<const double> preact_log10_q) {
  const auto [from, to, directions, all] = *network.jacobian;
  const std::string_view phi = network.activation.name();
  const bool orthogonal = network.init.scheme->distribution == nn::Distribution::orthogonal;
  const int width = network.widths[to];
  if (phi == "linear" && orthogonal) return 0;
  if (!orthogonal && network.init.scheme->distribution == nn::Distribution::normal) {
    if (phi == "linear") return variance_of(theory::linear_jacobian_moments(width, 1, to - from), width);
    if (phi == "relu") {
      const bool biased = network.init.effective_sigma_b(width) > 0;
      if (!biased) return variance_of(theory::relu_jacobian_moments(width, std::sqrt(2.0), to - from), width);
    }
  }
  double variance = 0, of_layer = 0, known_log10_q = no_value;
  for (int l = from; l < to; ++l) {
    const double log10_q = preact_log10_q[std::size_t(l - 1)];
    if (log10_q != known_log10_q) {  // settled layers are alike
      of_layer = theory::isometry_variance(network.activation, std::pow(10, log10_q), 1, orthogonal);
    }
    known_log10_q = log10_q;
    variance += of_layer;
  }
  return variance;
}

JacobianTheory theory_of(const nn::NetworkSpec& network, const Prediction& prediction) {
  JacobianTheory known;
  const nn::JacobianRequest& request = *network.jacobian;
  const std::vector<double>& gradient = prediction.profile.dgrad_log10_rms;
  const auto at = [&](int layer) { return gradient[std::size_t(layer - 1)]; };
  known.log10_frobenius_norm =
      at(request.from) - at(request.to) + std::log10(double(network.widths[request.from])) / 2;
  if (!has_equal_factors(network) || sigma_w_of(network) == 0) return known;
  if (network.activation.name() == "linear") known.lyapunov = lyapunov_of(network);
  const std::vector<double>& q = prediction.profile.preact_log10_q;
  if (!std::isnan(q.front())) known.isometry_variance = isometry_variance_of(network, q);
  return known;
}

}  // namespace

stats::Columns jacobian_columns(int most) {
  stats::Columns columns;
  for (const JacobianColumn& column : columns_of_a_jacobian) columns.push_back(column_of(column, most));
  return columns;
}

void fill(stats::PointTable& table, int first_column, const nn::NetworkSpec& network,
          const Prediction& prediction, const std::optional<nn::JacobianSpectrum>& measured) {
  if (!measured) return;
  std::ranges::copy(measured->lyapunov, table.values(first_column).begin());
  std::ranges::copy(measured->log10_singular_values, table.values(first_column + 1).begin());
  table.values(first_column + 2)[0] = measured->log10_frobenius_norm;
  table.values(first_column + 3)[0] = measured->isometry_variance;
  const JacobianTheory theory = theory_of(network, prediction);
  std::ranges::copy(theory.lyapunov, table.values(first_column + 4).begin());
  table.values(first_column + 5)[0] = theory.log10_frobenius_norm;
  table.values(first_column + 6)[0] = theory.isometry_variance;
}

}  // namespace gradflow::experiment
