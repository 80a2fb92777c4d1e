#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/sweep/sweep.hpp"

namespace gradflow::sweep::example {

/// A schema with a key of every type.
inline Schema schema() {
  const std::vector<Choice> activations{
      {"linear", {}}, {"tanh", {}}, {"erf", {}}, {"leaky_relu", {{"mode", "exact"}, {"slope", 0.01}}}};
  return Schema({
      {.name = "title",
       .type = Type::text,
       .fallback = {},
       .doc = {},
       .complaint = {},
       .enters_hash = false,
       .may_sweep = false},
      {.name = "seed", .type = Type::seed, .fallback = std::int64_t{0}, .doc = {}, .complaint = {}},
      {.name = "network.block",
       .type = Type::name,
       .fallback = NamedValue{"dense", {}},
       .doc = {},
       .complaint = one_of("block", {"dense", "residual"})},
      {.name = "network.depth",
       .type = Type::integer,
       .fallback = std::int64_t{10},
       .doc = {},
       .complaint = between(1, 1e6)},
      {.name = "network.width", .type = Type::integer, .fallback = {}, .doc = {}, .complaint = at_least(1)},
      {.name = "network.widths", .type = Type::integers, .fallback = {}, .doc = {}, .complaint = at_least(1)},
      {.name = "network.activation",
       .type = Type::name,
       .fallback = NamedValue{"tanh", {}},
       .doc = {},
       .complaint = choice_of("activation", activations),
       .spelling = without_defaults("network.activation", activations)},
      {.name = "network.branch_scale",
       .type = Type::real_or_text,
       .fallback = 1.0,
       .doc = {},
       .complaint = {}},
      {.name = "init.sigma_w", .type = Type::real, .fallback = 1.0, .doc = {}, .complaint = at_least(0)},
      {.name = "init.sigma_b", .type = Type::real, .fallback = 0.0, .doc = {}, .complaint = at_least(0)},
      {.name = "data.source", .type = Type::text, .fallback = "gaussian", .doc = {}, .complaint = {}},
      {.name = "data.path", .type = Type::text, .fallback = {}, .doc = {}, .complaint = {}},
      {.name = "backward.source", .type = Type::text, .fallback = "random", .doc = {}, .complaint = {}},
      {.name = "jacobian.directions",
       .type = Type::integer_or_text,
       .fallback = {},
       .doc = {},
       .complaint = {}},
      {.name = "run.checks", .type = Type::boolean, .fallback = false, .doc = {}, .complaint = {}},
      {.name = "run.threads",
       .type = Type::integer,
       .fallback = {},
       .doc = {},
       .complaint = {},
       .enters_hash = false,
       .may_sweep = false},
  });
}

inline Sweep sweep_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return Sweep::parse(text, "x.toml", schema(), overrides);
}

/// The message with which the text is refused; "accepted" if it is not.
inline std::string refusal_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    sweep_of(text, overrides);
  } catch (const UserError& error) {
    return error.what();
  }
  return "accepted";
}

/// The values of a key over all points.
inline std::vector<std::string> column(const Sweep& sweep, const std::string& key) {
  std::vector<std::string> values;
  for (std::uint64_t k = 0; k < sweep.size(); ++k) values.push_back(display(sweep.point(k).at(key)));
  return values;
}

}  // namespace gradflow::sweep::example
