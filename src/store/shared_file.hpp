#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "durable.hpp"
#include "gradflow/hdf5/dataset.hpp"
#include "gradflow/hdf5/file.hpp"
#include "gradflow/mpi/communicator.hpp"
#include "gradflow/stats/table.hpp"
#include "ledger.hpp"

namespace gradflow::store {

/// A result file that several ranks have open. After opening, each rank writes raw data on its own: nothing
/// here waits for another rank, except close().
class SharedFile {
 public:
  /// @collective over `writers` @throws Error
  SharedFile(const std::filesystem::path& path, const mpi::Communicator& writers,
             const stats::Columns& columns);
  SharedFile(SharedFile&&) = default;
  SharedFile& operator=(SharedFile&&) = default;
  /// Without close() the file stays open to the end of the process.
  ~SharedFile() { file_.abandon(); }

  bool ragged() const noexcept { return !row_start_.empty(); }

  /// Rows first_row .. first_row + rows of each of `points` consecutive points.
  /// @pre points == 1 if the file is ragged @throws Error
  void write_piece(const stats::Column& column, std::uint64_t first_point, std::uint64_t points,
                   int first_row, int rows, std::span<const double> values) const;

  /// Brings what this host has written to the disk. @throws Error
  void sync() const { sync_.data(); }

  /// Writes what is left of finished points, and only after that is on the disk their status. @throws Error
  void commit(const std::vector<FinishedPoint>& points) const;

  /// Takes the status of these points back, so that they are measured again; returns when the disk knows.
  /// @throws Error
  void forget(const std::vector<std::uint64_t>& points) const;

  /// @throws Error
  void record_launch(const std::map<std::string, std::string>& facts) const;

  /// @collective over the writers @throws Error
  void close();

 private:
  void commit_rows(const stats::Column& column, std::size_t number, std::span<const FinishedPoint> run) const;
  void seal(std::span<const FinishedPoint> run) const;
  std::uint64_t first_row_of(const stats::Column& column, std::uint64_t point) const;

  stats::Columns columns_;
  hdf5::File file_;
  DiskSync sync_;
  std::map<std::string, hdf5::Dataset> statistics_;
  std::vector<hdf5::Dataset> records_;    ///< checksum, failure code, failure layer, status
  std::vector<hdf5::Dataset> row_start_;  ///< one, if the file is ragged
};

}  // namespace gradflow::store
