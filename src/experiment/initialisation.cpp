#include "initialisation.hpp"

#include <cmath>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>

#include <fmt/format.h>

#include "given.hpp"
#include "gradflow/experiment/input_files.hpp"
#include "gradflow/nn/block.hpp"
#include "gradflow/nn/layer_weights.hpp"
#include "gradflow/theory/finite_width.hpp"
#include "gradflow/theory/phase.hpp"

namespace gradflow::experiment {
namespace {

double to_12_digits(double x) { return std::stod(fmt::format("{:.11e}", x)); }

/// Remembers: a sweep asks for the same few again with every point.
theory::CriticalPoint critical_point(const nn::Activation& phi, double sigma_b) {
  static std::mutex mutex;
  static std::map<std::tuple<std::string, double, double>, theory::CriticalPoint> known;
  const std::scoped_lock lock(mutex);
  const auto [entry, is_new] =
      known.try_emplace(std::tuple(std::string(phi.name()), double(phi.parameter()), sigma_b));
  if (is_new) entry->second = theory::critical_sigma_w(phi, sigma_b);
  return entry->second;
}

/// Refuses a repelling one: no network stays there, so its gradients vanish or explode after all.
double solved_for_criticality(const sweep::SweepPoint& point, const nn::NetworkSpec& network,
                              double sigma_b) {
  const theory::CriticalPoint critical = critical_point(network.activation, sigma_b);
  const bool exists = std::isfinite(critical.sigma_w);
  if (exists && critical.stability != theory::Stability::repelling) return to_12_digits(critical.sigma_w);
  const std::string which =
      exists
          ? fmt::format("but that of {} at sigma_b = {}, sigma_w = {}, is repelling: the signal leaves it",
                        network.activation.name(), sigma_b, to_12_digits(critical.sigma_w))
          : fmt::format("but {} has no critical sigma_w at sigma_b = {}", network.activation.name(), sigma_b);
  throw point.error("init.scheme", fmt::format("is \"critical\", {}; write a scheme with sigma_w, or another "
                                               "activation or sigma_b",
                                               which));
}

/// E s at sigma_w = 1 tells the gain: s shifts by ln sigma_w^2.
double solved_for_random_walk(const sweep::SweepPoint& point, const nn::NetworkSpec& network,
                              double sigma_b) {
  const nn::Activation& phi = network.activation;
  if (!phi.positively_homogeneous()) {
    throw point.error("init.scheme",
                      fmt::format("is \"random_walk\", but its law is known only for linear, relu and "
                                  "leaky_relu, not for {}; write \"critical\" or another scheme",
                                  phi.name()));
  }
  if (sigma_b != 0) {
    throw point.error("init.sigma_b",
                      fmt::format("is {}, but the law of scheme \"random_walk\" is of networks "
                                  "without biases; leave sigma_b out",
                                  sigma_b));
  }
  const int width = network.widths[0];
  if (network.widths != nn::Widths::uniform(network.depth(), width)) {
    throw point.error("network.widths",
                      "differ, but the gain of scheme \"random_walk\" is of one width; "
                      "write depth and width");
  }
  const theory::Increment at_unit_gain =
      theory::homogeneous_increment(width, 1.0 / width, phi.slope(1), phi.slope(-1));
  return to_12_digits(std::exp(-at_unit_gain.mean / 2));
}

void solve_fixup(const sweep::SweepPoint& point, const nn::NetworkSpec& network, nn::Initialisation& init) {
  const bool two_matrices = network.block == "residual" ||
                            (network.block.ends_with("residual") && network.residual.branch_layers == 2);
  if (!two_matrices) {
    throw point.error("init.scheme",
                      fmt::format("is \"fixup\", which scales the two matrices of a residual branch, but the "
                                  "block is {}; write block = \"residual\", or branch_layers = 2",
                                  network.block));
  }
  init.first_factor = 1 / std::sqrt(double(network.depth()));
  init.second_factor = 0;
}

/// beta = (8 N)^(-1/4) of an encoder of N layers (Wang et al. 2022, table 2), whose 2 N sublayers are the
/// branches.
void solve_deepnorm(const sweep::SweepPoint& point, const nn::NetworkSpec& network,
                    nn::Initialisation& init) {
  if (!network.block.ends_with("residual")) {
    throw point.error("init.scheme",
                      fmt::format("is \"deepnorm\", which scales residual branches, but a {} block has none; "
                                  "write block = \"residual\", or \"glorot_normal\"",
                                  network.block));
  }
  init.first_factor = init.second_factor = std::pow(4.0 * network.depth(), -0.25);
}

void solve(const sweep::SweepPoint& point, const nn::NetworkSpec& network, nn::Initialisation& init) {
  switch (init.scheme->solved_by) {
    case nn::SolvedBy::nobody:
      return;
    case nn::SolvedBy::criticality:
      init.sigma_w = solved_for_criticality(point, network, init.sigma_b);
      return;
    case nn::SolvedBy::random_walk:
      init.sigma_w = solved_for_random_walk(point, network, init.sigma_b);
      return;
    case nn::SolvedBy::fixup:
      return solve_fixup(point, network, init);
    case nn::SolvedBy::deepnorm:
      return solve_deepnorm(point, network, init);
  }
}

int nonzeros_of(const sweep::SweepPoint& point) {
  const double nonzeros = point.name("init.scheme").real("nonzeros", nn::usual_nonzeros);
  if (1 <= nonzeros && nonzeros <= 1e6 && nonzeros == std::floor(nonzeros)) return int(nonzeros);
  throw point.error("init.scheme",
                    fmt::format("has nonzeros = {}; expected an integer from 1 to 1000000", nonzeros));
}

/// Refuses a scheme that scales layers one by one where the block has no such layers.
void require_layers_to_scale(const sweep::SweepPoint& point, const nn::NetworkSpec& network,
                             const nn::Initialisation& init) {
  if (init.finds_scales() && nn::block_of(network).steps_in_time) {
    throw point.error(
        "init.scheme",
        fmt::format("is \"lsuv\", which scales layer by layer, but the steps of a {} block share "
                    "their weights; write \"orthogonal\"",
                    network.block));
  }
  if (init.scheme->layer_scale == nn::LayerScale::smaller_output && network.block != "dense") {
    throw point.error(
        "init.scheme",
        fmt::format("is \"mup\", which scales the last layer by 1/fan_in, but the last {} block is "
                    "no output layer; write \"gaussian\", the rule of the layers before it",
                    network.block));
  }
}

void require_even_widths(const sweep::SweepPoint& point, const nn::Widths& widths) {
  for (int signal = 0; signal <= widths.depth(); ++signal) {
    if (widths[signal] % 2 == 0) continue;
    throw point.error("init.scheme", fmt::format("is \"looks_linear\", which halves every width, but one is "
                                                 "{}; write even widths",
                                                 widths[signal]));
  }
}

}  // namespace

nn::Initialisation initialisation_of(const sweep::SweepPoint& point, const nn::NetworkSpec& network) {
  const auto number = [&](std::string_view key) {
    return given(point, key) ? std::optional<double>(point.real(key)) : std::nullopt;
  };
  nn::Initialisation init;
  try {
    init = nn::Initialisation::make(point.name("init.scheme").name, number("init.sigma_w"),
                                    number("init.sigma_b"), number("init.gain"));
  } catch (const UserError& error) {
    throw point.error("init.scheme", error.what());
  }
  require_layers_to_scale(point, network, init);
  if (init.finds_scales()) init.found = std::make_shared<nn::FoundScales>();
  init.nonzeros = nonzeros_of(point);
  init.stored = stored_weights_of(point);
  if (init.scheme->distribution == nn::Distribution::looks_linear) {
    require_even_widths(point, network.widths);
  }
  solve(point, network, init);
  return init;
}

bool depends_on_numbers(const nn::SchemeRow& scheme) {
  return scheme.solved_by != nn::SolvedBy::nobody || scheme.distribution == nn::Distribution::looks_linear;
}

}  // namespace gradflow::experiment
