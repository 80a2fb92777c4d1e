#pragma once

#include <string>
#include <vector>

#include "gradflow/core/matrix.hpp"
#include "gradflow/core/role.hpp"
#include "gradflow/nn/network.hpp"

/// How the matrices of one layer of one network begin, whether they are drawn or stored: W = weight_scale *
/// Z, b = bias_scale * unit bias. The matrices of a block are told apart by their role.
namespace gradflow::nn {

/// Weights of the layers of a network that come from outside; layers count from 1. Whoever reads files
/// implements it.
class StoredWeights {
 public:
  virtual ~StoredWeights() = default;

  virtual int layers() const = 0;
  /// Whether a layer has this matrix; every layer has the first. The other members ask for one that is there.
  virtual bool has(int layer, WeightRole role) const = 0;
  virtual int fan_in(int layer, WeightRole role) const = 0;
  virtual int fan_out(int layer, WeightRole role) const = 0;
  virtual double weight_scale(int layer, WeightRole role) const = 0;
  virtual double bias_scale(int layer, WeightRole role) const = 0;  ///< 0: no bias

  /// W / weight_scale. @return [fan_out][fan_in]
  virtual Matrix<double> unit_weights(int layer, WeightRole role) const = 0;
  /// b / bias_scale. @return [fan_out] @pre bias_scale(layer, role) > 0
  virtual std::vector<double> unit_bias(int layer, WeightRole role) const = 0;
};

/// One matrix of a block, z = W x + b.
struct MatrixShape {
  int fan_in = 0;
  int fan_out = 0;  ///< the gates of a block stand below one another
  bool takes_bias = true;
};

/// @pre the block has such a matrix: parts_of()
MatrixShape shape_of(const NetworkSpec& network, int layer, WeightRole role);

/// Whether batch normalisation takes the bias of a matrix out again at once: its gradient is then exactly 0,
/// of which a sum over samples would leave rounding. Not where a cotangent enters behind the normalisation.
bool bias_is_cancelled(const NetworkSpec& network, int layer, WeightRole role);

/// Layers with weights of their own: the levels of steps in time.
int weight_layers(const NetworkSpec& network);

/// What is wrong with a network and its stored weights: matrices that are missing, too many, or of another
/// shape. Empty if nothing is. @pre the weights are stored
std::string complaint_of_weights(const NetworkSpec& network);

/// @return [padded_width(fan_out)][padded_width(fan_in)], the padding zero
template <class Real>
Matrix<Real> unit_weights(const NetworkSpec& network, int layer, WeightRole role = WeightRole::first);

/// @return [1][padded_width(fan_out)], the padding zero @pre bias_scale(network, layer, role) > 0
template <class Real>
Matrix<Real> unit_bias(const NetworkSpec& network, int layer, WeightRole role = WeightRole::first);

double weight_scale(const NetworkSpec& network, int layer, WeightRole role = WeightRole::first);

/// 0: the layer has no bias.
double bias_scale(const NetworkSpec& network, int layer, WeightRole role = WeightRole::first);

}  // namespace gradflow::nn
