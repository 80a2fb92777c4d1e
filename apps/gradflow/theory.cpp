#include <array>
#include <cmath>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "gradflow/core/catalogue.hpp"
#include "gradflow/experiment/network.hpp"
#include "gradflow/experiment/prediction.hpp"
#include "gradflow/nn/block.hpp"

namespace gradflow::apps {
namespace {

using experiment::Prediction;

struct TheoryArguments {
  std::string file;
  std::vector<std::string> overrides;
  bool critical_line = false;
  bool json = false;
};

/// Kinds of blocks, a set of bits.
enum Kind : unsigned { layers = 1, streams = 2, steps = 4, every_kind = 7 };

Kind kind_of(std::string_view block) {
  if (find(nn::blocks(), "block", block).steps_in_time) return steps;
  return block == "dense" ? layers : streams;
}

/// One number of a prediction.
struct Figure {
  const char* name;  ///< for programs
  const char* title;
  unsigned kinds;  ///< of blocks it may be known of
  double (*value)(const Prediction&);
};

/// log10 of the factor of a root mean square, from that of the mean square.
double log10_root(double square_factor) { return std::log10(square_factor) / 2; }

constexpr double to_log10_norm = 0.5 / 2.302585092994046;  // from ln of a squared norm

double last_of(const std::vector<double>& profile) {
  return profile.empty() ? theory::not_known : profile.back();
}

constexpr std::array figures{
    Figure{"q_star", "q*", layers, [](const Prediction& p) { return p.asymptotics.fixed_point.q; }},
    Figure{"c_star", "c*", layers, [](const Prediction& p) { return p.asymptotics.c_star; }},
    Figure{"chi1", "chi1", layers, [](const Prediction& p) { return p.asymptotics.chi1; }},
    Figure{"chi_parallel", "chi_par", layers, [](const Prediction& p) { return p.asymptotics.chi_parallel; }},
    Figure{"xi_q", "xi_q", layers, [](const Prediction& p) { return p.asymptotics.depth_scale.q; }},
    Figure{"xi_c", "xi_c", layers, [](const Prediction& p) { return p.asymptotics.depth_scale.c; }},
    Figure{"xi_grad", "xi_grad", layers,
           [](const Prediction& p) { return p.asymptotics.depth_scale.gradient; }},
    Figure{"critical_sigma_w", "critical", layers, [](const Prediction& p) { return p.critical.sigma_w; }},
    Figure{"dgrad_log10_rms_per_layer", "rms/layer", layers,
           [](const Prediction& p) { return log10_root(p.asymptotics.chi1); }},
    Figure{"log10_norm_per_layer_mean", "typical", layers,
           [](const Prediction& p) { return p.increment.mean * to_log10_norm; }},
    Figure{"log10_norm_per_layer_std", "+-", layers,
           [](const Prediction& p) { return std::sqrt(p.increment.variance) * to_log10_norm; }},
    Figure{"isometry_variance", "isometry", layers, [](const Prediction& p) { return p.isometry_variance; }},
    Figure{"dead_network_probability", "P(dead)", layers,
           [](const Prediction& p) { return p.dead_network_probability; }},
    Figure{"dgrad_log10_rms_first_layer", "rms first", layers | streams,
           [](const Prediction& p) { return p.profile.dgrad_log10_rms.front(); }},
    Figure{"act_log10_q_last_layer", "q last", streams,
           [](const Prediction& p) { return last_of(p.stream_log10_q); }},
    Figure{"zero_state_direct", "direct", steps, [](const Prediction& p) { return p.zero_state.direct; }},
    Figure{"zero_state_feedback", "feedback", steps,
           [](const Prediction& p) { return p.zero_state.feedback; }},
    Figure{"spectral_radius", "radius", steps, [](const Prediction& p) { return p.spectral_radius; }},
};

struct Meaning {
  unsigned kinds;
  const char* text;
};

constexpr std::array meanings{
    Meaning{layers, "q*, c*     where the variance and the correlation of two samples settle in deep layers"},
    Meaning{layers, "chi1       factor of E (dE/dz)^2 per layer there; chi_par: of a deviation of q from q*"},
    Meaning{layers,
            "xi         layers over which deviations of q and c shrink, and gradients change, by a factor e"},
    Meaning{layers, "critical   the sigma_w at which chi1 = 1 for this sigma_b"},
    Meaning{
        layers,
        "rms/layer  log10 of the change of the gradient's root mean square per layer from the last to the "
        "first"},
    Meaning{layers,
            "typical    mean and deviation of the change of log10 |dE/dz| per layer at this width, where "
            "exactly known"},
    Meaning{layers,
            "isometry   variance of the squared singular values of dz_L/dz_1 over the square of their mean"},
    Meaning{layers, "P(dead)    probability that a hidden layer loses one input altogether"},
    Meaning{layers | streams,
            "rms first  log10 of the gradient's root mean square at the first layer or block, 0 at the last"},
    Meaning{streams, "q last     log10 of the mean square of the stream behind the last block"},
    Meaning{steps,
            "direct     a of a step d state_t / d state_(t-1) = a I + b W at the zero state; feedback: b"},
    Meaning{steps, "radius     |a| + |b| sigma_w: gradients in time vanish below 1"},
    Meaning{every_kind, "-          no theory applies"},
};

std::string written(double value) { return std::isnan(value) ? "-" : fmt::format("{:.5g}", value); }

std::string text_of(const sweep::Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return sweep::display(value);
}

/// What tells a configuration from the others: its swept keys but the seeds.
std::vector<std::pair<std::string, std::string>> settings(const sweep::Sweep& sweep,
                                                          const sweep::SweepPoint& point) {
  std::vector<std::pair<std::string, std::string>> all;
  for (const sweep::Axis& axis : sweep.axes()) {
    if (experiment::is_seeds(axis)) continue;
    for (const sweep::Column& column : axis.columns) {
      if (point.has(column.key))
        all.emplace_back(sweep::coordinate_name(sweep.schema(), column.key), text_of(point.at(column.key)));
    }
  }
  return all;
}

std::string label_of(const sweep::Sweep& sweep, const sweep::SweepPoint& point) {
  std::string label;
  for (const auto& [key, text] : settings(sweep, point))
    label += fmt::format("{}{} = {}", label.empty() ? "" : ", ", key, text);
  return label.empty() ? "the one configuration" : label;
}

void print_phase(const Prediction& prediction) {
  const theory::Phase phase = theory::phase_of(prediction.asymptotics.chi1);
  const bool known = phase != theory::Phase::unknown;
  fmt::print("  {:<9} {:<10}", known ? theory::name(phase) : "-",
             known ? theory::name(prediction.asymptotics.fixed_point.stability) : "-");
}

/// Of every block of the sweep.
unsigned kinds_of(const sweep::Sweep& sweep) {
  unsigned kinds = 0;
  experiment::for_each_configuration(
      sweep, [&](const sweep::SweepPoint& point) { kinds |= kind_of(point.name("network.block").name); });
  return kinds;
}

void print_header(unsigned kinds) {
  for (const Figure& figure : figures) {
    if ((figure.kinds & kinds) != 0) fmt::print("{:>12}", figure.title);
  }
  if ((kinds & layers) != 0) fmt::print("  {:<9} {:<10}", "phase", "q* is");
  fmt::print("  configuration\n");
}

void print_line(const Prediction& prediction, const std::string& label, unsigned kinds) {
  for (const Figure& figure : figures) {
    if ((figure.kinds & kinds) != 0) fmt::print("{:>12}", written(figure.value(prediction)));
  }
  if ((kinds & layers) != 0) print_phase(prediction);
  fmt::print("  {}\n", label);
}

/// JSON has no NaN and no infinity.
nlohmann::json number(double value) {
  if (std::isnan(value)) return nullptr;
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

nlohmann::json json_of(const Prediction& prediction) {
  nlohmann::json json;
  for (const Figure& figure : figures) json[figure.name] = number(figure.value(prediction));
  json["phase"] = theory::name(theory::phase_of(prediction.asymptotics.chi1));
  json["stability"] = theory::name(prediction.asymptotics.fixed_point.stability);
  json["critical_stability"] = theory::name(prediction.critical.stability);
  return json;
}

/// Visits every configuration with its prediction, one at a time: there may be a million.
template <class Visit>
void for_each_prediction(const sweep::Sweep& sweep, const Visit& visit) {
  experiment::Predictions predictions;
  experiment::for_each_configuration(sweep, [&](const sweep::SweepPoint& point) {
    visit(point, predictions.of(experiment::network_of(point)));
  });
}

void print_predictions(const sweep::Sweep& sweep) {
  if (!sweep.title().empty()) fmt::print("{}\n\n", sweep.title());
  const unsigned kinds = kinds_of(sweep);
  print_header(kinds);
  for_each_prediction(sweep, [&](const sweep::SweepPoint& point, const Prediction& prediction) {
    print_line(prediction, label_of(sweep, point), kinds);
  });
  fmt::print("\n");
  for (const Meaning& meaning : meanings) {
    if ((meaning.kinds & kinds) != 0) fmt::print("{}\n", meaning.text);
  }
}

/// One configuration a line inside an array: what is printed does not have to be held.
void print_predictions_json(const sweep::Sweep& sweep) {
  const char* separator = "[\n";
  for_each_prediction(sweep, [&](const sweep::SweepPoint& point, const Prediction& prediction) {
    nlohmann::json json = json_of(prediction);
    for (const auto& [key, text] : settings(sweep, point)) json["configuration"][key] = text;
    fmt::print("{}{}", separator, json.dump());
    separator = ",\n";
  });
  fmt::print("\n]\n");
}

/// The activations of a sweep and, for each, the sigma_b where the line is wanted: those of the sweep if
/// there are several, else from 0 to 2.
struct LineRequest {
  nn::Activation activation;
  std::set<double> sigma_b;
};

std::vector<LineRequest> requested_lines(const sweep::Sweep& sweep) {
  std::vector<LineRequest> lines;
  experiment::for_each_configuration(sweep, [&](const sweep::SweepPoint& point) {
    const nn::NetworkSpec network = experiment::network_of(point);
    const auto known = std::ranges::find(lines, network.activation, &LineRequest::activation);
    LineRequest& line =
        known != lines.end() ? *known : lines.emplace_back(LineRequest{network.activation, {}});
    line.sigma_b.insert(network.init.sigma_b);
  });
  for (LineRequest& line : lines) {
    if (line.sigma_b.size() > 1) continue;
    for (int tenth = 0; tenth <= 20; ++tenth) line.sigma_b.insert(tenth / 10.0);
  }
  return lines;
}

void print_line(const LineRequest& line, double sigma_b) {
  const std::vector<theory::CriticalPoint> points = theory::critical_points(line.activation, sigma_b);
  if (points.empty()) fmt::print("{:>12}{:>12}{:>12}  {}\n", written(sigma_b), "-", "-", "none");
  for (const theory::CriticalPoint& point : points) {
    fmt::print("{:>12}{:>12}{:>12}  {}\n", written(sigma_b), written(point.sigma_w), written(point.q),
               theory::name(point.stability));
  }
}

void print_critical_line(const LineRequest& line) {
  fmt::print("Critical line of {}: chi1 = 1 at q*\n", line.activation.name());
  fmt::print("{:>12}{:>12}{:>12}  {}\n", "sigma_b", "sigma_w", "q*", "q* is");
  for (const double sigma_b : line.sigma_b) print_line(line, sigma_b);
  for (const theory::HalfStablePoint& point : theory::half_stable_points(line.activation)) {
    fmt::print("half-stable (chi_par = 1 too): sigma_w^2 = {:.9g}, sigma_b^2 = {:.9g}, q* = {:.9g}\n",
               point.sigma_w * point.sigma_w, point.sigma_b * point.sigma_b, point.q);
  }
  fmt::print("\n");
}

nlohmann::json json_of(const LineRequest& line) {
  nlohmann::json json{{"activation", line.activation.name()},
                      {"points", nlohmann::json::array()},
                      {"half_stable", nlohmann::json::array()}};
  if (!line.activation.row().parameter.empty()) {
    json[std::string(line.activation.row().parameter)] = line.activation.parameter();
  }
  for (const double sigma_b : line.sigma_b) {
    for (const theory::CriticalPoint& point : theory::critical_points(line.activation, sigma_b)) {
      json["points"].push_back({{"sigma_b", sigma_b},
                                {"sigma_w", number(point.sigma_w)},
                                {"q_star", number(point.q)},
                                {"stability", theory::name(point.stability)}});
    }
  }
  for (const theory::HalfStablePoint& point : theory::half_stable_points(line.activation)) {
    json["half_stable"].push_back(
        {{"sigma_w", point.sigma_w}, {"sigma_b", point.sigma_b}, {"q_star", point.q}});
  }
  return json;
}

void print_critical_lines(const sweep::Sweep& sweep, bool as_json) {
  nlohmann::json json = nlohmann::json::array();
  for (const LineRequest& line : requested_lines(sweep)) {
    if (as_json) {
      json.push_back(json_of(line));
    } else {
      print_critical_line(line);
    }
  }
  if (as_json) fmt::print("{}\n", json.dump(2));
}

int theory(const mpi::Communicator& world, const TheoryArguments& arguments) {
  SweepOptions options;
  options.file = arguments.file;
  options.overrides = arguments.overrides;
  const sweep::Sweep sweep = read_sweep(world, options);
  if (world.rank() != 0) return Exit::complete;
  if (arguments.critical_line) {
    print_critical_lines(sweep, arguments.json);
  } else {
    arguments.json ? print_predictions_json(sweep) : print_predictions(sweep);
  }
  return Exit::complete;
}

}  // namespace

void add_theory(CLI::App& program, Chosen& chosen) {
  const auto arguments = std::make_shared<TheoryArguments>();
  CLI::App* command = program.add_subcommand(
      "theory", "What theory predicts for each configuration, without running it; seeds count as one.");
  command->add_option("SWEEP.toml", arguments->file, "the sweep file")->required();
  command
      ->add_option("--set", arguments->overrides,
                   "replace a key or axis of the file: --set init.sigma_w=[1, 2]")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_flag("--critical-line", arguments->critical_line,
                    "instead: the sigma_w at which gradients neither vanish nor explode, for each sigma_b");
  command->add_flag("--json", arguments->json, "for programs");
  command->callback([=, &chosen] {
    chosen.tried_before = {[=] { return reading_of(arguments->file, arguments->overrides); }};
    chosen.command = [=](const mpi::Communicator& world) { return theory(world, *arguments); };
  });
}

}  // namespace gradflow::apps
