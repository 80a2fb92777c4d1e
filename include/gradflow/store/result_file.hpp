#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gradflow/core/failure.hpp"
#include "gradflow/hdf5/dataset.hpp"
#include "gradflow/hdf5/file.hpp"
#include "gradflow/stats/table.hpp"
#include "gradflow/store/schema.hpp"

namespace gradflow::store {

/// Rows of a statistic that belong to one point, or to consecutive points.
struct Rows {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

/// A result file, read only. Never blocks a writer and is never blocked by one.
///
/// Rows of points whose status is not_done hold no meaning: mask them.
class ResultFile {
 public:
  /// @throws UserError if there is no such file, or it is damaged, or not a gradflow result file
  static ResultFile open(const std::filesystem::path& path);

  const std::filesystem::path& path() const noexcept { return path_; }
  std::uint64_t points() const noexcept { return points_; }

  /// Root attributes. Numbers are given as text too.
  std::vector<std::string> attributes() const;
  bool has_attribute(const std::string& name) const;
  std::string attribute(const std::string& name) const;

  /// Names of the swept keys (one value per point) and of the fixed ones (one value), in the order of the
  /// sweep.
  const std::vector<std::string>& swept() const noexcept { return swept_; }
  const std::vector<std::string>& fixed() const noexcept { return fixed_; }
  bool has(const std::string& variable) const;
  bool is_text(const std::string& variable) const;
  hdf5::Kind kind(const std::string& variable) const;
  /// One attribute of one variable ("long_name", "units", "formula"); "" if there is none.
  std::string describe(const std::string& variable, const std::string& attribute) const;

  /// A coordinate of every point: as numbers, or as text (a number is printed so that it reads back equal).
  /// A fixed key gives one value. Dimension coordinates ("format") are read in the same way.
  std::vector<double> numbers(const std::string& coordinate) const;
  std::vector<std::string> texts(const std::string& coordinate) const;
  /// "sigma_w = 1.5, seed = 3": what tells this point from the others.
  std::string name_of(std::uint64_t point) const;

  /// The statistics, in file order.
  const stats::Columns& columns() const noexcept { return *columns_; }
  std::shared_ptr<const stats::Columns> shared_columns() const noexcept { return columns_; }
  const stats::Column& column(const std::string& name) const;

  bool is_ragged() const noexcept { return ragged_; }
  /// The stored layers of a point, and where they stand among the rows of all points.
  std::vector<int> layers_of(std::uint64_t point) const;
  /// The stored layers of consecutive points, in a few reads for all of them.
  std::vector<std::vector<int>> layers_of_each(std::uint64_t first_point, std::uint64_t points) const;
  Rows rows_of(std::uint64_t first_point, std::uint64_t points = 1) const;

  /// One statistic of one point, or of `points` points one after the other.
  /// @return [rows][extent] for each point; [extent] if the column is not per layer
  std::vector<double> read(const std::string& column, std::uint64_t first_point,
                           std::uint64_t points = 1) const;

  Status status(std::uint64_t point) const;
  std::vector<Status> statuses() const;
  Failure failure(std::uint64_t point) const;  ///< the sample is not stored
  std::vector<std::uint64_t> point_hashes() const;
  std::uint64_t point_hash(std::uint64_t point) const;

  /// Whether the stored statistics of these points are those whose checksums were stored. Points not done:
  /// false.
  std::vector<bool> intact(std::uint64_t first_point, std::uint64_t points) const;

  /// The facts of the last launches, oldest first: name and text.
  std::vector<std::map<std::string, std::string>> launches() const;

  /// Reads something of everything, so that what is damaged comes out. @throws UserError
  void require_readable() const;

  /// For whole-file work inside the module.
  const hdf5::File& hdf5_file() const noexcept { return file_; }

 private:
  ResultFile(std::filesystem::path path, hdf5::File file);
  void learn_layers();
  void learn_variables();
  void require_shape(const std::string& name, const hdf5::Shape& expected) const;
  void require_column(const stats::Column& column) const;
  void require_ascending(const std::vector<int>& layers) const;
  const hdf5::Dataset& dataset(const std::string& name) const;
  std::vector<std::string> texts(const std::string& variable, const hdf5::Slab& slab) const;
  template <class T>
  std::vector<T> values(const std::string& variable) const;
  template <class T>
  std::vector<T> values(const std::string& variable, const hdf5::Slab& slab) const;
  template <class T>
  T value_at(const std::string& variable, std::uint64_t point) const;

  std::filesystem::path path_;
  hdf5::File file_;
  std::uint64_t points_ = 0;
  bool ragged_ = false;
  std::vector<std::string> swept_, fixed_;
  std::shared_ptr<const stats::Columns> columns_;
  std::uint64_t rows_ = 0;   ///< of the layer axis; ragged: of all points together
  std::vector<int> layers_;  ///< of every point, unless ragged
  mutable std::map<std::string, hdf5::Dataset> open_;
};

/// One hash of everything that may not differ between two runs of a sweep: coordinates, status, checksums and
/// every statistic of the points that are done, in the order of points; facts of one run are left out.
std::uint64_t statistics_hash(const ResultFile& file);

}  // namespace gradflow::store
