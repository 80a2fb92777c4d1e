#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gradflow::nn {

/// Samples that come from outside, numbered from 0. Whoever reads files implements it; here they are only
/// looked at.
///
/// What is announced (size, width, labels or none) is known at once; values and labels may be read when they
/// are first asked for, from any thread.
class DataSet {
 public:
  virtual ~DataSet() = default;

  virtual std::int64_t size() const = 0;  ///< samples
  virtual int width() const = 0;          ///< features of each
  virtual bool has_labels() const = 0;
  virtual double bytes() const = 0;  ///< that the features take in memory

  /// The features of one sample. @param out  [width()]
  virtual void copy(std::int64_t sample, std::span<float> out) const = 0;

  /// The class of one sample, from 0. @pre has_labels()
  virtual int label(std::int64_t sample) const = 0;
};

/// Which samples make up a batch: entry s is the number of the batch's sample s, drawn without repetition.
///
/// A function of (seed, size) and s: a smaller batch is the beginning of a larger one.
/// @pre 0 <= batch <= size < 2^31
std::vector<std::int64_t> selected_samples(std::uint64_t seed, int batch, std::int64_t size);

}  // namespace gradflow::nn
