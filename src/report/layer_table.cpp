#include "layer_table.hpp"

#include <array>
#include <cmath>

#include <fmt/format.h>

#include "even.hpp"
#include "gradflow/core/errors.hpp"
#include "gradflow/report/profile.hpp"
#include "text.hpp"

namespace gradflow::report {
namespace {

constexpr std::size_t most_printed_layers = 22;

struct Heading {
  std::string_view variable, signal, heading;
};

/// A prediction stands beside what it predicts.
constexpr std::array headings{
    Heading{"preact_log10_q", "z", "log10 q"},
    Heading{"theory_preact_log10_q", "", "theory"},
    Heading{"preact_corr", "z", "corr"},
    Heading{"theory_preact_corr", "", "theory"},
    Heading{"dgrad_log10_norm_mean", "dE/dz", "log10 | |"},
    Heading{"dgrad_log10_rms", "dE/dz", "log10 rms"},
    Heading{"theory_dgrad_log10_rms", "", "theory"},
    Heading{"wgrad_log10_norm", "dE/dW", "log10 | |"},
    Heading{"act_saturated_fraction", "units", "saturated"},
    Heading{"act_dead_fraction", "units", "dead"},
};

constexpr std::array headings_by_direction{
    Heading{"jacobian_log10_singular_value", "Jacobian", "log10 s"},
    Heading{"lyapunov_exponent", "Lyapunov", "ln |R_ii|"},
    Heading{"theory_lyapunov_exponent", "", "theory"},
};

std::string status_text(const store::ResultFile& file, std::uint64_t point) {
  switch (file.status(point)) {
    case store::Status::done:
      return "done";
    case store::Status::failed: {
      const Failure failure = file.failure(point);
      return fmt::format("failed at layer {}: {}", failure.layer, meaning(failure.code));
    }
    default:
      return "not done yet";
  }
}

template <class T>
std::vector<T> at(const std::vector<T>& values, const std::vector<std::size_t>& chosen) {
  std::vector<T> picked;
  for (const std::size_t i : chosen) picked.push_back(values[i]);
  return picked;
}

}  // namespace

LayerTable layer_table(const store::ResultFile& file, std::uint64_t point) {
  if (point >= file.points()) {
    throw UserError(fmt::format("{} has no point {}; its points are 0 to {}", file.path().string(), point,
                                file.points() - 1));
  }
  LayerTable table{printable(file.name_of(point)), status_text(file, point), {}, {}};
  if (file.status(point) != store::Status::done) return table;

  const std::vector<int> layers = file.layers_of(point);
  const std::vector<std::size_t> chosen = evenly_chosen(layers.size(), most_printed_layers);
  table.layers = at(layers, chosen);
  for (const Heading& heading : headings) {
    const std::string variable(heading.variable);
    if (!file.has(variable)) continue;
    table.columns.push_back(
        {heading.variable, heading.signal, heading.heading, at(layer_values(file, variable, point), chosen)});
  }
  return table;
}

LayerTable direction_table(const store::ResultFile& file, std::uint64_t point) {
  LayerTable table{printable(file.name_of(point)), status_text(file, point), {}, {}};
  if (!file.has("lyapunov_exponent") || file.status(point) != store::Status::done) return table;
  std::vector<double> exponents = file.read("lyapunov_exponent", point);
  while (!exponents.empty() && std::isnan(exponents.back())) exponents.pop_back();
  if (exponents.empty()) return table;
  const std::vector<std::size_t> chosen = evenly_chosen(exponents.size(), most_printed_layers);
  for (const std::size_t i : chosen) table.layers.push_back(int(i) + 1);
  for (const Heading& heading : headings_by_direction) {
    table.columns.push_back({heading.variable, heading.signal, heading.heading,
                             at(file.read(std::string(heading.variable), point), chosen)});
  }
  return table;
}

}  // namespace gradflow::report
