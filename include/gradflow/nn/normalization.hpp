#pragma once

#include <span>
#include <string_view>

namespace gradflow::nn {

/// A row of the catalogue of normalisations.
struct NormalizationRow {
  std::string_view name;
  std::string_view doc;
};

std::span<const NormalizationRow> normalizations();

}  // namespace gradflow::nn
