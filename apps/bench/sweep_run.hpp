#pragma once

#include <string>

#include "section.hpp"

namespace gradflow::bench {

/// How a sweep is spread over this machine.
struct Spread {
  int ranks = 1;
  int threads = 1;  ///< of each rank
  int stages = 1;   ///< ranks one network is split over
};

/// Runs `gradflow run` on a sweep and returns its seconds from the first point to the last, without starting,
/// opening the file and closing it.
/// @param sweep  the text of the sweep file
double run_sweep(const Settings& settings, const std::string& sweep, Spread spread);

}  // namespace gradflow::bench
