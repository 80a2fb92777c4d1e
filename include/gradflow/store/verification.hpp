#pragma once

#include <cstdint>
#include <vector>

#include "gradflow/store/result_file.hpp"

namespace gradflow::store {

/// For each point, whether it is done or failed and its rows are what was measured. Reads every row of points
/// that say so.
std::vector<bool> finished_points(const ResultFile& file);

/// What the rows of a result file are worth: every stored checksum compared with one computed anew.
struct Verification {
  std::uint64_t points = 0;
  std::uint64_t done = 0;           ///< intact
  std::uint64_t failed = 0;         ///< intact
  std::uint64_t not_done = 0;       ///< never committed
  std::vector<std::uint64_t> torn;  ///< said to be finished, but their rows are not what was measured

  bool complete() const noexcept { return done == points; }
};

Verification verify(const ResultFile& file);

}  // namespace gradflow::store
