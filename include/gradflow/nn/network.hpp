#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gradflow/core/signal.hpp"
#include "gradflow/nn/activation.hpp"
#include "gradflow/nn/data_set.hpp"
#include "gradflow/nn/initialiser.hpp"
#include "gradflow/nn/normalization.hpp"

namespace gradflow::nn {

/// Features of every signal of a network: signal 0 is the input, signal l the output of layer l.
///
/// A network of equal widths stores one number, so that depth costs no memory.
class Widths {
 public:
  /// @pre depth >= 1, width >= 1
  static Widths uniform(int depth, int width);
  /// @pre at least two entries, all >= 1
  static Widths listed(std::vector<int> widths);

  int depth() const noexcept { return depth_; }
  int operator[](int signal) const noexcept { return list_.empty() ? width_ : list_[std::size_t(signal)]; }
  int fan_in(int layer) const noexcept { return (*this)[layer - 1]; }
  int fan_out(int layer) const noexcept { return (*this)[layer]; }
  /// Whether the signals both networks have are equally wide: one is the beginning of the other.
  bool agree_with(const Widths& other) const noexcept;
  bool operator==(const Widths&) const = default;

 private:
  int depth_ = 0;
  int width_ = 0;
  std::vector<int> list_;
};

/// Where the backward pass begins.
struct BackwardSource {
  std::string loss = "random";  ///< a name of losses()
  bool shared = false;          ///< one cotangent for all samples of the batch
};

/// The factors of a residual block: y = skip x + branch F(x).
struct ResidualScales {
  double branch = 1;
  double skip = 1;
  int branch_layers = 1;  ///< weight matrices of a branch of preact_ and postact_residual blocks

  bool operator==(const ResidualScales&) const = default;
};

/// What comes into a recurrent network at every step.
enum class StepInput : std::uint8_t {
  none,
  gaussian,  ///< a fresh x_t ~ N(0, I) per sample and step
  data,      ///< x_t is the t-th of `steps` equal pieces of a sample of the data
};

/// The options of blocks that are steps in time.
struct Recurrence {
  StepInput input = StepInput::none;
  int input_width = 0;               ///< features of x_t from the data; other inputs are as wide as a layer
  double leak = 1;                   ///< of leaky_rnn
  bool forget_gate = true;           ///< of lstm
  double forget_bias = 1;            ///< of lstm
  std::optional<double> t_max = {};  ///< of lstm: chrono initialisation for memories up to this many steps
  int stack = 1;                     ///< levels: each takes in what the one below has just put out

  bool operator==(const Recurrence&) const = default;
};

/// A line through the space of inputs: t u + offset v, -range <= t <= range, u and v at right angles.
struct GridLine {
  double range = 2;
  double offset = 0;

  bool operator==(const GridLine&) const = default;
};

/// The Jacobian of one signal with respect to an earlier one, at the first sample: see BlockRow::jacobian.
struct JacobianRequest {
  int from = 1;        ///< layer, block or step
  int to = 1;          ///< of the later signal, above `from`
  int directions = 1;  ///< of the later signal, at most its units and those of the earlier one
  bool all = false;    ///< every direction there is, so singular values too

  bool operator==(const JacobianRequest&) const = default;
};

/// One network with its data, ready to be measured: everything that decides the numbers, and nothing else.
struct NetworkSpec {
  std::string block = "dense";  ///< a name of blocks()
  Widths widths;
  Activation activation;
  Normalization normalization;
  ResidualScales residual;
  double transform_bias = 0;  ///< of highway gates
  Recurrence recurrence;
  Initialisation init;
  std::string data = "gaussian";            ///< a name of data_sources()
  double input_correlation = 0.5;           ///< c_0 of the source `correlated`
  GridLine grid;                            ///< of the source `grid`
  std::shared_ptr<const DataSet> data_set;  ///< of a source that reads files; null for the others
  int batch = 1;
  BackwardSource backward;
  std::uint64_t seed = 0;
  std::optional<JacobianRequest> jacobian = {};

  int depth() const noexcept { return widths.depth(); }

  /// A recurrent network's layer (time - 1) * stack + level is the step `time` of level `level`, both from 1.
  int steps() const noexcept { return depth() / recurrence.stack; }
  int time_of(int layer) const noexcept { return (layer - 1) / recurrence.stack + 1; }
  int level_of(int layer) const noexcept { return (layer - 1) % recurrence.stack + 1; }
};

/// Features of a sample of the network's data: those of h_0, or of all steps together.
int features_of(const NetworkSpec& network);

/// Points that are executed together: equal seed and weight distribution, equal widths as far as both go, so
/// each unit matrix is generated once.
///
/// The deepest point comes first and the shallowest last: the points that have a layer are the first ones,
/// their rows the first rows of the stack, and a point that ends leaves at the end.
using Bundle = std::vector<NetworkSpec>;

/// Whether two points may share a bundle: same unit weight matrices in the layers both have, and a backward
/// pass that enters the last layer of each at the same place.
bool may_share_bundle(const NetworkSpec& a, const NetworkSpec& b);

/// Whether the samples of a point have to be in one microbatch: batch normalisation and scales found from
/// data (LSUV) take them together, and the gradients of tied weights are sums over steps.
bool takes_batch_whole(const NetworkSpec& network);

/// Whether no point is deeper than the one before it.
bool is_deepest_first(const Bundle& bundle);

/// How many points have this layer: the first ones. @pre is_deepest_first(bundle)
int points_with_layer(const Bundle& bundle, int layer);

/// Microbatch `index` of `count` of every point of the bundle that has `layer`, stacked; no rows if none has.
/// Cuts fall on multiples of tile_rows.
/// @pre 0 <= index < count <= most_microbatches(bundle)
Stack microbatch_rows(const Bundle& bundle, int index, int count, int layer = 1);

/// The finest cut of a bundle: tiles in its largest batch; 1 if a point takes its batch whole.
int most_microbatches(const Bundle& bundle);

}  // namespace gradflow::nn
