#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "gradflow/core/failure.hpp"
#include "gradflow/core/role.hpp"
#include "gradflow/core/scaled.hpp"
#include "gradflow/core/signal.hpp"
#include "gradflow/nn/network.hpp"

namespace gradflow::nn {

/// Whoever measures a network: sees every tile of every signal of every layer once per microbatch, while it
/// is in cache.
template <class Real>
class Observer {
 public:
  virtual ~Observer() = default;

  /// Called by the owner of the block around each pass.
  virtual void begin_pass(const Stack&) {}
  virtual void end_pass() {}

  /// One tile of tiles_of(stack). Different tiles are shown by several threads at the same time.
  virtual void see(Role role, const Signal<Real>& signal, const RowRange& tile) = 0;

  /// Units and samples of one point whose |phi'| is below the saturation threshold, in one pass.
  /// @param role  the signal that phi made
  virtual void count_saturated(Role role, int point, std::int64_t elements) = 0;

  /// Elements of one sample of a gradient that are stored as 0 though neither factor is 0.
  /// @param log2_magnitudes  floor(log2 |true value|) of each
  virtual void count_lost(Role role, int point, std::span<const std::int64_t> log2_magnitudes) = 0;
};

/// What the forward pass of one microbatch leaves in a block for its backward pass. Its meaning is the
/// block's own.
template <class Real>
using Tape = std::vector<Signal<Real>>;

/// The first failure of each point of a bundle; a failing sample goes on as zeros, so its neighbours are not
/// disturbed.
using Failures = std::vector<Failure>;

/// Where a cotangent enters a block: at its output, or past its activation at the preactivation.
enum class Entry { output, preactivation };

/// Squared norms of the gradient of one weight matrix of one point, mean over the batch, with the weights'
/// own norm beside them.
struct WeightGradientNorms {
  Scaled weight_gradient_squared;  ///< |mean over samples of dE/dW|_F^2
  Scaled bias_gradient_squared;    ///< |mean over samples of dE/db|^2
  Scaled weight_squared;           ///< |W|_F^2
  Scaled sample_squared_sum;       ///< sum over samples of |dE_s/dW|_F^2
  double relative_error = 0;       ///< of weight_gradient_squared, what rounding may have done to it
  bool has_bias = false;
};

/// A vector of float64 sums with one exponent: true value = values[j] * 2^exponent.
struct ScaledVector {
  std::vector<double> values;
  std::int64_t exponent = 0;
};

/// What one tile of samples adds to the gradients of a normalisation n = scale zhat + shift.
struct NormalizationTile {
  int point = 0;
  ScaledVector scale;  ///< sum over its samples of dE/dn zhat, [width]
  ScaledVector shift;  ///< sum over its samples of dE/dn, [width]
};

/// Squared norms of the gradients of all scales and shifts of a block, mean over the batch.
struct NormalizationNorms {
  Scaled scale_gradient_squared;
  Scaled shift_gradient_squared;
};

/// The weight gradients of one block, added up over the microbatches of one bundle, in ascending order.
template <class Real>
class WeightGradient {
 public:
  virtual ~WeightGradient() = default;

  /// Adds one microbatch: what a matrix of the block was multiplied with, and the gradient of the product, in
  /// true values.
  virtual void add(WeightRole matrix, Signal<Real> input, Signal<Real> product_gradient,
                   const Stack& stack) = 0;

  /// One entry per point of the bundle. @pre every microbatch was added
  virtual std::vector<WeightGradientNorms> norms(WeightRole matrix) const = 0;

  /// Adds one microbatch of one of the block's normalisations, tile after tile.
  virtual void add_normalization(int, std::vector<NormalizationTile>) {}

  /// One entry per point of the bundle; none if the block does not normalise.
  virtual std::vector<NormalizationNorms> normalization_norms() const { return {}; }
};

/// One block of a bundle of networks: forward and backward over stacked samples, exponents included.
///
/// A block holds no state of a pass: that lives in the tape of the microbatch. A signal that a later block
/// needs has to be part of the State, so any block may be the first of a stage.
template <class Real>
class Block {
 public:
  virtual ~Block() = default;

  /// y = block(x).
  /// @param x  one signal per entry of the block's state, rows as in `stack`
  virtual State<Real> forward(State<Real> x, const Stack& stack, Tape<Real>& tape, Observer<Real>& observer,
                              Failures& failures) const = 0;

  /// dE/dx from dE/dy (or from dE/dz, see Entry); the weight gradient goes to `gradient`. Empties the tape.
  /// The first block of a network returns an empty state: nobody asks for the gradient of the data.
  virtual State<Real> backward(State<Real> dy, Entry entry, const Stack& stack, Tape<Real>& tape,
                               Observer<Real>& observer, WeightGradient<Real>& gradient,
                               Failures& failures) const = 0;

  /// An empty sum for one pass of the bundle over its batches.
  virtual std::unique_ptr<WeightGradient<Real>> weight_gradient() const = 0;

  /// The block of another layer, its weights being those of this one, held once; null if every layer has its
  /// own. @pre both layers are of the same level
  virtual std::unique_ptr<Block<Real>> at_layer(int) const { return nullptr; }
};

/// Widths of the signals between block `blocks_before` and the next: what a stage that begins there receives.
std::vector<int> state_widths(const NetworkSpec& network, int blocks_before);

/// Rows and features of a signal that travels between stages.
struct SignalShape {
  int rows = 0;
  int width = 0;
};

/// The signal of a block that Jacobians are of, and are taken with respect to: a total derivative, every path
/// between the two included.
enum class JacobianSignal {
  preactivation,  ///< z_l
  output,         ///< what the block passes on
  cell            ///< c_t of an lstm, with h_t = o phi(c_t)
};

/// A row of the block catalogue.
struct BlockRow {
  std::string_view name;
  std::unique_ptr<Block<float>> (*make_float32)(const Bundle&, int layer);
  std::unique_ptr<Block<double>> (*make_float64)(const Bundle&, int layer);
  BlockParts (*parts)(const NetworkSpec&);   ///< what it shows to an observer, and its weights
  int (*taped_signals)(const NetworkSpec&);  ///< that the forward pass of one block leaves, its input first
  Entry random_cotangent;                    ///< where the cotangent of no loss enters
  std::string_view doc;
  bool steps_in_time = false;  ///< depth counts steps, and every step has the weights of the first
  int state_signals = 1;       ///< of the layer's width, from block to block; of stacked levels each
  int (*gates)(const NetworkSpec&) = nullptr;  ///< stacked in each of its matrices; null: one
  JacobianSignal jacobian = JacobianSignal::output;
};

std::span<const BlockRow> blocks();

/// The row of a network's block. @throws UserError naming the known ones
const BlockRow& block_of(const NetworkSpec& network);

/// How many gates each weight matrix of a network computes: it has `gates * fan_out` rows.
int gates_of(const NetworkSpec& network);

/// What of the blocks of a network can be measured.
BlockParts parts_of(const NetworkSpec& network);

/// Layer `layer` (from 1) of every network of the bundle, its weights generated.
/// @pre all networks of the bundle share weights (may_share_bundle)
template <class Real>
std::unique_ptr<Block<Real>> make_block(const Bundle& bundle, int layer);

}  // namespace gradflow::nn
