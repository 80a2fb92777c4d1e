#include "takeover.hpp"

#include "gradflow/hdf5/dataset.hpp"
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

void copy_statistics(const ResultFile& from, const hdf5::File& to, const std::vector<Run>& runs) {
  const bool ragged = to.has(names::row_start);  // the new sweep may be ragged where the old one was not
  std::vector<Dataset> row_start;
  if (ragged) row_start.push_back(Dataset::open(to, names::row_start));
  for (const stats::Column& column : from.columns()) {
    Dataset variable = Dataset::open(to, column.name);
    const bool per_obs = column.per_layer && ragged;
    for (const Run& run : runs) {
      const std::uint64_t rows = from.rows_of(run.first.from, run.points).count;
      const std::vector<double> values = from.read(column.name, run.first.from, run.points);
      variable.write<double>(place_of(variable, per_obs, row_start.data(), run, rows), values);
    }
    variable.close();
  }
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

void take_over(const ResultFile& old_file, const hdf5::File& skeleton, const Moves& moves) {
  const std::vector<Run> runs = runs_of(moves);
  copy_statistics(old_file, skeleton, runs);
  copy_record<std::uint64_t>(old_file, skeleton, names::checksum, runs);
  copy_record<std::int8_t>(old_file, skeleton, names::failure_code, runs);
  copy_record<std::int32_t>(old_file, skeleton, names::failure_layer, runs);
  copy_record<std::int8_t>(old_file, skeleton, names::status, runs);
  copy_launches(old_file, skeleton);
}

}  // namespace gradflow::store
