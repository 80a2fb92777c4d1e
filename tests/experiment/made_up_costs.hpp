#pragma once

#include <string>
#include <vector>

#include "gradflow/experiment/costs.hpp"
#include "gradflow/experiment/schema.hpp"
#include "gradflow/sweep/sweep.hpp"

/// A machine as simple as can be, for decisions whose answer is known.
namespace gradflow::experiment {

/// Seconds of a pass of one layer: a nanosecond per row and weight, the backward pass twice; nothing else
/// takes time but weights, `weight_seconds` each.
inline Costs made_up_costs(double weight_seconds = 1e-12) {
  constexpr double nothing = 1e-15;
  std::vector<double> forward, backward, free;
  for (const double rows : cost_rows) {
    for (const double width : cost_widths) {
      forward.push_back(1e-9 * rows * width * width);
      backward.push_back(2e-9 * rows * width * width);
      free.push_back(nothing);
    }
  }
  std::vector<double> weights;
  for (const double width : cost_widths) weights.push_back(weight_seconds * width * width);
  Costs costs;
  for (const std::string p : {"float32", "float64"}) {
    costs.set(p + " product forward", forward);
    costs.set(p + " product backward", backward);
    costs.set(p + " statistics standard forward", free);
    costs.set(p + " statistics standard backward", free);
    costs.set(p + " gram", {0});
    costs.set(p + " formed", {0});
    costs.set(p + " activation tanh", {0, 0});
    costs.set(p + " weights normal", weights);
  }
  return costs;
}

inline sweep::Sweep parsed(const std::string& text) {
  return sweep::Sweep::parse(text, "test.toml", sweep_schema());
}

}  // namespace gradflow::experiment
