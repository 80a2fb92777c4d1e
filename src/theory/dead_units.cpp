#include "gradflow/theory/dead_units.hpp"

#include <cmath>

namespace gradflow::theory {
namespace {

double ln_layer_lives(int width) { return std::log1p(-std::exp2(-width)); }

}  // namespace

// Through logarithms: 2^-1000 is added up over layers where 1 - 2^-1000 would be 1.
double dead_network_probability(std::span<const int> widths) {
  double ln_alive = 0;
  for (int n : widths) ln_alive += ln_layer_lives(n);
  return -std::expm1(ln_alive);
}

double dead_network_probability(int width, int depth) { return -std::expm1(depth * ln_layer_lives(width)); }

}  // namespace gradflow::theory
