#pragma once

#include <span>
#include <string_view>

namespace gradflow::nn {

/// Over what mean and mean square are taken.
enum class NormalizationKind { none, batch, layer, rms };

/// A row of the catalogue of normalisations.
struct NormalizationRow {
  std::string_view name;
  NormalizationKind kind;
  std::string_view doc;
};

/// Every normalisation; the first is the default.
std::span<const NormalizationRow> normalizations();

/// Where a block normalises. A dense block knows before and after.
enum class NormalizationPosition {
  before,  ///< in front of every phi: phi(n(z))
  after,   ///< behind every phi: n(phi(z))
  pre,     ///< in front of a residual branch: x + F(n(x))
  post,    ///< behind the sum of a residual block: n(x + F(x))
};

/// n(z) = scale * (z - mean) / sqrt(variance + epsilon) + shift.
///
/// batch: per unit over the batch, population variance (Ioffe and Szegedy 2015); layer: per sample over its
/// units (Ba, Kiros and Hinton 2016); rms: per sample, mean 0 and the mean square as variance (Zhang and
/// Sennrich 2019). Where the variance is 0 and epsilon too, n is shift and its gradient 0.
struct Normalization {
  NormalizationKind kind = NormalizationKind::none;
  NormalizationPosition position = NormalizationPosition::before;
  double epsilon = 1e-5;
  double scale = 1;  ///< of every unit
  double shift = 0;  ///< of every unit

  bool operator==(const Normalization&) const = default;
};

/// The row called `name`. @throws UserError naming the known ones
const NormalizationRow& normalization_called(std::string_view name);

}  // namespace gradflow::nn
