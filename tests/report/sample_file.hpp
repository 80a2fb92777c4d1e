#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <stdlib.h>  // mkdtemp
#include <string>
#include <vector>

#include "gradflow/core/errors.hpp"
#include "gradflow/mpi/communicator.hpp"
#include "gradflow/store/result_file.hpp"
#include "gradflow/store/result_store.hpp"
#include "gradflow/theory/phase.hpp"

namespace gradflow::report {

inline constexpr double nan = std::numeric_limits<double>::quiet_NaN();
inline constexpr double infinity = std::numeric_limits<double>::infinity();

/// log10 sizes of a gradient that changes by `per_layer` with every layer towards the input, 0 at the output.
inline std::vector<double> straight_line(int depth, double per_layer) {
  std::vector<double> sizes;
  for (int layer = 1; layer <= depth; ++layer) sizes.push_back(per_layer * (depth - layer));
  return sizes;
}

/// One made-up measurement.
struct SamplePoint {
  std::string activation = "tanh";
  double sigma_w = 1;
  std::uint64_t seed = 0;
  std::vector<double> log10_norm = straight_line(50, -0.1);  ///< of the gradient, by layer
  store::Status status = store::Status::done;
  double slope = nan;  ///< a parameter of the activation
};

/// A result file with made-up measurements. Theory predicts a factor 10^-0.1 per layer and a critical
/// sigma_w.
struct SampleFile {
  std::vector<SamplePoint> points;
  std::string title = "A sample";
  double critical_sigma_w = 1.25;
  bool critical_of_sigma_w = false;  ///< another for each sigma_w
  theory::Stability critical_stability = theory::Stability::attracting;
  double chi1 = std::pow(10, -0.2);
  std::string scheme = "gaussian";
  std::string slope_key = "activation_slope";
  bool jacobian = false;    ///< with three directions, the last of them an exact zero
  bool lean = false;        ///< without the shares of elements outside a format
  bool magnitudes = false;  ///< with a histogram of the gradient

  store::FileSchema schema() const;
  double value(const std::string& column, const SamplePoint& point, int layer, int format) const;
  stats::PointTable table(const SamplePoint& point) const;

  /// Writes the file, by this process alone.
  store::ResultFile write(const std::string& name) const;
};

inline constexpr int sample_width = 100;

inline store::FileSchema SampleFile::schema() const {
  const auto all = std::make_shared<const std::vector<SamplePoint>>(points);
  store::FileSchema schema;
  schema.title = title;
  schema.points = all->size();
  schema.point_hash = [](std::uint64_t k) { return 7919 * (k + 1); };
  schema.coordinates = {
      {"activation", "activation function", "1",
       store::TextOf([all](auto k) { return (*all)[k].activation; })},
      {"scheme", "of initialisation", "1", store::TextOf([name = scheme](auto) { return name; }), false},
      {slope_key, "slope of it", "1", store::RealOf([all](auto k) { return (*all)[k].slope; })},
      {"sigma_w", "scale of W", "1", store::RealOf([all](auto k) { return (*all)[k].sigma_w; })},
      {"seed", "seed", "1", store::UnsignedOf([all](auto k) { return (*all)[k].seed; })},
      {"width", "units", "1", store::IntegerOf([](auto) { return std::int64_t(sample_width); }), false}};
  schema.layers = store::LayersOf([all](std::uint64_t k) {
    std::vector<int> layers;
    for (std::size_t i = 0; i < (*all)[k].log10_norm.size(); ++i) layers.push_back(int(i) + 1);
    return layers;
  });
  const auto layer_column = [](const char* name) {
    return stats::Column{.name = name, .long_name = name, .units = "1", .formula = "", .extra_dimension = ""};
  };
  const auto point_column = [](const char* name) {
    return stats::Column{.name = name,
                         .long_name = name,
                         .units = "1",
                         .formula = "",
                         .per_layer = false,
                         .extra_dimension = ""};
  };
  schema.columns = {layer_column("dgrad_log10_norm_mean"),   layer_column("theory_dgrad_log10_rms"),
                    layer_column("effective_sigma_w"),       point_column("theory_chi1"),
                    point_column("theory_critical_sigma_w"), point_column("theory_critical_stability")};
  if (!lean) {
    schema.columns.push_back(layer_column("dgrad_zero_fraction"));
    schema.columns.push_back(layer_column("dgrad_underflow_fraction"));
    schema.columns.back().extra_dimension = "format";
    schema.columns.back().extent = 2;
  }
  const auto direction_column = [&](const char* name) {
    schema.columns.push_back(point_column(name));
    schema.columns.back().extra_dimension = "index";
    schema.columns.back().extent = 3;
  };
  if (jacobian) {
    for (const char* name :
         {"lyapunov_exponent", "jacobian_log10_singular_value", "theory_lyapunov_exponent"}) {
      direction_column(name);
    }
  }
  schema.dimensions = {{"format", "number format", std::vector<std::string>{"fp16", "fp32"}}};
  if (magnitudes) {
    schema.columns.push_back(layer_column("dgrad_log2_histogram"));
    schema.columns.back().extra_dimension = "bin";
    schema.columns.back().extent = 4;
    schema.dimensions.push_back({"bin", "octave", std::vector<std::int64_t>{-7, -6, -5, -4}});
  }
  if (jacobian) schema.dimensions.push_back({"index", "direction", std::vector<std::int64_t>{1, 2, 3}});
  schema.numerics_identity = "made up";
  schema.openblas_core = "none";
  schema.attributes = {{"sweep_file", std::string("title = \"</pre><script>\"\n")}};
  return schema;
}

inline double SampleFile::value(const std::string& column, const SamplePoint& point, int layer,
                                int format) const {
  const double log10_norm = point.log10_norm[std::size_t(layer - 1)];
  const double log10_rms = log10_norm - std::log10(double(sample_width)) / 2;
  if (column == "dgrad_log10_norm_mean") return log10_norm;
  if (column == "theory_dgrad_log10_rms") return -0.1 * (int(point.log10_norm.size()) - layer);
  if (column == "effective_sigma_w") return point.sigma_w;
  if (column == "theory_chi1") return chi1;
  if (column == "theory_critical_sigma_w")
    return critical_sigma_w + (critical_of_sigma_w ? point.sigma_w : 0);
  if (column == "theory_critical_stability") return double(critical_stability);
  if (column == "dgrad_zero_fraction") return 0.5;
  if (column == "theory_lyapunov_exponent") return 0.625 - format;
  if (column == "lyapunov_exponent") return format == 2 ? -infinity : 0.5 - format;
  if (column == "jacobian_log10_singular_value") return format == 2 ? -infinity : 12.25 - 20 * format;
  if (column == "dgrad_log2_histogram") return format == 1 || format == 2 ? 0.25 : 0;
  const double threshold = (format == 0 ? -25 : -150) * std::log10(2.0);
  return log10_rms < threshold ? 0.5 : 0;  // all of the elements that are not zero
}

inline stats::PointTable SampleFile::table(const SamplePoint& point) const {
  const auto columns = std::make_shared<const stats::Columns>(schema().columns);
  stats::PointTable table(columns, 0, int(point.log10_norm.size()));
  for (int c = 0; c < int(columns->size()); ++c) {
    const stats::Column& column = (*columns)[std::size_t(c)];
    const int rows = column.per_layer ? table.rows() : 1;
    for (int i = 0; i < rows * column.extent; ++i) {
      table.values(c)[std::size_t(i)] = value(column.name, point, i / column.extent + 1, i % column.extent);
    }
  }
  return table;
}

/// A folder of its own, for as long as it is needed.
class OwnFolder {
 public:
  OwnFolder() : name_((std::filesystem::temp_directory_path() / "gradflow_report_XXXXXX").string()) {
    if (mkdtemp(name_.data()) == nullptr) throw Error("no folder " + name_);
  }
  OwnFolder(const OwnFolder&) = delete;
  OwnFolder& operator=(const OwnFolder&) = delete;
  ~OwnFolder() { std::filesystem::remove_all(name_); }

  std::filesystem::path path() const { return name_; }

 private:
  std::string name_;
};

inline store::ResultFile SampleFile::write(const std::string& name) const {
  const OwnFolder folder;
  const std::filesystem::path path = folder.path() / (name + ".h5");
  const mpi::Communicator world = mpi::Communicator::world();
  const mpi::Communicator group = world.split(0, 0);
  store::ResultStore store = store::ResultStore::open(world, group, path, schema());
  for (std::uint64_t k = 0; k < points.size(); ++k) {
    if (points[k].status == store::Status::not_done) continue;
    const bool failed = points[k].status == store::Status::failed;
    store.add(k, table(points[k]), failed ? Failure{FailureCode::non_finite, 7, 0} : Failure{});
  }
  store.close();
  return store::ResultFile::open(path);  // open files outlive their names
}

}  // namespace gradflow::report
