#pragma once

#include <filesystem>
#include <memory>

#include "gradflow/nn/layer_weights.hpp"

/// Weights of a network in an HDF5 file.
///
/// gradflow's own form, which anybody may write: `layer_k/weight` [fan_out][fan_in] and, where there is one,
/// `layer_k/bias` [fan_out], k = 1, 2, ... A dataset may carry the attribute `scale`: the factor on the unit
/// numbers it was made with. The reader takes it out again, so a run has the very bits of the run the weights
/// came from; only weights drawn in float64 (the orthogonal ones of a float64 run) come back to rounding.
/// Without it the numbers stand for themselves.
///
/// What Keras saves is read too: its dense layers in the order of the attribute layer_names, kernel
/// [fan_in][fan_out] and bias, in the root group (save_weights) or in model_weights (save).
namespace gradflow::data {

/// Reads shapes, scales and which biases are zero; weights are read when asked for.
/// @throws UserError if it is no such file, or layers do not fit one another; later if weights are not finite
std::shared_ptr<const nn::StoredWeights> open_weights(const std::filesystem::path& file);

/// Writes the weights of every layer in gradflow's form, in float64.
/// @param Real  of the run whose weights they are
/// @throws UserError if the file exists or cannot be made
template <class Real>
void write_weights(const std::filesystem::path& file, const nn::NetworkSpec& network);

}  // namespace gradflow::data
