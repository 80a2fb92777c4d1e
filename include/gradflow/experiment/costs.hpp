#pragma once

#include <array>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gradflow/experiment/network.hpp"
#include "gradflow/stats/catalogue.hpp"

namespace gradflow::experiment {

/// Where costs are measured: rows of a product and widths of square layers. Between them seconds follow power
/// laws; more rows cost in proportion, wider layers follow the last power law.
inline constexpr std::array<double, 3> cost_rows{32, 128, 512};
inline constexpr std::array<double, 4> cost_widths{64, 128, 256, 512};

/// Seconds measured on one thread of one machine, as named series of numbers: plain data that is stored as it
/// is.
///
/// For each precision P ("float32") they are
/// - "P product forward", "P product backward": one linear layer nobody looks at, [cost_rows][cost_widths];
/// - "P weights D": one layer of the distribution D, [cost_widths];
/// - "P activation A": what the activation A adds per element, {forward, backward};
/// - "P statistics S forward", "P statistics S backward": what the statistics S add, without weight
/// gradients,
///   [cost_rows][cost_widths];
/// - "P step K S forward", "P step K S backward": one step in time of the kind K ("lstm fed") with the
///   statistics S, tanh as phi, weight gradients of batches of 32; "P step K S blind ...": of a
///   step whose statistics nobody stores, [cost_rows][cost_widths];
/// - "P gram": weight-gradient norms from Gram matrices, per row, sample of the batch, and feature, {1};
/// - "P formed": weight gradients as such, per row and weight, {1};
/// - "P spectrum": ranks of the samples, per cube of the shorter side of their matrix, {1}.
class Costs {
 public:
  /// Replaces a series of this name.
  void set(const std::string& name, std::vector<double> seconds) { series_[name] = std::move(seconds); }

  bool has(const std::string& name) const { return series_.contains(name); }

  /// @pre has(name)
  const std::vector<double>& at(const std::string& name) const;

  const std::map<std::string, std::vector<double>>& series() const noexcept { return series_; }
  bool operator==(const Costs&) const = default;

 private:
  std::map<std::string, std::vector<double>> series_;
};

std::string_view name_of(Precision precision);
std::string_view name_of(nn::Distribution distribution);

/// The statistics of a sweep in the names of series: a preset, and what was added by name, joined by "+".
std::string statistics_label(const sweep::Sweep& sweep);

/// Those of a label that a block with these parts has.
stats::Selection labelled_statistics(std::string_view label, const BlockParts& parts = dense_parts());

/// Whether the cost of these statistics grows faster than a batch.
bool has_spectra(std::string_view label);

/// What a sweep needs to know: every name that occurs in it.
struct CostKinds {
  Precision precision = Precision::float32;
  std::string statistics = "standard";  ///< a label
  std::vector<std::string> activations;
  std::vector<nn::Distribution> distributions;
  std::vector<std::string> steps = {};  ///< step_kind() of the recurrent networks
};

/// What a step of a recurrent network costs as: its block, and whether something comes in at every step.
std::string step_kind(const nn::NetworkSpec& network, int layer);

/// Names of the series a model of these kinds reads.
std::vector<std::string> series_of(const CostKinds& kinds);

/// One layer of a bundle, one microbatch at a time.
struct LayerWork {
  int fan_in = 1;
  int fan_out = 1;
  int rows = 32;          ///< of the microbatch, all points together, padding included
  int batch = 1;          ///< of one point, whole
  bool observed = true;   ///< its statistics are stored
  bool is_first = false;  ///< nobody asks for the gradient of the data

  bool operator==(const LayerWork&) const = default;
};

struct PassSeconds {
  double forward = 0;
  double backward = 0;  ///< with the weight gradients
};

/// Predicts seconds of a layer from measured costs. @pre the costs have series_of the kinds that are asked
/// for
class CostModel {
 public:
  /// @param threads  of a rank: tiles of 32 rows are shared by them
  /// @param statistics  a label
  CostModel(const Costs& costs, Precision precision, std::string_view statistics, int threads);

  /// One microbatch through a layer, the activation left out.
  PassSeconds layer(const LayerWork& work) const;

  /// One microbatch through a step in time, the activation included. @param matrices  gates in each
  PassSeconds step(const std::string& kind, const LayerWork& work, int matrices, int gates) const;

  /// What the activation adds, per element of a microbatch of `rows` rows.
  PassSeconds activation_per_element(std::string_view activation, int rows) const;

  /// The part of layer().backward of an observed layer that weight-gradient norms take, on one thread.
  double weight_gradient(const LayerWork& work) const;

  /// The part of layer().backward that a pipeline puts off as a pass of its own, in seconds; 0 for a layer
  /// whose statistics nobody stores (Qi et al., ICLR 2024: the W pass).
  double weight_pass(const LayerWork& work) const;

  /// Generates the weights of a layer.
  double weights(nn::Distribution distribution, int fan_in, int fan_out) const;

 private:
  double shared(double seconds, int rows) const;

  const Costs& costs_;
  std::string prefix_;
  std::string label_;
  std::string statistics_;
  int threads_;
  double spectrum(const LayerWork& work) const;

  bool takes_gradients_;  ///< some statistic is a norm of weight gradients
  bool takes_spectra_;    ///< some statistic is a rank of the samples
};

/// y(x) between and beyond points of a positive function on logarithmic axes: straight lines, continued with
/// the last slope held within [1, 3] above, the first within [0, 1] below.
/// @param x  ascending @pre as many y as x, at least 2, all positive
double power_law(std::span<const double> x, std::span<const double> y, double at);

}  // namespace gradflow::experiment
