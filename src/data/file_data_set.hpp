#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <variant>
#include <vector>

#include "gradflow/data/data_file.hpp"

namespace gradflow::data {

/// Features of all samples, [sample][feature]: bytes, which stand for byte / 255, or numbers.
using Values = std::variant<std::vector<std::uint8_t>, std::vector<float>>;

/// What a file announces, and how the rest of it is read.
struct Contents {
  std::int64_t size = 0;
  int width = 0;
  int value_bytes = 1;
  std::function<Values()> read_values = {};
  std::function<std::vector<int>()> read_labels = {};  ///< empty: there are none
};

/// A data set that is read once, when somebody looks at it.
class FileDataSet final : public nn::DataSet {
 public:
  FileDataSet(Contents contents, Standardization wanted);

  std::int64_t size() const override { return contents_.size; }
  int width() const override { return contents_.width; }
  bool has_labels() const override { return bool(contents_.read_labels); }
  double bytes() const override { return double(contents_.size) * contents_.width * contents_.value_bytes; }
  void copy(std::int64_t sample, std::span<float> out) const override;
  int label(std::int64_t sample) const override;

 private:
  void load_values() const;
  double value(std::int64_t sample, int feature) const;

  Contents contents_;
  Standardization wanted_;
  mutable std::once_flag values_are_read_;
  mutable std::once_flag labels_are_read_;
  mutable Values values_;
  mutable std::vector<int> labels_;
  mutable std::vector<double> mean_;   ///< of all features, or of each; empty if nothing is subtracted
  mutable std::vector<double> scale_;  ///< 1 / standard deviation, likewise
};

}  // namespace gradflow::data
