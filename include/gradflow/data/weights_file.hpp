#pragma once

#include <filesystem>
#include <memory>

#include "gradflow/nn/layer_weights.hpp"

/// Weights of a network in an HDF5 file.
///
/// gradflow's own form, which anybody may write: `layer_k/weight` [fan_out][fan_in] and, where there is one,
/// `layer_k/bias` [fan_out], k = 1, 2, ... Blocks with further matrices have `layer_k/second_weight` (of a
/// residual branch), `layer_k/transform_weight` (of a highway block's gate), each with its bias
/// (`second_bias`, `transform_bias`); steps in time have one layer, the weights of every step, and
/// `layer_1/input_weight` where the steps have inputs. The gates of a gru (candidate, update, reset) and of
/// an lstm (candidate, input, output, forget) stand below one another: [gates * width][width]. What a sweep's
/// keys say of a block (transform_bias, forget_bias, t_max, branch_scale, ...) is not in the matrices.
///
/// A dataset may carry the attribute `scale`: the factor on the unit numbers it was made with. The reader
/// takes it out again, so a run has the very bits of the run the weights came from. Where that does not give
/// the unit numbers back (orthogonal ones of a float64 run) they stand beside it, `layer_k/unit_weight`.
/// Without a scale the numbers stand for themselves.
///
/// What Keras saves is read too: its dense layers, kernel [fan_in][fan_out] and bias. Keras 2: in the order
/// of the attribute layer_names, in the root group (save_weights) or in model_weights (save). Keras 3
/// and 2.13, .weights.h5: layers/dense/vars/0 and 1, layers/dense_1/vars/0, ...
namespace gradflow::data {

/// Whether an exported file holds, beside the weights, all another program needs to compute the point again.
///
/// data/input [sample][feature] is h_0; data/step_input [step][sample][unit] the x_t of steps that have
/// inputs; data/cotangent [sample][unit] where no loss is (the root attribute cotangent_enters says where:
/// preactivation z_L or output), otherwise data/target [sample][unit] or data/label [sample].
/// layer_k/gate_bias [gates * width] is what an lstm adds to its gates. Root attributes name the block, the
/// activation and the normalisation with their constants, the depth and the loss.
enum class Exported { weights, weights_and_data };

/// Reads shapes, scales and which biases are zero; weights are read when asked for.
/// @throws UserError if it is no such file, or layers do not fit one another; later if weights are not finite
std::shared_ptr<const nn::StoredWeights> open_weights(const std::filesystem::path& file);

/// Writes the weights of every layer in gradflow's form, in float64.
/// @param Real  of the run whose weights they are
/// @throws UserError if the file exists or cannot be made
template <class Real>
void write_weights(const std::filesystem::path& file, const nn::NetworkSpec& network,
                   Exported contents = Exported::weights);

}  // namespace gradflow::data
