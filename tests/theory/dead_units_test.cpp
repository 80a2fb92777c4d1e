#include "gradflow/theory/dead_units.hpp"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "theory/simulation.hpp"

namespace gradflow::theory {
namespace {

bool dies(const std::vector<int>& widths, Random& random) {
  Vector x = random.vector(3);
  for (int n : widths) {
    Vector next;
    for (int i = 0; i < n; ++i) next.push_back(std::max(0.0, dot(random.vector(int(x.size())), x)));
    x = next;
  }
  return square(x) == 0;
}

TEST(DeadNetworkProbability, IsTheShareOfNetworksThatDie) {
  const std::vector<int> widths{2, 4, 3, 5};
  Random random(1);
  Vector dead;
  for (int i = 0; i < 40000; ++i) dead.push_back(dies(widths, random) ? 1.0 : 0.0);

  const Estimate share = estimate(dead);

  EXPECT_NEAR(share.mean, dead_network_probability(widths), 4 * share.error);
}

TEST(DeadNetworkProbability, AddsUpWhatOneLayerCannotShow) {
  EXPECT_NEAR(dead_network_probability(1, 2), 0.75, 1e-15);
  EXPECT_NEAR(dead_network_probability(100, 1000) / (1000 * std::exp2(-100)), 1, 1e-12);
  EXPECT_NEAR(dead_network_probability(std::vector<int>(30, 8)), dead_network_probability(8, 30), 1e-14);
}

}  // namespace
}  // namespace gradflow::theory
