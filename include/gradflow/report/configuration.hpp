#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gradflow/store/result_file.hpp"

namespace gradflow::report {

/// The value of one swept key.
struct KeyValue {
  std::string key;
  std::string text;   ///< as a person writes it; empty where the points have no such key
  double number = 0;  ///< NaN for a text and where there is none
};

/// Points that differ in nothing but the seed.
struct Configuration {
  std::string label;                  ///< "activation = tanh, sigma_w = 1.5"
  std::vector<KeyValue> values;       ///< of every swept key but the seed, in the order of the sweep
  std::vector<std::uint64_t> points;  ///< ascending
  std::vector<std::uint64_t> done;    ///< those of them that are measured
  std::uint64_t failed = 0;
};

/// Every configuration of a file, in the order of first points.
///
/// Texts of the file come out printable: without control characters and broken UTF-8.
std::vector<Configuration> configurations(const store::ResultFile& file);

/// How far a sweep has come.
struct Coverage {
  std::uint64_t points = 0;
  std::uint64_t done = 0;
  std::uint64_t failed = 0;

  std::uint64_t missing() const { return points - done - failed; }
};

Coverage coverage_of(const store::ResultFile& file);

}  // namespace gradflow::report
