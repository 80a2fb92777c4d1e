#include "gradflow/experiment/schema.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/nn/activation.hpp"
#include "gradflow/nn/block.hpp"
#include "gradflow/nn/data.hpp"
#include "gradflow/nn/initialiser.hpp"
#include "gradflow/nn/loss.hpp"
#include "gradflow/nn/normalization.hpp"
#include "gradflow/stats/catalogue.hpp"
#include "gradflow/stats/layer_selection.hpp"

namespace gradflow::experiment {
namespace {

using sweep::Assignment;
using sweep::Choice;
using sweep::Complaint;
using sweep::Key;
using sweep::NamedValue;
using sweep::Type;
using sweep::Value;

constexpr double most_layers = 100'000'000;
constexpr double most_units = 1'000'000;
constexpr double most_samples = 10'000'000;
constexpr double most_levels = 1000;

template <class Row>
Complaint one_of(std::string kind, std::span<const Row> table) {
  std::vector<std::string> names;
  for (const Row& row : table) names.emplace_back(row.name);
  return sweep::one_of(std::move(kind), std::move(names));
}

sweep::Parameter parameter_of(const nn::DataParameter& parameter) {
  if (const auto* number = std::get_if<double>(&parameter.fallback)) return *number;
  return std::string(std::get<std::string_view>(parameter.fallback));
}

std::vector<Choice> data_choices() {
  std::vector<Choice> choices;
  for (const nn::DataRow& row : nn::data_sources()) {
    choices.push_back({std::string(row.name), {}});
    for (const nn::DataParameter& parameter : row.parameters) {
      choices.back().parameters.emplace(parameter.name, parameter_of(parameter));
    }
  }
  return choices;
}

std::vector<Choice> scheme_choices() {
  std::vector<Choice> choices;
  for (const nn::SchemeRow& row : nn::schemes()) {
    choices.push_back({std::string(row.name), {}});
    if (!row.parameter.empty()) choices.back().parameters.emplace(row.parameter, row.default_parameter);
    if (row.distribution == nn::Distribution::stored) {
      choices.back().parameters.emplace("path", std::string());
    }
  }
  return choices;
}

NamedValue named(std::string name) { return NamedValue{std::move(name), {}}; }

std::vector<Choice> activations() {
  std::vector<Choice> choices;
  for (const nn::ActivationRow& row : nn::activations()) {
    choices.push_back({std::string(row.name), {}});
    if (!row.parameter.empty()) choices.back().parameters.emplace(row.parameter, row.default_parameter);
  }
  return choices;
}

std::vector<Choice> normalizations() {
  std::vector<Choice> choices;
  for (const nn::NormalizationRow& row : nn::normalizations()) {
    choices.push_back({std::string(row.name), {}});
    if (row.kind == nn::NormalizationKind::none) continue;
    const nn::Normalization fallback;
    choices.back().parameters = {{"epsilon", fallback.epsilon},
                                 {"position", "before"},
                                 {"scale", fallback.scale},
                                 {"shift", fallback.shift}};
  }
  return choices;
}

/// Equal widths are a depth and a width.
std::vector<Assignment> spell_widths(const Value& value) {
  const auto& widths = std::get<std::vector<std::int64_t>>(value);
  const auto is_other = [&](std::int64_t width) { return width != widths.front(); };
  if (widths.size() < 2 || std::ranges::any_of(widths, is_other)) return {{"network.widths", value}};
  return {{"network.depth", std::int64_t(widths.size()) - 1}, {"network.width", widths.front()}};
}

/// A text that stands for a number known later, beside integers.
Complaint number_or(std::string text, std::int64_t least) {
  return [=](const Value& value) -> std::string {
    if (const auto* number = std::get_if<std::int64_t>(&value))
      return sweep::at_least(double(least))(*number);
    if (std::get<std::string>(value) == text) return "";
    return fmt::format("read {}; expected \"{}\" or an integer from {}", sweep::display(value), text, least);
  };
}

/// Said or not, the default is one configuration.
sweep::Spelling without_default(std::string key, Value fallback) {
  return [key = std::move(key), fallback = std::move(fallback)](const Value& value) {
    return value == fallback ? std::vector<Assignment>{} : std::vector<Assignment>{{key, value}};
  };
}

std::string complain_of_layers(const Value& value) {
  try {
    stats::LayerSelection::parse(std::get<std::string>(value));
    return "";
  } catch (const UserError& error) {
    return error.what();
  }
}

std::vector<Key> network_keys() {
  return {
      {"network.block", Type::name, named("dense"), "what one layer is: gradflow list blocks",
       one_of("block", nn::blocks())},
      {"network.depth",
       Type::integer,
       {},
       "weight matrices; blocks; steps in time",
       sweep::between(1, most_layers)},
      {"network.width",
       Type::integer,
       {},
       "units of every layer; of the input too, unless a data set has its own width",
       sweep::between(1, most_units)},
      {"network.widths",
       Type::integers,
       {},
       "units of the input and of each layer, instead of depth and width",
       sweep::between(1, most_units),
       spell_widths},
      {"network.activation", Type::name, named("tanh"), "phi: gradflow list activations",
       sweep::choice_of("activation", activations()),
       sweep::without_defaults("network.activation", activations())},
      {"network.normalization", Type::name, named("none"),
       "of every layer: gradflow list normalizations; position: before or after phi, pre or post",
       sweep::choice_of("normalization", normalizations()),
       sweep::without_defaults("network.normalization", normalizations())},
      {"network.branch_scale",
       Type::real_or_text,
       1.0,
       "factor on a residual branch: a number or \"1/sqrt(depth)\"; 0 is ReZero",
       {}},
      {"network.skip_scale",
       Type::real_or_text,
       1.0,
       "factor on what passes a residual branch by: a number or \"deepnorm\", depth^(1/4)",
       {}},
      {"network.branch_layers", Type::integer, std::int64_t(1),
       "weight matrices of a preact_ or postact_residual branch", sweep::between(1, 2)},
      {"network.transform_bias",
       Type::real,
       -1.0,
       "of a highway block's gate: t = sigmoid(W_t x + bias)",
       {}},
  };
}

/// Of the blocks that are steps in time.
std::vector<Key> recurrence_keys() {
  return {
      {"network.input", Type::text, std::string("zero"),
       "of a recurrent network at every step: zero; gaussian, x_t ~ N(0, I) per sample and step; data, the "
       "t-th of depth equal pieces of a sample",
       sweep::one_of("input", {"zero", "gaussian", "data"})},
      {"network.input_width",
       Type::integer,
       {},
       "features of x_t from the data; width where the source has no features of its own",
       sweep::between(1, most_units)},
      {"network.stack", Type::integer, std::int64_t(1),
       "levels of a recurrent network, each fed by the one below; layer (time - 1) * stack + level",
       sweep::between(1, most_levels)},
      {"network.leak",
       Type::real,
       {},
       "of a leaky_rnn block, 0 to 1: h_t = (1 - leak) h_{t-1} + leak phi(z_t)",
       sweep::between(0, 1)},
      {"network.forget_gate", Type::boolean, true, "of an lstm block; false: the cell forgets nothing", {}},
      {"network.forget_bias",
       Type::real,
       1.0,
       "of an lstm block, added to the forget gate's preactivation",
       {}},
      {"network.t_max",
       Type::real,
       {},
       "of an lstm block, from 2: chrono initialisation, b_f = ln U(1, t_max - 1), b_i = -b_f",
       sweep::at_least(2)},
  };
}

std::vector<Key> initialisation_keys() {
  return {
      {"init.scheme", Type::name, named("gaussian"),
       "distribution of the weights: gradflow list initialisers",
       sweep::choice_of("scheme", scheme_choices()),
       sweep::without_defaults("init.scheme", scheme_choices())},
      {"init.sigma_w", Type::real, 1.0, "standard deviation of W is sigma_w / sqrt(fan_in)",
       sweep::at_least(0)},
      {"init.sigma_b", Type::real, 0.0, "standard deviation of b", sweep::at_least(0)},
      {"init.gain", Type::real, {}, "factor on W for the schemes that have one", sweep::at_least(0)},
  };
}

std::vector<Key> data_keys() {
  return {
      {"data.source", Type::name, named("gaussian"), "what the network is fed with: gradflow list data",
       sweep::choice_of("data source", data_choices()),
       sweep::without_defaults("data.source", data_choices())},
      {"data.batch", Type::integer, std::int64_t(64), "samples", sweep::between(1, most_samples)},
      {"backward.source", Type::name, named("random"), "where the backward pass begins: gradflow list losses",
       one_of("loss", nn::losses())},
      {"backward.shared", Type::boolean, false, "one cotangent for all samples", {}},
      {"seed", Type::seed, std::int64_t(0), "of every random number", {}},
  };
}

std::vector<std::string> statistic_names() {
  std::vector<std::string> names;
  for (const stats::Statistic& statistic : stats::statistics()) names.push_back(statistic.name);
  return names;
}

/// None has a default, so that a sweep without a Jacobian has no variable of it in its file.
std::vector<Key> jacobian_keys() {
  return {
      {"jacobian.directions",
       Type::integer_or_text,
       {},
       "of the Jacobian of the first sample, or \"all\": Lyapunov exponents; with all, singular values",
       number_or("all", 1)},
      {"jacobian.from",
       Type::integer,
       {},
       "the Jacobian is taken with respect to the signal of this layer; 1 unless given",
       sweep::between(1, most_layers),
       without_default("jacobian.from", std::int64_t(1))},
      {"jacobian.to",
       Type::integer_or_text,
       {},
       "the Jacobian is of the signal of this layer; \"last\" unless given",
       number_or("last", 2),
       without_default("jacobian.to", std::string("last"))},
  };
}

std::vector<Key> run_keys() {
  std::vector<Key> keys{
      {"title", Type::text, std::string(), "one line about the sweep", {}},
      {"statistics.preset", Type::text, std::string("standard"), "which statistics: lean, standard, full",
       one_of("preset", stats::presets())},
      {"statistics.also", Type::texts, std::vector<std::string>(),
       "further statistics by name, beside those of the preset: gradflow list statistics",
       sweep::each_of("statistic", statistic_names(), "gradflow list statistics")},
      {"statistics.loss_scale", Type::integer, std::int64_t(16),
       "log2 of the factor on the loss that the loss-scaled statistics assume",
       sweep::between(-10'000, 10'000)},
      {"statistics.layers", Type::text, std::string("all"), "which layers: all, every:10, log:64",
       complain_of_layers},
  };
  for (Key& key : keys) key.enters_hash = key.may_sweep = false;
  keys.push_back({"run.precision", Type::text, std::string("float32"), "of values and products",
                  sweep::one_of("precision", {"float32", "float64"})});
  return keys;
}

std::vector<Key> every_key() {
  std::vector<Key> all;
  for (const std::vector<Key>& section :
       {network_keys(), recurrence_keys(), initialisation_keys(), data_keys(), jacobian_keys(), run_keys()}) {
    all.insert(all.end(), section.begin(), section.end());
  }
  return all;
}

}  // namespace

const sweep::Schema& sweep_schema() {
  static const sweep::Schema schema(every_key());
  return schema;
}

}  // namespace gradflow::experiment
