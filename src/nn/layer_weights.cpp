#include "gradflow/nn/layer_weights.hpp"

#include <algorithm>

namespace gradflow::nn {
namespace {

template <class Real>
void copy_rounded(std::span<const double> from, std::span<Real> to) {
  std::ranges::transform(from, to.begin(), [](double x) { return Real(x); });
}

const StoredWeights& stored_weights(const NetworkSpec& network) {
  expect(network.init.stored != nullptr, "a scheme of stored weights comes with them");
  return *network.init.stored;
}

bool are_stored(const NetworkSpec& network) {
  return network.init.scheme->distribution == Distribution::stored;
}

}  // namespace

template <class Real>
Matrix<Real> unit_weights(const NetworkSpec& network, int layer) {
  const int fan_in = network.widths.fan_in(layer);
  const int fan_out = network.widths.fan_out(layer);
  if (!are_stored(network)) {
    return unit_weights<Real>(*network.init.scheme, network.seed, layer, fan_in, fan_out, WeightRole::first,
                              network.init.nonzeros);
  }
  const Matrix<double> stored = stored_weights(network).unit_weights(layer);
  expect(stored.rows() == fan_out && stored.cols() == fan_in, "stored weights fit their layer");
  Matrix<Real> z(padded_width<Real>(fan_out), padded_width<Real>(fan_in));
  for (int i = 0; i < fan_out; ++i) copy_rounded<Real>(stored.row(i), z.row(i));
  return z;
}

template <class Real>
Matrix<Real> unit_bias(const NetworkSpec& network, int layer) {
  const int fan_out = network.widths.fan_out(layer);
  if (!are_stored(network)) return unit_bias<Real>(*network.init.scheme, network.seed, layer, fan_out);
  const std::vector<double> stored = stored_weights(network).unit_bias(layer);
  expect(int(stored.size()) == fan_out, "a stored bias fits its layer");
  Matrix<Real> bias(1, padded_width<Real>(fan_out));
  copy_rounded<Real>(stored, bias.row(0));
  return bias;
}

double weight_scale(const NetworkSpec& network, int layer) {
  const Initialisation& init = network.init;
  if (are_stored(network)) return init.gain * stored_weights(network).weight_scale(layer);
  return init.weight_scale(network.widths.fan_in(layer), network.widths.fan_out(layer));
}

double bias_scale(const NetworkSpec& network, int layer) {
  if (are_stored(network)) return stored_weights(network).bias_scale(layer);
  return network.init.effective_sigma_b(network.widths.fan_in(layer));
}

template Matrix<float> unit_weights(const NetworkSpec&, int);
template Matrix<double> unit_weights(const NetworkSpec&, int);
template Matrix<float> unit_bias(const NetworkSpec&, int);
template Matrix<double> unit_bias(const NetworkSpec&, int);

}  // namespace gradflow::nn
