#pragma once

#include <vector>

#include "gradflow/core/matrix.hpp"
#include "gradflow/nn/network.hpp"

/// How one layer of one network begins, whether its weights are drawn or stored: W = weight_scale * Z,
/// b = bias_scale * unit bias.
namespace gradflow::nn {

/// Weights of the layers of a network that come from outside; layers count from 1. Whoever reads files
/// implements it.
class StoredWeights {
 public:
  virtual ~StoredWeights() = default;

  virtual int layers() const = 0;
  virtual int fan_in(int layer) const = 0;
  virtual int fan_out(int layer) const = 0;
  virtual double weight_scale(int layer) const = 0;
  virtual double bias_scale(int layer) const = 0;  ///< 0: no bias

  /// W / weight_scale. @return [fan_out][fan_in]
  virtual Matrix<double> unit_weights(int layer) const = 0;
  /// b / bias_scale. @return [fan_out] @pre bias_scale(layer) > 0
  virtual std::vector<double> unit_bias(int layer) const = 0;
};

/// @return [padded_width(fan_out)][padded_width(fan_in)], the padding zero
template <class Real>
Matrix<Real> unit_weights(const NetworkSpec& network, int layer);

/// @return [1][padded_width(fan_out)], the padding zero @pre bias_scale(network, layer) > 0
template <class Real>
Matrix<Real> unit_bias(const NetworkSpec& network, int layer);

double weight_scale(const NetworkSpec& network, int layer);

/// 0: the layer has no bias.
double bias_scale(const NetworkSpec& network, int layer);

}  // namespace gradflow::nn
