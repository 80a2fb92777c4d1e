#include "recurrence.hpp"

#include <optional>
#include <string>

#include <fmt/format.h>

#include "given.hpp"
#include "gradflow/core/catalogue.hpp"
#include "gradflow/experiment/input_files.hpp"
#include "gradflow/nn/block.hpp"

namespace gradflow::experiment {
namespace {

constexpr std::int64_t most_steps_and_levels = 100'000'000;
constexpr std::int64_t most_features = 100'000'000;

/// Refuses an option of other blocks.
void require_block(const sweep::SweepPoint& point, std::string_view key, bool fits,
                   const std::string& lacks) {
  if (fits || !given(point, key)) return;
  throw point.error(key, "is given, but a " + point.name("network.block").name + " block has no " + lacks);
}

double leak_of(const sweep::SweepPoint& point) {
  const bool is_leaky = point.name("network.block").name == "leaky_rnn";
  require_block(point, "network.leak", is_leaky, "leak; write block = \"leaky_rnn\"");
  if (!is_leaky) return 1;
  if (!point.has("network.leak")) {
    throw point.error("network.leak", "is missing; expected a number from 0 to 1 for a leaky_rnn block");
  }
  return point.real("network.leak");
}

std::optional<double> t_max_of(const sweep::SweepPoint& point) {
  if (!given(point, "network.t_max")) return std::nullopt;
  if (given(point, "network.forget_bias")) {
    throw point.error("network.t_max", "is given beside network.forget_bias; write either");
  }
  if (!point.boolean("network.forget_gate")) {
    throw point.error("network.t_max", "is given, but forget_gate = false; chrono biases need the gate");
  }
  return point.real("network.t_max");
}

nn::StepInput step_input_of(const sweep::SweepPoint& point) {
  const std::string& text = point.text("network.input");
  return text == "gaussian" ? nn::StepInput::gaussian
         : text == "data"   ? nn::StepInput::data
                            : nn::StepInput::none;
}

/// Features of x_t: an equal piece of a sample for each step.
int input_width_of(const sweep::SweepPoint& point) {
  const bool is_given = point.has("network.input_width");
  if (!takes_data_step_by_step(point)) {
    if (!is_given) return 0;
    throw point.error("network.input_width", "is given, but network.input is \"" +
                                                 point.text("network.input") +
                                                 "\"; write network.input = \"data\", or leave it out");
  }
  const std::int64_t steps = point.integer("network.depth");
  const auto data_set = data_set_of(point);
  if (!data_set) {
    const std::int64_t width = point.integer(is_given ? "network.input_width" : "network.width");
    if (steps * width <= most_features) return int(width);
    throw point.error("network.input",
                      fmt::format("is \"data\", so a sample has {} features, {} steps of {}; expected at "
                                  "most {}",
                                  steps * width, steps, width, most_features));
  }
  const std::int64_t features = data_set->width();
  if (features % steps != 0) {
    throw point.error(
        "network.depth",
        fmt::format("is {} steps, but a sample of data.source has {} features, which are not {} "
                    "equal pieces; expected a divisor of {}",
                    steps, features, steps, features));
  }
  if (is_given && point.integer("network.input_width") != features / steps) {
    throw point.error("network.input_width",
                      fmt::format("is {}, but a sample of data.source has {} features, which are {} steps of "
                                  "{}; write {}, or leave it out",
                                  point.integer("network.input_width"), features, steps, features / steps,
                                  features / steps));
  }
  return int(features / steps);
}

}  // namespace

bool is_recurrent(std::string_view block) { return find(nn::blocks(), "block", block).steps_in_time; }

bool takes_data_step_by_step(const sweep::SweepPoint& point) { return point.text("network.input") == "data"; }

int stack_of(const sweep::SweepPoint& point) {
  require_block(point, "network.stack", is_recurrent(point.name("network.block").name), "levels to stack");
  const std::int64_t stack = point.integer("network.stack");
  if (point.has("network.depth") && stack * point.integer("network.depth") > most_steps_and_levels) {
    throw point.error("network.stack",
                      fmt::format("is {}, which makes {} layers of {} steps; expected at most {}", stack,
                                  stack * point.integer("network.depth"), point.integer("network.depth"),
                                  most_steps_and_levels));
  }
  return int(stack);
}

nn::Recurrence recurrence_of(const sweep::SweepPoint& point) {
  const std::string& block = point.name("network.block").name;
  for (const char* key : {"network.input", "network.input_width"}) {
    require_block(point, key, is_recurrent(block), "inputs at every step");
  }
  for (const char* key : {"network.forget_gate", "network.forget_bias", "network.t_max"}) {
    require_block(point, key, block == "lstm", "forget gate");
  }
  if (given(point, "network.forget_bias") && !point.boolean("network.forget_gate")) {
    throw point.error("network.forget_bias", "is given, but forget_gate = false; leave one out");
  }
  return {.input = step_input_of(point),
          .input_width = input_width_of(point),
          .leak = leak_of(point),
          .forget_gate = point.boolean("network.forget_gate"),
          .forget_bias = point.real("network.forget_bias"),
          .t_max = t_max_of(point),
          .stack = stack_of(point)};
}

}  // namespace gradflow::experiment
