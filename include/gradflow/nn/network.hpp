#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gradflow/core/signal.hpp"
#include "gradflow/nn/activation.hpp"
#include "gradflow/nn/data_set.hpp"
#include "gradflow/nn/initialiser.hpp"

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

/// One network with its data, ready to be measured: everything that decides the numbers, and nothing else.
struct NetworkSpec {
  std::string block = "dense";  ///< a name of blocks()
  Widths widths;
  Activation activation;
  Initialisation init;
  std::string data = "gaussian";            ///< a name of data_sources()
  double input_correlation = 0.5;           ///< c_0 of the source `correlated`
  std::shared_ptr<const DataSet> data_set;  ///< of a source that reads files; null for the others
  int batch = 1;
  BackwardSource backward;
  std::uint64_t seed = 0;

  int depth() const noexcept { return widths.depth(); }
};

/// Points that are executed together: equal seed, widths and weight distribution, so each unit matrix is
/// generated once.
using Bundle = std::vector<NetworkSpec>;

/// Whether two points may share a bundle: same unit weight matrices, and a backward pass that enters at the
/// same place.
bool may_share_bundle(const NetworkSpec& a, const NetworkSpec& b);

/// Microbatch `index` of `count` of every point of the bundle, stacked. Cuts fall on multiples of tile_rows.
/// @pre 0 <= index < count <= most_microbatches(bundle)
Stack microbatch_rows(const Bundle& bundle, int index, int count);

/// The finest cut of a bundle: tiles in its largest batch.
int most_microbatches(const Bundle& bundle);

}  // namespace gradflow::nn
