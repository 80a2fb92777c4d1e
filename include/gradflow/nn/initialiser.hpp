#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "gradflow/core/matrix.hpp"
#include "gradflow/core/role.hpp"
#include "gradflow/core/scaled.hpp"

namespace gradflow::nn {

/// The unit matrix Z a scheme scales. Schemes with the same distribution share Z at equal seed, layer and
/// widths: common random numbers, by definition. What is stored was drawn elsewhere: see layer_weights.hpp.
enum class Distribution {
  normal,
  uniform,
  truncated_normal,
  orthogonal,
  identity,
  sparse,
  looks_linear,
  stored
};

/// What decides a scheme's sigma_w, beyond the user and a formula of the widths. Solved where networks are
/// described: the theory that solves it knows networks, not the other way round.
enum class SolvedBy {
  nobody,
  criticality,  ///< chi1 = 1 for the activation and sigma_b
  random_walk,  ///< E ln |x'|^2 / |x|^2 = 0 for the activation and the width
  fixup,        ///< factors on the two matrices of a residual branch, from the depth
  deepnorm,     ///< one factor on all of them, from the depth
};

/// What of a layer's scale neither sigma_w nor a formula of its widths decides.
enum class LayerScale {
  plain,
  smaller_output,  ///< the last layer has 1/sqrt(fan_in) more: mu-parametrisation
  unit_variance,   ///< the variance of W x over the batch is gain^2, found in the first forward pass: LSUV
};

/// A row of the catalogue of initialisation schemes.
struct SchemeRow {
  std::string_view name;
  Distribution distribution;
  /// Var(W) where the scheme fixes it, for gain 1; null: sigma_w decides, the user's or a solved one.
  double (*variance)(int fan_in, int fan_out);
  /// The gain if none is given; 0: the scheme has no gain.
  double default_gain;
  /// Whether biases are U(-1, 1)/sqrt(fan_in), whatever sigma_b; otherwise they are N(0, sigma_b^2).
  bool bias_fixed;
  /// Std of W over sigma_w / sqrt(fan_in), for a distribution that is not corrected to unit variance; else 1.
  double std_factor;
  std::string_view doc;
  SolvedBy solved_by = SolvedBy::nobody;
  std::string_view parameter = "";  ///< of { name = "sparse", nonzeros = 15 }; empty: none
  double default_parameter = 0;
  LayerScale layer_scale = LayerScale::plain;

  /// Whether sigma_w is the user's to choose.
  constexpr bool takes_sigma_w() const { return variance == nullptr && solved_by == SolvedBy::nobody; }
};

/// Every scheme; the first is the default.
std::span<const SchemeRow> schemes();

class StoredWeights;
class FoundScales;

/// Incoming weights of a unit in sparse initialisation: the number of Martens (2010).
inline constexpr int usual_nonzeros = 15;

/// How weights and biases of every layer begin.
struct Initialisation {
  const SchemeRow* scheme = &schemes().front();
  double sigma_w = 1;
  double sigma_b = 0;
  double gain = 1;
  int nonzeros = usual_nonzeros;  ///< weights of a unit of a sparse scheme that are not zero
  double first_factor = 1;        ///< on the first matrix of every block, beside sigma_w or the gain
  double second_factor = 1;       ///< on the second
  std::shared_ptr<const StoredWeights> stored = {};  ///< of the scheme `file`; null for the others
  std::shared_ptr<FoundScales> found = {};           ///< of the scheme `lsuv`, while it is measured

  /// A scheme whose sigma_w or factors are solved gets them from the caller, in the members above.
  /// @throws UserError if the name is unknown, a value is negative or not finite, or the scheme has no such
  /// parameter
  static Initialisation make(std::string_view scheme, std::optional<double> sigma_w = {},
                             std::optional<double> sigma_b = {}, std::optional<double> gain = {});

  /// W = weight_scale * Z, Z being unit_weights().
  double weight_scale(int fan_in, int fan_out, WeightRole role = WeightRole::first) const;

  /// std(W) * sqrt(fan_in): the sigma_w of the theory. For a square orthogonal or identity layer sigma_w
  /// itself, for stored weights NaN.
  double effective_sigma_w(int fan_in, int fan_out, WeightRole role = WeightRole::first) const;

  /// std(b): b = effective_sigma_b * unit_bias(); for stored ones NaN.
  double effective_sigma_b(int fan_in) const;

  bool has_bias(int fan_in) const { return effective_sigma_b(fan_in) > 0; }

  /// Whether scales are found in the forward pass, from a whole batch.
  bool finds_scales() const { return scheme->layer_scale == LayerScale::unit_variance; }

  /// Whether both have one Z at equal seed, layer and widths, and may be scaled alike.
  bool shares_unit_weights_with(const Initialisation& other) const;
};

/// The unit matrix Z of layer `layer` (from 1). @pre the scheme draws its weights, here and below
///
/// normal, uniform: unit variance; truncated_normal: N(0, 1) given |z| <= 2, std truncated_normal_std;
/// orthogonal: rows or columns of the Haar matrix of size max(fan_in, fan_out), from float64; identity: ones
/// at (i, i); sparse: the normal one, all but `nonzeros` entries of each row set to 0; looks_linear: [V -V;
/// -V V], V the upper left quarter of the normal one.
/// @pre looks_linear: even widths
/// @return  [padded_width(fan_out)][padded_width(fan_in)], the padding zero
template <class Real>
Matrix<Real> unit_weights(const SchemeRow& scheme, std::uint64_t seed, int layer, int fan_in, int fan_out,
                          WeightRole role = WeightRole::first, int nonzeros = usual_nonzeros);

/// The unit bias of layer `layer`, variance 1: normal, or uniform where the scheme fixes it.
/// @return  [1][padded_width(fan_out)], the padding zero
template <class Real>
Matrix<Real> unit_bias(const SchemeRow& scheme, std::uint64_t seed, int layer, int fan_out,
                       WeightRole role = WeightRole::first);

/// The sum of z^2, in double, in an order fixed by the shape.
template <class Real>
Scaled frobenius_squared(const Matrix<Real>& z);

}  // namespace gradflow::nn
