#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gradflow/report/configuration.hpp"
#include "gradflow/report/growth.hpp"
#include "gradflow/theory/phase.hpp"

namespace gradflow::report {

/// What becomes of the gradient between the output and the input.
enum class Fate {
  unmeasured,  ///< no point is done
  shallow,     ///< too few layers to say
  dead,        ///< an exact zero in most seeds
  vanishes,
  explodes,
  trainable,  ///< changes, but over fewer than trainable_depth_scales
  steady,     ///< changes by less than steady_factor
};

std::string_view name(Fate fate);

/// The gradient norm is called steady if it changes by less than this factor over the whole depth.
inline constexpr double steady_factor = 2;

/// Networks deeper than about six depth scales cannot be trained. Schoenholz et al., Deep Information
/// Propagation (ICLR 2017). The squared norm changes by e per depth scale.
inline constexpr double trainable_depth_scales = 6;

/// A layer's gradient is outside a format when more than this share of its nonzero elements is.
inline constexpr double outside_share = 0.5;

/// What was found out about one configuration. Numbers are NaN where unknown.
struct Verdict {
  static constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

  Fate fate = Fate::unmeasured;
  Growth growth;
  int depth = 0;       ///< layers
  int seeds = 0;       ///< measured
  int dead_seeds = 0;  ///< whose gradient is exactly zero in some layer
  std::optional<int>
      outside_fp32_from{};  ///< counted from the output, the first layer float32 could not hold

  double sigma_w = unknown;  ///< std(W) sqrt(fan_in), whatever the scheme
  std::string scheme{};      ///< of initialisation
  double chi1 = unknown;     ///< predicted factor per layer of the squared gradient
  double critical_sigma_w = unknown;
  theory::Stability critical_stability = theory::Stability::none;

  /// Layers over which the squared gradient norm changes by e, as measured.
  double depth_scale() const;
  /// log10 of the factor from the last to the first layer, if the slope held everywhere.
  double log10_total() const;
};

Verdict verdict_of(const store::ResultFile& file, const Configuration& configuration);

/// "vanishes: x 0.934 per layer, depth scale 41 layers, below fp32 from layer 63, chi1 = 0.976; critical
/// sigma_w is 1.04"
std::string sentence(const Verdict& verdict);

/// What to try; empty if nothing is wrong.
std::string remedy(const Verdict& verdict);

/// A configuration and what was found out about it.
struct Finding {
  Configuration configuration;
  Verdict verdict;
};

/// Reads one configuration's rows at a time.
std::vector<Finding> findings_of(const store::ResultFile& file);

}  // namespace gradflow::report
