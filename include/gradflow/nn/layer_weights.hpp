#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
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

/// Scales that the first forward pass of a network finds, one per matrix: std(W x) over units and the whole
/// batch. Blocks that are made again find them here.
class FoundScales {
 public:
  /// The place for what a matrix is divided by, NaN until it is found; one place for everybody who asks.
  std::shared_ptr<double> place(int layer, WeightRole role);

  /// NaN: not found.
  double deviation(int layer, WeightRole role) const;

 private:
  std::map<std::pair<int, WeightRole>, std::shared_ptr<double>> deviations_;
};

/// Runs a network forward for the scales that its data decide, if it has such. @return the network with them
template <class Real>
NetworkSpec with_found_scales(NetworkSpec network);

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

/// NaN for a scale that the forward pass has not found yet.
double weight_scale(const NetworkSpec& network, int layer, WeightRole role = WeightRole::first);

/// std(W) * sqrt(fan_in): the sigma_w of the theory. NaN for stored weights and for scales not found yet.
double effective_sigma_w(const NetworkSpec& network, int layer, WeightRole role = WeightRole::first);

/// 0: the layer has no bias.
double bias_scale(const NetworkSpec& network, int layer, WeightRole role = WeightRole::first);

}  // namespace gradflow::nn
