#include "gradflow/nn/initialiser.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include <fmt/format.h>

#include "gradflow/core/catalogue.hpp"
#include "gradflow/core/random.hpp"

namespace gradflow::nn {

namespace {

double he(int fan_in, int) { return 2.0 / fan_in; }
double glorot(int fan_in, int fan_out) { return 2.0 / (double(fan_in) + fan_out); }
double lecun(int fan_in, int) { return 1.0 / fan_in; }
double pytorch_linear(int fan_in, int) { return 1.0 / (3.0 * fan_in); }

/// Of Q, which a found scale multiplies.
double unit_variance(int fan_in, int fan_out) { return 1.0 / std::max(fan_in, fan_out); }

/// Of weights that nobody here has drawn.
double unknown(int, int) { return std::numeric_limits<double>::quiet_NaN(); }

constexpr double root_of_two = 1.4142135623730951;

/// Std of W is sigma_w / sqrt(fan_in), or sigma_w as the doc says; b is N(0, sigma_b^2).
constexpr SchemeRow free_scheme(std::string_view name, Distribution distribution, std::string_view doc) {
  return {name, distribution, nullptr, 0, false, 1, doc};
}

/// Var(W) is gain^2 * variance(fan_in, fan_out); b is N(0, sigma_b^2).
constexpr SchemeRow fixed_scheme(std::string_view name, Distribution distribution,
                                 double (*variance)(int, int), double default_gain, std::string_view doc) {
  return {name, distribution, variance, default_gain, false, 1, doc};
}

constexpr std::array table{
    free_scheme("gaussian", Distribution::normal, "W ~ N(0, sigma_w^2/fan_in)"),
    free_scheme("uniform", Distribution::uniform,
                "W ~ U(-a, a), a = sigma_w sqrt(3/fan_in): variance sigma_w^2/fan_in"),
    free_scheme(
        "truncated_normal", Distribution::truncated_normal,
        "normal cut at 2 of its own standard deviations, then stretched: variance sigma_w^2/fan_in exactly "
        "(the truncated_normal of Keras' and JAX' variance scaling)"),
    SchemeRow{"truncated_normal_raw", Distribution::truncated_normal, nullptr, 0, false, truncated_normal_std,
              "N(0, sigma_w^2/fan_in) cut at 2 sigma and left so: variance 0.773741 sigma_w^2/fan_in (Keras' "
              "TruncatedNormal, and what many papers ran)"},
    free_scheme("orthogonal", Distribution::orthogonal,
                "W = sigma_w Q, Q Haar-orthogonal, rows or columns cut if the layer is not square: variance "
                "sigma_w^2/max(fan_in, fan_out)"),
    free_scheme("identity", Distribution::identity,
                "W = sigma_w I, cut if the layer is not square: no variance"),
    fixed_scheme(
        "he_normal", Distribution::normal, he, 1,
        "W ~ N(0, 2 gain^2/fan_in), not truncated (Keras' and JAX' he_normal is); gain 1 unless given"),
    fixed_scheme("he_uniform", Distribution::uniform, he, 1,
                 "W ~ U(-a, a), a = gain sqrt(6/fan_in): variance 2 gain^2/fan_in; gain 1 unless given"),
    fixed_scheme(
        "glorot_normal", Distribution::normal, glorot, 1,
        "W ~ N(0, 2 gain^2/(fan_in + fan_out)), not truncated, as PyTorch's xavier_normal_ (Keras' and JAX' "
        "glorot_normal is truncated); gain 1 unless given"),
    fixed_scheme("glorot_uniform", Distribution::uniform, glorot, 1,
                 "W ~ U(-a, a), a = gain sqrt(6/(fan_in + fan_out)): variance 2 gain^2/(fan_in + fan_out), "
                 "as PyTorch's "
                 "xavier_uniform_ and the default of Keras' Dense; gain 1 unless given"),
    fixed_scheme(
        "lecun_normal", Distribution::normal, lecun, 1,
        "W ~ N(0, gain^2/fan_in), not truncated (Keras' and JAX' lecun_normal is); gain 1 unless given"),
    fixed_scheme("lecun_uniform", Distribution::uniform, lecun, 1,
                 "W ~ U(-a, a), a = gain sqrt(3/fan_in): variance gain^2/fan_in; gain 1 unless given"),
    fixed_scheme(
        "kaiming_normal", Distribution::normal, lecun, root_of_two,
        "W ~ N(0, gain^2/fan_in), not truncated, as PyTorch's kaiming_normal_(mode = fan_in); gain sqrt(2) "
        "unless given, PyTorch's own default"),
    fixed_scheme(
        "kaiming_uniform", Distribution::uniform, lecun, root_of_two,
        "W ~ U(-a, a), a = gain sqrt(3/fan_in): variance gain^2/fan_in, as PyTorch's kaiming_uniform_(mode = "
        "fan_in); gain sqrt(2) unless given, PyTorch's own default"),
    SchemeRow{"pytorch_default", Distribution::uniform, pytorch_linear, 0, true, 1,
              "PyTorch's nn.Linear: W and b ~ U(-a, a), a = 1/sqrt(fan_in): variance 1/(3 fan_in) each"},
    SchemeRow{"critical", Distribution::normal, nullptr, 0, false, 1,
              "W ~ N(0, sigma_w^2/fan_in), sigma_w solved from chi1 = 1 for the activation and sigma_b, at a "
              "q* that does not repel (Schoenholz et al. 2017)",
              SolvedBy::criticality},
    SchemeRow{"random_walk", Distribution::normal, nullptr, 0, false, 1,
              "W ~ N(0, sigma_w^2/fan_in), sigma_w such that log norms do not drift at this width, exactly: "
              "linear, relu and leaky_relu without biases (Sussillo & Abbott 2014)",
              SolvedBy::random_walk},
    SchemeRow{"sparse", Distribution::sparse, nullptr, 0, false, 1,
              "of each unit's weights only `nonzeros` (all, if fan_in is less) are not zero, those ~ N(0, "
              "sigma_w^2/nonzeros): variance sigma_w^2/fan_in over all (Martens 2010)",
              SolvedBy::nobody, "nonzeros", usual_nonzeros},
    free_scheme("looks_linear", Distribution::looks_linear,
                "W = [V -V; -V V], V ~ N(0, sigma_w^2/fan_in): a relu network is a linear one, whose norms "
                "sigma_w = sqrt(2) keeps (Balduzzi et al. 2017, there with V orthogonal); even widths"),
    SchemeRow{"mup", Distribution::normal, nullptr, 0, false, 1,
              "mu-parametrisation: W ~ N(0, sigma_w^2/fan_in), that of the last layer ~ N(0, "
              "sigma_w^2/fan_in^2); dense blocks (Yang & Hu 2021)",
              SolvedBy::nobody, "", 0, LayerScale::smaller_output},
    SchemeRow{
        "lsuv", Distribution::orthogonal, unit_variance, 1, false, 1,
        "W = s Q, Q as in orthogonal, s found in the first forward pass: the variance of W h over units "
        "and the whole batch is gain^2, biases apart (where it is 0, s = gain); gain 1 unless given "
        "(Mishkin & Matas 2016)",
        SolvedBy::nobody, "", 0, LayerScale::unit_variance},
    SchemeRow{
        "fixup", Distribution::normal, he, 1, false, 1,
        "he_normal with both matrices of a residual branch scaled: the first by depth^(-1/2), variance 2 "
        "gain^2/(fan_in depth), the second by 0 (Zhang et al. 2019)",
        SolvedBy::fixup},
    SchemeRow{
        "deepnorm", Distribution::normal, glorot, 1, false, 1,
        "glorot_normal with every matrix of a residual branch scaled by (4 depth)^(-1/4), variance 2 "
        "gain^2/((fan_in + fan_out) sqrt(4 depth)), beside skip_scale = \"deepnorm\" and layer norm after "
        "the sum: depth branches are the 2 N sublayers of an encoder (Wang et al. 2022)",
        SolvedBy::deepnorm},
    SchemeRow{"file", Distribution::stored, unknown, 1, true, 1,
              "gain times the weights and the biases of an HDF5 file: layer_k/weight [fan_out][fan_in] and "
              "layer_k/bias (gradflow export writes it), or what Keras saved; parameter path"},
};

double finite_or_refuse(const char* name, double value) {
  if (std::isfinite(value) && value >= 0) return value;
  throw UserError(
      fmt::format("{} = {} is impossible; write a finite number that is not negative", name, value));
}

std::string free_scheme_names() {
  std::string names;
  for (const SchemeRow& row : table) {
    if (row.takes_sigma_w()) names += fmt::format("{}{}", names.empty() ? "" : " ", row.name);
  }
  return names;
}

/// Over all entries of Z.
double std_of_unit_weight(const Initialisation& init, int fan_in) {
  switch (init.scheme->distribution) {
    case Distribution::truncated_normal:
      return truncated_normal_std;
    case Distribution::sparse:
      return std::sqrt(double(std::min(init.nonzeros, fan_in)) / fan_in);
    default:
      return 1;
  }
}

bool is_isometry(Distribution distribution) {
  return distribution == Distribution::orthogonal || distribution == Distribution::identity;
}

double factor_of(const Initialisation& init, WeightRole role) {
  if (role == WeightRole::first) return init.first_factor;
  return role == WeightRole::second ? init.second_factor : 1;
}

double std_of_weight(const Initialisation& init, int fan_in, int fan_out) {
  const SchemeRow& scheme = *init.scheme;
  if (scheme.variance != nullptr) return init.gain * std::sqrt(scheme.variance(fan_in, fan_out));
  return init.sigma_w * scheme.std_factor / std::sqrt(fan_in);
}

void refuse_what_is_fixed(const SchemeRow& row, std::optional<double> sigma_w, std::optional<double> sigma_b,
                          std::optional<double> gain) {
  if (sigma_w && !row.takes_sigma_w()) {
    throw UserError(
        fmt::format("scheme \"{}\" fixes the variance of the weights, but sigma_w = {} was given; leave "
                    "sigma_w out, or choose one of: {}",
                    row.name, *sigma_w, free_scheme_names()));
  }
  if (sigma_b && row.bias_fixed) {
    throw UserError(
        fmt::format("scheme \"{}\" fixes the biases, but sigma_b = {} was given; leave sigma_b out, or "
                    "choose another scheme",
                    row.name, *sigma_b));
  }
  if (gain && row.default_gain == 0) {
    throw UserError(fmt::format("scheme \"{}\" has no gain, but gain = {} was given; leave gain out{}",
                                row.name, *gain, row.takes_sigma_w() ? ", or write sigma_w" : ""));
  }
}

}  // namespace

std::span<const SchemeRow> schemes() { return table; }

Initialisation Initialisation::make(std::string_view name, std::optional<double> sigma_w,
                                    std::optional<double> sigma_b, std::optional<double> gain) {
  const SchemeRow& row = find(schemes(), "scheme", name);
  refuse_what_is_fixed(row, sigma_w, sigma_b, gain);
  Initialisation init{.scheme = &row};
  init.sigma_w = finite_or_refuse("sigma_w", sigma_w.value_or(1));
  init.sigma_b = finite_or_refuse("sigma_b", sigma_b.value_or(0));
  init.gain = finite_or_refuse("gain", gain.value_or(row.default_gain == 0 ? 1 : row.default_gain));
  return init;
}

double Initialisation::weight_scale(int fan_in, int fan_out, WeightRole role) const {
  const double factor = factor_of(*this, role);
  if (is_isometry(scheme->distribution)) return factor * sigma_w * gain;
  return factor * std_of_weight(*this, fan_in, fan_out) / std_of_unit_weight(*this, fan_in);
}

double Initialisation::effective_sigma_w(int fan_in, int fan_out, WeightRole role) const {
  const double factor = factor_of(*this, role);
  // A cut isometry that widens spreads the same squared norm over more units.
  if (is_isometry(scheme->distribution))
    return factor * sigma_w * gain * std::sqrt(double(fan_in) / std::max(fan_in, fan_out));
  return factor * std_of_weight(*this, fan_in, fan_out) * std::sqrt(fan_in);
}

bool Initialisation::shares_unit_weights_with(const Initialisation& other) const {
  return scheme->distribution == other.scheme->distribution && nonzeros == other.nonzeros &&
         stored == other.stored && finds_scales() == other.finds_scales();
}

double Initialisation::effective_sigma_b(int fan_in) const {
  if (scheme->distribution == Distribution::stored) return std::numeric_limits<double>::quiet_NaN();
  return scheme->bias_fixed ? 1 / std::sqrt(3.0 * fan_in) : sigma_b;
}

}  // namespace gradflow::nn
