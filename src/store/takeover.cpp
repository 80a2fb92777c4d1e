#include "takeover.hpp"

#include <limits>

#include "gradflow/hdf5/dataset.hpp"
#include "gradflow/store/checksum.hpp"
#include "names.hpp"

namespace gradflow::store {
namespace {

using hdf5::Dataset;

constexpr std::uint64_t points_per_copy = 64;

/// Points that are neighbours in the old file and in the new one.
struct Run {
  Move first;
  std::uint64_t points = 0;
};

std::vector<Run> runs_of(const Moves& moves) {
  std::vector<Run> runs;
  for (const Move& move : moves) {
    const bool follows = !runs.empty() && runs.back().points < points_per_copy &&
                         move.from == runs.back().first.from + runs.back().points &&
                         move.to == runs.back().first.to + runs.back().points;
    if (!follows) runs.push_back({move, 0});
    ++runs.back().points;
  }
  return runs;
}

/// Where the rows of a run stand in a variable of the new file.
hdf5::Slab place_of(const Dataset& variable, bool per_obs, const Dataset* row_start, const Run& run,
                    std::uint64_t rows) {
  hdf5::Slab slab = hdf5::whole(variable.shape());
  slab.start[0] = per_obs ? row_start->read<std::uint64_t>({{run.first.to}, {1}}).front() : run.first.to;
  slab.count[0] = per_obs ? rows : run.points;
  return slab;
}

/// Fills one column of the new file. @param values_of  a run's values of the column, given its rows
template <class ValuesOf>
void fill(const ResultFile& from, const hdf5::File& to, const stats::Column& column,
          const std::vector<Run>& runs, const ValuesOf& values_of) {
  const bool ragged = to.has(names::row_start);  // the new sweep may be ragged where the old one was not
  std::vector<Dataset> row_start;
  if (ragged) row_start.push_back(Dataset::open(to, names::row_start));
  Dataset variable = Dataset::open(to, column.name);
  const bool per_obs = column.per_layer && ragged;
  for (const Run& run : runs) {
    const std::uint64_t rows = from.rows_of(run.first.from, run.points).count;
    variable.write<double>(place_of(variable, per_obs, row_start.data(), run, rows), values_of(run, rows));
  }
  variable.close();
}

void copy_statistics(const ResultFile& from, const hdf5::File& to, const std::vector<Run>& runs) {
  for (const stats::Column& column : from.columns()) {
    fill(from, to, column, runs,
         [&](const Run& run, std::uint64_t) { return from.read(column.name, run.first.from, run.points); });
  }
}

constexpr double nothing = std::numeric_limits<double>::quiet_NaN();

void leave_empty(const ResultFile& from, const hdf5::File& to, const stats::Columns& added,
                 const std::vector<Run>& runs) {
  for (const stats::Column& column : added) {
    fill(from, to, column, runs, [&](const Run& run, std::uint64_t rows) {
      return std::vector<double>((column.per_layer ? rows : run.points) * std::uint64_t(column.extent),
                                 nothing);
    });
  }
}

/// What empty columns add to a point's checksum.
std::uint64_t checksum_of_nothing(std::uint64_t point_hash, const stats::Columns& columns,
                                  const std::vector<int>& layers) {
  std::uint64_t sum = 0;
  for (const stats::Column& column : columns) {
    const std::size_t rows = column.per_layer ? layers.size() : 1;
    sum +=
        checksum(point_hash, column, layers, std::vector<double>(rows * std::size_t(column.extent), nothing));
  }
  return sum;
}

void copy_checksums(const ResultFile& from, const hdf5::File& to, const stats::Columns& added,
                    const std::vector<Run>& runs) {
  const Dataset source = Dataset::open(from.hdf5_file(), names::checksum);
  Dataset target = Dataset::open(to, names::checksum);
  for (const Run& run : runs) {
    auto sums = source.read<std::uint64_t>({{run.first.from}, {run.points}});
    for (std::uint64_t i = 0; i < run.points && !added.empty(); ++i) {
      const std::uint64_t point = run.first.from + i;
      sums[i] += checksum_of_nothing(from.point_hash(point), added, from.layers_of(point));
    }
    target.write<std::uint64_t>({{run.first.to}, {run.points}}, sums);
  }
  target.close();
}

template <class T>
void copy_record(const ResultFile& from, const hdf5::File& to, const std::string& name,
                 const std::vector<Run>& runs) {
  const Dataset source = Dataset::open(from.hdf5_file(), name);
  Dataset target = Dataset::open(to, name);
  for (const Run& run : runs) {
    const std::vector<T> values = source.read<T>({{run.first.from}, {run.points}});
    target.write<T>({{run.first.to}, {run.points}}, values);
  }
  target.close();
}

void copy_launches(const ResultFile& from, const hdf5::File& to) {
  if (!from.has(names::launch_count) || !to.has(names::launch_count)) return;
  Dataset count = Dataset::open(to, names::launch_count);
  count.write<std::int64_t>({}, Dataset::open(from.hdf5_file(), names::launch_count).read<std::int64_t>());
  count.close();
  for (const std::string& name : from.hdf5_file().names()) {
    if (from.describe(name, names::role) != names::roles::launch || !to.has(name)) continue;
    const Dataset source = Dataset::open(from.hdf5_file(), name);
    const hdf5::Slab all = hdf5::whole(source.shape());
    Dataset target = Dataset::open(to, name);
    target.write_characters(all, source.read_characters(all));
    target.close();
  }
}

}  // namespace

void take_over(const ResultFile& old_file, const hdf5::File& skeleton, const Moves& moves,
               const stats::Columns& added) {
  const std::vector<Run> runs = runs_of(moves);
  if (runs.empty())
    return copy_launches(old_file, skeleton);  // the old file may have columns the new one lacks
  copy_statistics(old_file, skeleton, runs);
  leave_empty(old_file, skeleton, added, runs);
  copy_checksums(old_file, skeleton, added, runs);
  copy_record<std::int8_t>(old_file, skeleton, names::failure_code, runs);
  copy_record<std::int32_t>(old_file, skeleton, names::failure_layer, runs);
  copy_record<std::int8_t>(old_file, skeleton, names::status, runs);
  copy_launches(old_file, skeleton);
}

}  // namespace gradflow::store
