#pragma once

#include "gradflow/nn/data_set.hpp"

namespace gradflow::nn {

/// Sample i has the features i + j/1024 and the class i modulo `classes`.
class MadeUpData final : public DataSet {
 public:
  MadeUpData(std::int64_t size, int width, int classes) : size_(size), width_(width), classes_(classes) {}

  std::int64_t size() const override { return size_; }
  int width() const override { return width_; }
  bool has_labels() const override { return classes_ > 0; }
  double bytes() const override { return 0; }
  void copy(std::int64_t sample, std::span<float> out) const override {
    for (std::size_t j = 0; j < out.size(); ++j) out[j] = float(sample) + float(j) / 1024;
  }
  int label(std::int64_t sample) const override { return int(sample % classes_); }

 private:
  std::int64_t size_;
  int width_;
  int classes_;
};

}  // namespace gradflow::nn
