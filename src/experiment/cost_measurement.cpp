#include "gradflow/experiment/cost_measurement.hpp"

#include <algorithm>
#include <ctime>
#include <functional>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "gradflow/core/parallel.hpp"
#include "gradflow/nn/block.hpp"
#include "gradflow/nn/data.hpp"
#include "gradflow/nn/loss.hpp"
#include "gradflow/nn/weight_gradient.hpp"
#include "gradflow/pipeline/stage.hpp"
#include "gradflow/stats/catalogue.hpp"

namespace gradflow::experiment {
namespace {

constexpr int repetitions = 3;

/// Real passes find their tapes in memory, not in cache, so a measurement walks through as much.
constexpr double footprint_bytes = 8 << 20;
constexpr int most_layers = 128;

/// Where activations are compared: a middle-sized layer.
constexpr int middle_rows = 128;
constexpr int middle_width = 256;

/// Differences of measurements may be lost in noise; a model takes logarithms of them.
constexpr double least_seconds = 1e-12;

double processor_seconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

template <class Work>
double seconds_of(Work work) {
  const double start = processor_seconds();
  work();
  return processor_seconds() - start;
}

/// Layers 2, 3, ... of a deeper network, as a stage in the middle of it runs them.
struct Probe {
  int width = 64;
  int points = 1;  ///< stacked
  int batch = 32;
  std::string activation = "linear";
  bool observed = false;
  std::string block = "dense";
  bool fed = false;  ///< a recurrent block with inputs at every step

  int rows() const { return points * padded_rows(batch); }
};

nn::NetworkSpec network_of(const Probe& probe, int layers) {
  nn::NetworkSpec network;
  network.widths = nn::Widths::uniform(layers + 2, probe.width);
  network.activation = nn::Activation::named(probe.activation);
  network.batch = probe.batch;
  network.block = probe.block;
  network.recurrence.leak = 0.5;
  network.recurrence.gaussian_input = probe.fed;
  return network;
}

template <class Real>
int layers_of(const Probe& probe) {
  const double bytes = sizeof(Real) * double(probe.width) * (probe.width + 2 * probe.rows());
  return std::clamp(int(footprint_bytes / bytes), 2, most_layers);
}

/// Seconds of one layer of the probe.
template <class Real>
PassSeconds time_once(const Probe& probe, const stats::Selection& selection) {
  const int layers = layers_of<Real>(probe);
  const nn::Bundle bundle(std::size_t(probe.points), network_of(probe, layers));
  std::vector<int> observed(probe.observed ? std::size_t(layers) : 0);
  std::iota(observed.begin(), observed.end(), 2);
  const pipeline::Observation observation({{layers + 2, std::move(observed)}}, selection);

  pipeline::Stage<Real> stage(bundle, {1, layers + 1}, 1, observation, [] {});
  const Stack stack = stage.rows(0);
  State<Real> state = nn::input<Real>(bundle, stack);
  PassSeconds seconds;
  seconds.forward = seconds_of([&] { state = stage.forward(0, std::move(state)); });
  seconds.backward = seconds_of([&] {
    stage.backward(0, std::move(state));
    std::move(stage).results();
  });
  return {seconds.forward / layers, seconds.backward / layers};
}

PassSeconds time_layer(Precision precision, const Probe& probe, const stats::Selection& selection = {}) {
  PassSeconds least{std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  for (int i = 0; i < repetitions; ++i) {
    const PassSeconds seconds = precision == Precision::float64 ? time_once<double>(probe, selection)
                                                                : time_once<float>(probe, selection);
    least.forward = std::min(least.forward, seconds.forward);
    least.backward = std::min(least.backward, seconds.backward);
  }
  return least;
}

Probe probe_at(double rows, double width, bool observed) {
  return {.width = int(width), .points = int(rows) / tile_rows, .batch = tile_rows, .observed = observed};
}

/// Calls measure(rows, width) for the whole table and keeps the seconds of both passes.
template <class Measure>
void fill_tables(Costs& costs, const std::string& name, Measure measure) {
  std::vector<double> forward, backward;
  for (const double rows : cost_rows) {
    for (const double width : cost_widths) {
      const PassSeconds seconds = measure(rows, width);
      forward.push_back(std::max(seconds.forward, least_seconds));
      backward.push_back(std::max(seconds.backward, least_seconds));
    }
  }
  costs.set(name + " forward", std::move(forward));
  costs.set(name + " backward", std::move(backward));
}

void measure_products(Costs& costs, Precision precision) {
  fill_tables(costs, fmt::format("{} product", name_of(precision)),
              [&](double rows, double width) { return time_layer(precision, probe_at(rows, width, false)); });
}

/// Two batches of one shape whose gradient norms come from Gram matrices: what the longer one takes longer.
void measure_gram(Costs& costs, Precision precision, const stats::Selection& selection) {
  constexpr double width = 512;
  constexpr int rows = 128;
  const Probe of_tiles = probe_at(rows, width, true);
  Probe whole = of_tiles;
  whole.points = 1;
  whole.batch = rows;
  const double longer =
      time_layer(precision, whole, selection).backward - time_layer(precision, of_tiles, selection).backward;
  const double seconds = longer / (rows * double(rows - tile_rows) * 2 * width);
  costs.set(fmt::format("{} gram", name_of(precision)), {std::max(seconds, least_seconds * 1e-6)});
}

/// The longest measured batch forms its gradient; stacked tiles of 32 samples, which take Gram matrices
/// instead, show what the rest of the pass takes.
void measure_formed(Costs& costs, Precision precision, const stats::Selection& selection) {
  const double gram = costs.at(fmt::format("{} gram", name_of(precision)))[0];
  const double rows = cost_rows.back();
  const double width = cost_widths.back();
  const Probe of_tiles = probe_at(rows, width, true);
  Probe whole = of_tiles;
  whole.points = 1;
  whole.batch = int(rows);
  const double by_gram = gram * rows * tile_rows * 2 * width;
  const double formed = time_layer(precision, whole, selection).backward -
                        time_layer(precision, of_tiles, selection).backward + by_gram;
  costs.set(fmt::format("{} formed", name_of(precision)),
            {std::max(formed, least_seconds) / (rows * width * width)});
}

void measure_weight_gradients(Costs& costs, Precision precision) {
  stats::Selection selection = stats::of_preset("standard", dense_parts());
  std::erase_if(selection, [](const stats::Statistic* statistic) { return !statistic->needs.gradients; });
  measure_gram(costs, precision, selection);
  measure_formed(costs, precision, selection);
}

/// One batch of four tiles and four batches of one, whose Gram matrices have the sides 128 and 32.
void measure_spectrum(Costs& costs, Precision precision) {
  constexpr int rows = 4 * tile_rows;
  const stats::Selection selection = stats::of_preset("lean", {"act_effective_rank"}, dense_parts());
  const Probe of_tiles = probe_at(rows, middle_width, true);
  Probe whole = of_tiles;
  whole.points = 1;
  whole.batch = rows;
  const double longer =
      time_layer(precision, whole, selection).forward - time_layer(precision, of_tiles, selection).forward;
  const double more = double(rows) * rows * rows - 4.0 * tile_rows * tile_rows * tile_rows;
  costs.set(fmt::format("{} spectrum", name_of(precision)), {std::max(longer, least_seconds) / more});
}

void measure_statistics(Costs& costs, Precision precision, const std::string& label) {
  const stats::Selection selection = labelled_statistics(label);
  const CostModel known(costs, precision, label, 1);
  fill_tables(costs, fmt::format("{} statistics {}", name_of(precision), label),
              [&](double rows, double width) {
                const PassSeconds seen = time_layer(precision, probe_at(rows, width, true), selection);
                const LayerWork blind{int(width), int(width), int(rows), tile_rows, false, false};
                const PassSeconds unseen = known.layer(blind);
                return PassSeconds{seen.forward - unseen.forward,
                                   seen.backward - unseen.backward - known.weight_gradient(blind)};
              });
}

void measure_activation(Costs& costs, Precision precision, const std::string& activation) {
  Probe probe = probe_at(middle_rows, middle_width, false);
  const PassSeconds without = time_layer(precision, probe);
  probe.activation = activation;
  const PassSeconds with = time_layer(precision, probe);
  constexpr double elements = double(middle_rows) * middle_width;
  costs.set(fmt::format("{} activation {}", name_of(precision), activation),
            {std::max(with.forward - without.forward, 0.0) / elements,
             std::max(with.backward - without.backward, 0.0) / elements});
}

/// A step as it is, with everything that is summed along the way.
void measure_step(Costs& costs, Precision precision, const std::string& label, const std::string& kind) {
  Probe probe{.activation = "tanh", .block = kind.substr(0, kind.find(' ')), .fed = kind.ends_with(" fed")};
  const stats::Selection selection = labelled_statistics(label, nn::parts_of(network_of(probe, 1)));
  for (const bool observed : {true, false}) {
    probe.observed = observed;
    const std::string name =
        fmt::format("{} step {} {}{}", name_of(precision), kind, label, observed ? "" : " blind");
    fill_tables(costs, name, [&](double rows, double width) {
      probe.points = int(rows) / tile_rows;
      probe.width = int(width);
      return time_layer(precision, probe, selection);
    });
  }
}

template <class Real>
double time_weights(const nn::SchemeRow& scheme, int width) {
  nn::NetworkSpec network = network_of({.width = width}, 1);
  network.init.scheme = &scheme;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < repetitions; ++i) {
    least = std::min(least, seconds_of([&] { nn::make_block<Real>({network}, 1); }));
  }
  return std::max(least, least_seconds);
}

void measure_weights(Costs& costs, Precision precision, nn::Distribution distribution) {
  const auto scheme = std::ranges::find(nn::schemes(), distribution, &nn::SchemeRow::distribution);
  std::vector<double> seconds;
  for (const double width : cost_widths) {
    seconds.push_back(precision == Precision::float64 ? time_weights<double>(*scheme, int(width))
                                                      : time_weights<float>(*scheme, int(width)));
  }
  costs.set(fmt::format("{} weights {}", name_of(precision), name_of(distribution)), std::move(seconds));
}

}  // namespace

void measure_missing(Costs& costs, const CostKinds& kinds) {
  const Precision p = kinds.precision;
  const auto lacks = [&](const auto& name) { return !costs.has(fmt::format("{} {}", name_of(p), name)); };
  Threads(1).run([&] {
    if (lacks("product forward")) measure_products(costs, p);
    if (lacks("formed")) measure_weight_gradients(costs, p);
    if (has_spectra(kinds.statistics) && lacks("spectrum")) measure_spectrum(costs, p);
    if (lacks(fmt::format("statistics {} forward", kinds.statistics))) {
      measure_statistics(costs, p, kinds.statistics);
    }
    for (const std::string& name : kinds.activations) {
      if (lacks("activation " + name)) measure_activation(costs, p, name);
    }
    for (const std::string& kind : kinds.steps) {
      if (lacks(fmt::format("step {} {} blind backward", kind, kinds.statistics))) {
        measure_step(costs, p, kinds.statistics, kind);
      }
    }
    for (const nn::Distribution d : kinds.distributions) {
      if (lacks(fmt::format("weights {}", name_of(d)))) measure_weights(costs, p, d);
    }
  });
}

}  // namespace gradflow::experiment
