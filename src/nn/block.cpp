#include "gradflow/nn/block.hpp"

#include <array>
#include <type_traits>

#include "gradflow/core/catalogue.hpp"
#include "gradflow/nn/dense.hpp"
#include "gradflow/nn/highway.hpp"
#include "gradflow/nn/recurrent.hpp"
#include "gradflow/nn/residual.hpp"

namespace gradflow::nn {
namespace {

template <class Real>
std::unique_ptr<Block<Real>> make_dense(const Bundle& bundle, int layer) {
  // A scale that is found needs the product of the whole batch before any of it goes on.
  if (bundle.front().normalization.kind != NormalizationKind::none || bundle.front().init.finds_scales()) {
    return make_normalised_dense<Real>(bundle, layer);
  }
  return std::make_unique<Dense<Real>>(bundle, layer);
}

/// x, and what phi and the normalisation worked on.
int dense_tape(const NetworkSpec& network) {
  return network.normalization.kind == NormalizationKind::none ? 2 : 3;
}

constexpr std::array block_catalogue{
    BlockRow{"dense", make_dense<float>, make_dense<double>, Dense<float>::parts, dense_tape,
             Entry::preactivation, "fully connected: z = W h + b, h = phi(z)", false, 1, nullptr,
             JacobianSignal::preactivation},
    BlockRow{"residual", make_residual<float>, make_residual<double>, residual_parts, residual_tape,
             Entry::output, "two matrices: x + branch_scale (W2 phi(W1 x + b1) + b2)"},
    BlockRow{"preact_residual", make_preact_residual<float>, make_preact_residual<double>, residual_parts,
             residual_tape, Entry::output, "activation first: x + branch_scale (W phi(x) + b)"},
    BlockRow{"postact_residual", make_postact_residual<float>, make_postact_residual<double>, residual_parts,
             residual_tape, Entry::output, "activation last: x + branch_scale phi(W x + b)"},
    BlockRow{"highway", make_highway<float>, make_highway<double>, highway_parts, highway_tape, Entry::output,
             "gated: t phi(W x + b) + (1 - t) x, t = sigmoid(W_t x + transform_bias)"},
    BlockRow{"rnn", make_rnn<float>, make_rnn<double>, rnn_parts, rnn_tape, Entry::output,
             "a step in time: h_t = phi(W h_{t-1} + b + W_x x_t)", true},
    BlockRow{"leaky_rnn", make_rnn<float>, make_rnn<double>, rnn_parts, rnn_tape, Entry::output,
             "a step in time: h_t = (1 - leak) h_{t-1} + leak phi(W h_{t-1} + b + W_x x_t)", true},
    BlockRow{"gru", make_gru<float>, make_gru<double>, gru_parts, gru_tape, Entry::output,
             "a step in time: h_t = (1 - u) phi(W_x x_t + r (W h_{t-1} + b)) + u h_{t-1}, gates u and r",
             true, 1, gru_gates},
    BlockRow{
        "lstm", make_lstm<float>, make_lstm<double>, lstm_parts, lstm_tape, Entry::output,
        "a step in time: c_t = f c_{t-1} + i phi(W h_{t-1} + b + W_x x_t), h_t = o phi(c_t), gates i, f, o",
        true, 2, lstm_gates, JacobianSignal::cell},
};

}  // namespace

std::span<const BlockRow> blocks() { return block_catalogue; }

const BlockRow& block_of(const NetworkSpec& network) { return find(blocks(), "block", network.block); }

BlockParts parts_of(const NetworkSpec& network) {
  BlockParts parts = block_of(network).parts(network);
  parts.normalises = network.normalization.kind != NormalizationKind::none;
  return parts;
}

int gates_of(const NetworkSpec& network) {
  const BlockRow& row = block_of(network);
  return row.gates ? row.gates(network) : 1;
}

std::vector<int> state_widths(const NetworkSpec& network, int blocks_before) {
  const int signals = network.recurrence.stack * block_of(network).state_signals;
  return std::vector<int>(std::size_t(signals), network.widths[blocks_before]);
}

template <class Real>
std::unique_ptr<Block<Real>> make_block(const Bundle& bundle, int layer) {
  const BlockRow& row = block_of(bundle.front());
  if constexpr (std::is_same_v<Real, float>) {
    return row.make_float32(bundle, layer);
  } else {
    return row.make_float64(bundle, layer);
  }
}

template std::unique_ptr<Block<float>> make_block(const Bundle&, int);
template std::unique_ptr<Block<double>> make_block(const Bundle&, int);

}  // namespace gradflow::nn
