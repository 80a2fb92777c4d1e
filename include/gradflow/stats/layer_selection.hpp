#pragma once

#include <string_view>
#include <vector>

namespace gradflow::stats {

/// Which layers of a network are stored: `statistics.layers` of the sweep.
///
/// "all"       every layer.
/// "every:10"  1, 11, 21, ... and the last.
/// "log:64"    round(L^(k/63)) for k = 0 ... 63 without repetition: layer 1, layer L and up to 62 between
/// them at equal
///             ratios. Shallow networks store fewer, because neighbours round to the same layer.
class LayerSelection {
 public:
  /// @throws UserError saying what can be written
  static LayerSelection parse(std::string_view text);

  /// Layers in 1..depth, ascending; always 1 and `depth`. @pre depth >= 1
  std::vector<int> select(int depth) const;

 private:
  enum class Rule { every, logarithmic };
  LayerSelection(Rule rule, int number) : rule_(rule), number_(number) {}

  Rule rule_;
  int number_;  ///< the stride, or how many
};

}  // namespace gradflow::stats
