#include "gradflow/report/profile.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace gradflow::report {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

struct Band {
  double mean = none, low = none, high = none;
};

Band band_at(const SeedRows& rows, std::size_t layer) {
  Band band;
  double sum = 0;
  int count = 0;
  for (const std::vector<double>& values : rows.of_seed) {
    const double value = values[layer];
    if (!std::isfinite(value)) continue;
    band.low = count == 0 ? value : std::min(band.low, value);
    band.high = count == 0 ? value : std::max(band.high, value);
    sum += value;
    ++count;
  }
  if (count > 0) band.mean = sum / count;
  return band;
}

}  // namespace

std::vector<double> layer_values(const store::ResultFile& file, const std::string& column,
                                 std::uint64_t point) {
  std::vector<double> values = file.read(column, point);
  const bool fits = file.column(column).per_layer && values.size() == file.layers_of(point).size();
  if (!fits)
    throw UserError(
        fmt::format("{} is damaged: {} is not one number per layer", file.path().string(), column));
  return values;
}

SeedRows read_rows(const store::ResultFile& file, const Configuration& configuration,
                   const std::string& column) {
  expect(!configuration.done.empty(), "rows of a configuration with a measured point");
  SeedRows rows{file.layers_of(configuration.done.front()), {}};
  for (const std::uint64_t point : configuration.done) {
    rows.of_seed.push_back(layer_values(file, column, point));
    if (rows.of_seed.back().size() == rows.layers.size()) continue;
    throw UserError(
        fmt::format("{} is damaged: points {} and {} are of one configuration and differ in layers",
                    file.path().string(), configuration.done.front(), point));
  }
  return rows;
}

SeedRows read_by_index(const store::ResultFile& file, const Configuration& configuration,
                       const std::string& column) {
  expect(!configuration.done.empty(), "rows of a configuration with a measured point");
  SeedRows rows;
  std::size_t length = 0;
  for (const std::uint64_t point : configuration.done) {
    const std::vector<double>& values = rows.of_seed.emplace_back(file.read(column, point));
    for (std::size_t i = length; i < values.size(); ++i) {
      if (!std::isnan(values[i])) length = i + 1;
    }
  }
  for (std::vector<double>& values : rows.of_seed) values.resize(length);
  for (std::size_t i = 0; i < length; ++i) rows.layers.push_back(int(i) + 1);
  return rows;
}

Profile profile_of(const SeedRows& rows) {
  Profile profile{rows.layers, {}, {}, {}};
  for (std::size_t layer = 0; layer < rows.layers.size(); ++layer) {
    const Band band = band_at(rows, layer);
    profile.mean.push_back(band.mean);
    profile.low.push_back(band.low);
    profile.high.push_back(band.high);
  }
  return profile;
}

Gaps gaps_of(const SeedRows& rows) {
  Gaps gaps;
  for (const std::vector<double>& values : rows.of_seed) {
    for (const double value : values) {
      gaps.zeros += std::isinf(value) && value < 0;
      gaps.undefined += std::isnan(value) || (std::isinf(value) && value > 0);
    }
  }
  return gaps;
}

}  // namespace gradflow::report
