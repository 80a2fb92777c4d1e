#include "layer_measurement.hpp"

#include "gradflow/nn/layer_weights.hpp"

namespace gradflow::pipeline {
namespace {

stats::GradientNorms gradient_norms(const nn::WeightGradientNorms& norms, int batch, bool cancels_bias) {
  return {.wgrad_squared = norms.weight_gradient_squared,
          .bgrad_squared = cancels_bias ? Scaled() : norms.bias_gradient_squared,
          .weight_squared = norms.weight_squared,
          .sample_squared_sum = norms.sample_squared_sum,
          .relative_error = norms.relative_error,
          .batch = batch,
          .has_bias = norms.has_bias};
}

}  // namespace

template <class Real>
void LayerMeasurement<Real>::take_gradient_norms(const nn::Bundle& bundle, int layer,
                                                 const std::vector<WeightRole>& matrices) {
  for (const WeightRole matrix : matrices) {
    const std::vector<nn::WeightGradientNorms> norms = gradient->norms(matrix);
    for (std::size_t point = 0; point < norms.size(); ++point) {
      const nn::NetworkSpec& network = bundle[point];
      records[point][matrix] =
          gradient_norms(norms[point], network.batch, nn::bias_is_cancelled(network, layer, matrix));
    }
  }
  const std::vector<nn::NormalizationNorms> normalizations = gradient->normalization_norms();
  for (std::size_t point = 0; point < normalizations.size(); ++point) {
    records[point].normalization = {normalizations[point].scale_gradient_squared,
                                    normalizations[point].shift_gradient_squared, true};
  }
}

template struct LayerMeasurement<float>;
template struct LayerMeasurement<double>;

}  // namespace gradflow::pipeline
