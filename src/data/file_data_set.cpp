#include "file_data_set.hpp"

#include <array>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "gradflow/core/catalogue.hpp"
#include "gradflow/core/errors.hpp"

namespace gradflow::data {
namespace {

struct StandardizationRow {
  std::string_view name;
  Standardization value;
};

constexpr std::array standardizations{StandardizationRow{"none", Standardization::none},
                                      StandardizationRow{"global", Standardization::global},
                                      StandardizationRow{"feature", Standardization::feature},
                                      StandardizationRow{"sample", Standardization::sample}};

/// Mean and inverse standard deviation of numbers that come in two passes.
struct Scale {
  double mean = 0;
  double inverse_std = 0;
};

/// @param first  one of them: equal numbers have no deviation from it, not even by rounding
/// @param each   calls its argument with every number, in the same order each time
template <class Each>
Scale scale_of(double count, double first, Each each) {
  double sum = 0;
  each([&](double x) { sum += x - first; });
  const double mean = first + sum / count;
  double squares = 0;
  each([&](double x) { squares += (x - mean) * (x - mean); });
  return {mean, squares > 0 ? 1 / std::sqrt(squares / count) : 0};
}

}  // namespace

Standardization standardization(std::string_view name) {
  return find(std::span<const StandardizationRow>(standardizations), "standardization", name).value;
}

FileDataSet::FileDataSet(Contents contents, Standardization wanted)
    : contents_(std::move(contents)), wanted_(wanted) {}

double FileDataSet::value(std::int64_t sample, int feature) const {
  const auto at = std::size_t(sample * contents_.width + feature);
  if (const auto* bytes = std::get_if<std::vector<std::uint8_t>>(&values_)) return (*bytes)[at] / 255.0;
  return std::get<std::vector<float>>(values_)[at];
}

void FileDataSet::load_values() const {
  values_ = contents_.read_values();
  const auto add = [&](double count, int first, int end) {
    const Scale scale = scale_of(count, value(0, first), [&](auto visit) {
      for (std::int64_t sample = 0; sample < size(); ++sample) {
        for (int feature = first; feature < end; ++feature) visit(value(sample, feature));
      }
    });
    mean_.push_back(scale.mean);
    scale_.push_back(scale.inverse_std);
  };
  if (wanted_ == Standardization::global) add(double(size()) * width(), 0, width());
  if (wanted_ == Standardization::feature) {
    for (int feature = 0; feature < width(); ++feature) add(double(size()), feature, feature + 1);
  }
}

void FileDataSet::copy(std::int64_t sample, std::span<float> out) const {
  expect(0 <= sample && sample < size() && int(out.size()) == width(), "a sample of the data set");
  std::call_once(values_are_read_, [this] { load_values(); });
  Scale scale{0, 1};
  if (wanted_ == Standardization::sample) {
    scale = scale_of(width(), value(sample, 0), [&](auto visit) {
      for (int feature = 0; feature < width(); ++feature) visit(value(sample, feature));
    });
  }
  for (int feature = 0; feature < width(); ++feature) {
    if (!mean_.empty()) {
      const std::size_t which = mean_.size() == 1 ? 0 : std::size_t(feature);
      scale = {mean_[which], scale_[which]};
    }
    out[std::size_t(feature)] = float((value(sample, feature) - scale.mean) * scale.inverse_std);
  }
}

int FileDataSet::label(std::int64_t sample) const {
  expect(has_labels() && 0 <= sample && sample < size(), "a sample of a data set with labels");
  std::call_once(labels_are_read_, [this] { labels_ = contents_.read_labels(); });
  return labels_[std::size_t(sample)];
}

}  // namespace gradflow::data
