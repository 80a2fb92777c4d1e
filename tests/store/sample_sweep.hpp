#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gradflow/mpi/communicator.hpp"
#include "gradflow/store/result_store.hpp"
#include "gradflow/store/schema.hpp"

namespace gradflow::store {

/// A small sweep of seeds 0 .. points-1 whose measurements are known numbers.
struct SampleSweep {
  std::uint64_t points = 10;
  std::uint64_t first_seed = 0;
  bool ragged = false;
  bool run_facts = false;
  int depth = 12;

  std::uint64_t hash(std::uint64_t point) const { return 0x9e3779b97f4a7c15ull * (first_seed + point + 1); }
  std::vector<int> layers(std::uint64_t point) const {
    std::vector<int> stored;
    const int last = ragged ? depth - int((first_seed + point) % 4) : depth;
    for (int layer = 1; layer <= last; layer += 2) stored.push_back(layer);
    return stored;
  }
  FileSchema schema() const;

  /// What stage `stage` of `stages` measured at this point: contiguous rows, as a partition gives them.
  stats::PointTable measured(std::uint64_t point, int stage, int stages) const;
  double value(const stats::Column& column, std::uint64_t point, int layer, int index) const {
    return double(column.name.size()) + 1000.0 * double(first_seed + point) + layer + 0.125 * index;
  }
  /// Every value of one column at one point.
  std::vector<double> row(const stats::Column& column, std::uint64_t point) const;
};

inline FileSchema SampleSweep::schema() const {
  FileSchema schema;
  const SampleSweep sweep = *this;
  schema.title = "Order to chaos";
  schema.points = points;
  schema.point_hash = [sweep](std::uint64_t point) { return sweep.hash(point); };
  schema.coordinates = {
      {"sigma_w", "standard deviation of W times sqrt(fan_in)", "1",
       RealOf([sweep](std::uint64_t point) { return 0.5 + 0.25 * double(sweep.first_seed + point); })},
      {"activation", "activation function", "1",
       TextOf([](std::uint64_t point) { return std::string(point % 2 == 0 ? "tanh" : "erf"); })},
      {"seed", "seed of the random numbers", "1",
       UnsignedOf([sweep](std::uint64_t point) { return sweep.first_seed + point; })},
      {"width", "features per layer", "1", IntegerOf([](std::uint64_t) { return std::int64_t(256); }), false},
      {"block", "kind of block", "1", TextOf([](std::uint64_t) { return std::string("dense"); }), false},
  };
  if (ragged) {
    schema.layers = LayersOf([sweep](std::uint64_t point) { return sweep.layers(point); });
  } else {
    schema.layers = layers(0);
  }
  schema.columns = {
      {"dgrad_log10_norm_mean", "mean over samples of log10 |dE/dz|", "1", "mean_s log10 |dE_s/dz_l|", "",
       true, "", 1, false},
      {"dgrad_underflow_fraction", "share of elements a format would lose", "1", "", "", true, "format", 3,
       false},
      {"theory_chi1", "growth of squared gradients per layer", "1", "", "", false, "", 1, false},
      {"lyapunov_exponent", "growth rates", "1", "", "", false, "index", 2, false},
  };
  if (run_facts)
    schema.columns.push_back({"wall_seconds", "time of a point", "s", "", "", false, "", 1, true});
  schema.columns_of = [columns = schema.columns](std::uint64_t) {
    std::vector<std::string> names;
    for (const stats::Column& column : columns) names.push_back(column.name);
    return names;
  };
  schema.dimensions = {{"format", "number format", std::vector<std::string>{"fp8_e4m3", "fp16", "fp32"}},
                       {"index", "place in descending order", std::vector<std::int64_t>{1, 2}}};
  schema.numerics_identity = "gradflow 0.1.0, OpenBLAS 0.3.21 Haswell, avx2, float32";
  schema.openblas_core = "Haswell";
  schema.attributes = {{"sweep", std::string("title = \"Order to chaos\"\n")},
                       {"saturation_threshold", 0.01}};
  schema.launch_facts = {"launch_hosts", "launch_job"};
  return schema;
}

inline std::vector<double> SampleSweep::row(const stats::Column& column, std::uint64_t point) const {
  std::vector<double> values;
  for (const int layer : column.per_layer ? layers(point) : std::vector<int>{0}) {
    for (int index = 0; index < column.extent; ++index) values.push_back(value(column, point, layer, index));
  }
  return values;
}

inline stats::PointTable SampleSweep::measured(std::uint64_t point, int stage, int stages) const {
  const auto columns = std::make_shared<const stats::Columns>(schema().columns);
  const int rows = int(layers(point).size());
  const int first = rows * stage / stages;
  const int own = rows * (stage + 1) / stages - first;
  stats::PointTable table(columns, first, own);
  for (int c = 0; c < int(columns->size()); ++c) {
    const stats::Column& column = (*columns)[c];
    const std::vector<double> whole = row(column, point);
    const auto start = whole.begin() + (column.per_layer ? first * column.extent : 0);
    std::copy_n(start, table.values(c).size(), table.values(c).begin());
  }
  return table;
}

/// Measures the points that are still to be measured and of the group's share: point k belongs to group k mod
/// groups.
inline void measure(ResultStore& store, const SampleSweep& sweep, const mpi::Communicator& group,
                    int groups = 1, int number = 0, std::uint64_t end = UINT64_MAX) {
  for (std::uint64_t point = std::uint64_t(number); point < std::min(end, sweep.points);
       point += std::uint64_t(groups)) {
    if (!store.unfinished()[point]) continue;
    store.add(point, sweep.measured(point, group.rank(), group.size()), {});
  }
}

}  // namespace gradflow::store
