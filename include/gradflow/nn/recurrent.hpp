#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gradflow/nn/block.hpp"

/// Recurrent networks: layer t is step t in time, and every step has the weights of the first.
///
/// Of K stacked levels, layer (t - 1) K + k is step t of level k, with weights of its own: it takes in h_t of
/// the level below as x_t. Inputs from outside go to level 1.
///
/// h_0 of level 1 is the network's input, or 0 if the data comes in step by step; h_0 of the levels above and
/// c_0 are 0; the cotangent enters at h_T of the last level. All gates of a block are rows of one
/// matrix, the candidate's first, so a scheme sees fan_out = gates * width, as Keras' does: `identity` is the
/// identity for the candidate and 0 for the gates. W_x takes the initialisation of W, without a bias, and
/// exists only if the steps have inputs.
namespace gradflow::nn {

/// x_t of one sample, ~ N(0, I): a function of (seed, step, sample). @param x [width]
template <class Real>
void fill_step_input(std::uint64_t seed, int step, int sample, std::span<Real> x);

/// Names of the gates, in the order in which they stand in the rows of a matrix.
std::vector<std::string> gate_names(const NetworkSpec& network);

/// h_t = phi(z_t), z_t = W h_{t-1} + b + W_x x_t (Elman 1990); of the block `leaky_rnn`
/// h_t = (1 - leak) h_{t-1} + leak phi(z_t) (Jaeger 2007).
///
/// rnn shows z_t as Role::preact, h_t as Role::act, dE/dz_t as Role::dgrad. leaky_rnn shows h_t as Role::act
/// with Role::dgrad dE/dh_t, z_t as Role::branch_preact with Role::branch_dgrad, phi(z_t) as
/// Role::branch_act.
template <class Real>
std::unique_ptr<Block<Real>> make_rnn(const Bundle& bundle, int layer);
BlockParts rnn_parts(const NetworkSpec& network);
int rnn_tape(const NetworkSpec& network);

/// h_t = (1 - u) n + u h_{t-1}, n = phi(W_x x_t + r (W h_{t-1} + b)), u and r sigmoids of their rows (Cho et
/// al. 2014, the reset gate behind the product as in cuDNN and PyTorch). Rows of W: n, u, r.
///
/// h_t is Role::act, dE/dh_t Role::dgrad; saturated activations are those of n.
template <class Real>
std::unique_ptr<Block<Real>> make_gru(const Bundle& bundle, int layer);
BlockParts gru_parts(const NetworkSpec& network);
int gru_tape(const NetworkSpec& network);
int gru_gates(const NetworkSpec& network);

/// c_t = f c_{t-1} + i g, h_t = o phi(c_t), g = phi of its rows, i, f and o sigmoids of theirs (Hochreiter
/// and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000). Rows of W: g, i, o, f; without a forget gate f
/// = 1.
///
/// forget_bias is added to f's rows (Jozefowicz et al. 2015); t_max adds b_f = ln U(1, t_max - 1), one number
/// per unit, and b_i = -b_f instead (Tallec and Ollivier 2018).
/// h_t is Role::act and dE/dh_t Role::dgrad, of all later steps; c_t is Role::cell_act and Role::cell_dgrad
/// is the total dE/dc_t, h_t included. Saturated activations are those of phi(c_t).
template <class Real>
std::unique_ptr<Block<Real>> make_lstm(const Bundle& bundle, int layer);
BlockParts lstm_parts(const NetworkSpec& network);
int lstm_tape(const NetworkSpec& network);
int lstm_gates(const NetworkSpec& network);

/// What an lstm block adds to the rows of W h + b + W_x x_t beside b: forget_bias, or the biases of t_max.
/// @return [gates * width], of one level, from 1
std::vector<double> lstm_gate_biases(const NetworkSpec& network, int level);

}  // namespace gradflow::nn
