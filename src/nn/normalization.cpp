#include "gradflow/nn/normalization.hpp"

#include <array>

#include "gradflow/core/catalogue.hpp"

namespace gradflow::nn {
namespace {

constexpr std::array normalization_catalogue{
    NormalizationRow{"none", NormalizationKind::none, "phi acts on z itself"},
    NormalizationRow{"batch", NormalizationKind::batch,
                     "mean and population variance of each unit over the whole batch (no microbatches)"},
    NormalizationRow{"layer", NormalizationKind::layer, "mean and variance of each sample over its units"},
    NormalizationRow{"rms", NormalizationKind::rms, "mean square of each sample over its units"},
};

}  // namespace

std::span<const NormalizationRow> normalizations() { return normalization_catalogue; }

const NormalizationRow& normalization_called(std::string_view name) {
  return find(normalizations(), "normalization", name);
}

}  // namespace gradflow::nn
