#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gradflow/stats/table.hpp"

namespace gradflow::store {

/// The value of every point, asked for point by point: a sweep of a million points is never a list.
using RealOf = std::function<double(std::uint64_t point)>;
using IntegerOf = std::function<std::int64_t(std::uint64_t point)>;
using UnsignedOf = std::function<std::uint64_t(std::uint64_t point)>;
using TextOf = std::function<std::string(std::uint64_t point)>;
using PointValues = std::variant<RealOf, IntegerOf, UnsignedOf, TextOf>;

/// One key of the sweep as a variable of the file. NaN or "" where a point has no such key.
struct Coordinate {
  std::string name;       ///< "sigma_w"
  std::string long_name;  ///< one line for a person
  std::string units = "1";
  PointValues values;
  bool swept = true;  ///< false: the same for every point, a scalar variable holding the value of point 0
};

/// The layers of a point whose statistics are stored, ascending, from 1.
using LayersOf = std::function<std::vector<int>(std::uint64_t point)>;

/// One list for all points (a rectangle [point][layer]), or a rule (depths differ: CF contiguous ragged).
using StoredLayers = std::variant<std::vector<int>, LayersOf>;

/// A further coordinate of the layer axis: a number of every stored layer of a point. Where the layers are a
/// rectangle, it is the same for all points.
struct LayerCoordinate {
  std::string name;                                             ///< "time"
  std::string long_name;                                        ///< one line for a person
  std::function<std::vector<int>(std::uint64_t point)> values;  ///< one for each of layers_of(schema, point)
};

/// A further dimension of some columns ("format", "index"), with its coordinate values.
struct Dimension {
  std::string name;
  std::string long_name;
  std::variant<std::vector<std::string>, std::vector<std::int64_t>, std::vector<double>> values;
};

using AttributeValue = std::variant<std::string, double, std::int64_t>;

/// Everything a result file holds beside its measurements: plain data, made by `experiment`, written by
/// `store`.
struct FileSchema {
  std::string title;
  std::uint64_t points = 0;
  /// No two points of a sweep are equal. Several threads may call it at once.
  std::function<std::uint64_t(std::uint64_t point)> point_hash;
  std::vector<Coordinate> coordinates;
  StoredLayers layers;
  std::vector<LayerCoordinate> layer_coordinates = {};
  stats::Columns columns;
  /// Names of the columns that a point has by what its network is made of; in its rows the others are NaN.
  std::function<std::vector<std::string>(std::uint64_t point)> columns_of;
  std::vector<Dimension> dimensions;  ///< each `extra_dimension` of a column is one of them

  /// What the bits of a statistic depend on beside the sweep: versions, core type, instruction set,
  /// precision.
  std::string numerics_identity;
  std::string openblas_core;  ///< the part of it a user can choose, by OPENBLAS_CORETYPE

  std::vector<std::pair<std::string, AttributeValue>> attributes;  ///< further root attributes, in order
  /// For archiving: statistics are compressed, and NaN where nothing was measured. No run writes into such a
  /// file; one that continues it begins a new one with its points.
  bool archive = false;
  std::vector<std::string> launch_facts;  ///< "launch_hosts", ...: one ring of texts each
};

/// The stored layers of one point.
std::vector<int> layers_of(const FileSchema& schema, std::uint64_t point);

/// The hashes [points] of points first to first + points - 1. The threads share them: a million points have a
/// million hashes. @pre first + points <= schema.points
std::vector<std::uint64_t> point_hashes(const FileSchema& schema, std::uint64_t first, std::uint64_t points);

inline bool is_ragged(const FileSchema& schema) { return std::holds_alternative<LayersOf>(schema.layers); }

/// What has become of a point.
enum class Status : std::int8_t { not_done = 0, done = 1, failed = 2 };

/// Raised when an old gradflow could no longer read the file; the root attribute `gradflow_schema`.
inline constexpr std::int64_t schema_version = 1;

/// The numerics identity of a file whose points were measured under several; no run has it by itself.
inline constexpr auto mixed_numerics = "mixed";

/// A launch's facts are cut to this many bytes, and a file remembers this many launches.
inline constexpr int launch_text_bytes = 1024;
inline constexpr int launches_kept = 16;

}  // namespace gradflow::store
