#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "gradflow/core/failure.hpp"

namespace gradflow::nn {

/// The arithmetic of one activation in one precision; see src/nn/activation_rows.hpp.
template <class Real>
struct ActivationKernels;

/// A row of the catalogue of activations.
struct ActivationRow {
  std::string_view name;
  std::string_view parameter;  ///< its name in a sweep file; empty: there is none
  double default_parameter;
  bool bounded;
  bool zero_at_zero;                               ///< phi(0) = 0
  bool positively_homogeneous;                     ///< phi(a x) = a phi(x) for a > 0
  double (*sup_slope)(double parameter);           ///< sup |phi'|
  bool (*slope_has_zeros)(double parameter);       ///< phi' is exactly 0 on an interval
  std::vector<double> (*kinks)(double parameter);  ///< where a derivative of any order jumps
  const ActivationKernels<float>* float32;
  const ActivationKernels<double>* float64;
  std::string_view doc;
};

/// Every activation; the first is the default.
std::span<const ActivationRow> activations();

/// phi, with its parameter: a cheap value.
class Activation {
 public:
  /// linear
  Activation() : Activation(activations().front(), 0) {}

  /// @throws UserError if the name is unknown, the activation has no parameter, or the parameter is not
  /// finite
  static Activation named(std::string_view name, std::optional<double> parameter = {});

  std::string_view name() const { return row_->name; }
  double parameter() const { return parameter_; }
  const ActivationRow& row() const { return *row_; }

  /// phi(x) and phi'(x) in float64; phi' at a kink as PyTorch has it.
  double value(double x) const;
  double slope(double x) const;

  bool bounded() const { return row_->bounded; }
  bool zero_at_zero() const { return row_->zero_at_zero; }
  bool positively_homogeneous() const { return row_->positively_homogeneous; }
  bool slope_has_zeros() const { return row_->slope_has_zeros(parameter_); }
  double sup_slope() const { return row_->sup_slope(parameter_); }
  std::vector<double> kinks() const { return row_->kinks(parameter_); }

  bool operator==(const Activation&) const = default;

 private:
  Activation(const ActivationRow& row, double parameter) : row_(&row), parameter_(parameter) {}

  const ActivationRow* row_;
  double parameter_;
};

/// A unit is saturated where |phi'| is below this share of sup |phi'|.
inline constexpr double saturation_threshold = 0.01;

// The operations on one sample. z, h and d are whole padded rows of a Signal (64-byte aligned, a multiple of
// 16 long). @pre z is finite and as rescale leaves it: max|z| is 0 or in 2^-16 .. 2^16; with exponent 0 any
// size up to 2^120.

/// h * 2^h_exponent = phi(z * 2^z_exponent), rescaled. A sample deep in a vanishing tail (gelu of -1000) is
/// evaluated as mantissa and exponent: what is not zero does not become zero, unless it is below 2^-125 of
/// the sample's largest.
/// @param width  units; the columns of h from there on become 0
/// @return phase_lost for sin of more than 2^24 (float64: 2^53), exponent_overflow, non_finite; h is then
/// undefined
template <class Real>
FailureCode activate(const Activation& phi, std::span<const Real> z, std::int32_t z_exponent, int width,
                     std::span<Real> h, std::int32_t& h_exponent);

/// What multiplying one sample by phi' finds.
struct SlopeCounts {
  std::int64_t saturated = 0;  ///< units with |phi'| < saturation_threshold * sup |phi'|
  /// floor(log2 |true gradient|) of the units whose true gradient is not 0, though the stored one is.
  std::vector<std::int64_t> lost_log2;
};

/// d *= phi'(z * 2^z_exponent), rescaled: dE/dh becomes dE/dz. phi' is computed from z, never from h; where
/// the product comes within 2^125 of the smallest number, again as mantissa and exponent: an element is lost
/// only below 2^-125 of its sample's largest, and only an analytic zero makes a sample zero.
/// @param code  the outcome, as of activate; d is undefined after a failure
template <class Real>
SlopeCounts multiply_by_slope(const Activation& phi, std::span<const Real> z, std::int32_t z_exponent,
                              int width, std::span<Real> d, std::int32_t& d_exponent, FailureCode& code);

/// Saturated units of a sample whose phi' nobody applies (the last layer under a random cotangent).
template <class Real>
std::int64_t count_saturated(const Activation& phi, std::span<const Real> z, std::int32_t z_exponent,
                             int width);

}  // namespace gradflow::nn
