#include "shared_file.hpp"

#include <algorithm>

#include "gradflow/core/errors.hpp"
#include "names.hpp"

namespace gradflow::store {
namespace {

using hdf5::Dataset;
using Points = std::span<const FinishedPoint>;

/// Calls act(run) for each longest run of consecutive points that all satisfy `wanted`.
template <class Wanted, class Act>
void for_each_run(Points points, const Wanted& wanted, const Act& act) {
  for (std::size_t first = 0; first < points.size();) {
    std::size_t end = first;
    while (end < points.size() && wanted(points[end]) &&
           points[end].point == points[first].point + (end - first))
      ++end;
    if (end > first) act(points.subspan(first, end - first));
    first = std::max(end, first + 1);
  }
}

bool always(const FinishedPoint&) { return true; }

template <class T, class Value>
void write_record(const Dataset& record, Points run, const Value& value) {
  std::vector<T> values;
  for (const FinishedPoint& point : run) values.push_back(T(value(point)));
  record.write<T>({{run.front().point}, {run.size()}}, values);
}

}  // namespace

SharedFile::SharedFile(const std::filesystem::path& path, const mpi::Communicator& writers,
                       const stats::Columns& columns)
    : columns_(columns), file_(hdf5::File::open_shared(path, writers)), sync_(path) {
  for (const stats::Column& column : columns_) {
    statistics_.emplace(column.name, Dataset::open(file_, column.name));
  }
  for (const auto* name : {names::checksum, names::failure_code, names::failure_layer, names::status}) {
    records_.push_back(Dataset::open(file_, name));
  }
  if (file_.has(names::row_start)) row_start_.push_back(Dataset::open(file_, names::row_start));
}

std::uint64_t SharedFile::first_row_of(const stats::Column& column, std::uint64_t point) const {
  if (!ragged() || !column.per_layer) return point;
  return row_start_.front().read<std::uint64_t>({{point}, {1}}).front();
}

void SharedFile::write_piece(const stats::Column& column, std::uint64_t first_point, std::uint64_t points,
                             int first_row, int rows, std::span<const double> values) const {
  expect(!ragged() || points == 1, "a piece of one point in a ragged file");
  const Dataset& variable = statistics_.at(column.name);
  hdf5::Slab slab = hdf5::whole(variable.shape());
  const std::size_t row_axis = ragged() ? 0 : 1;
  slab.start[0] = first_row_of(column, first_point);
  slab.count[0] = points;
  slab.start[row_axis] += hsize_t(first_row);
  slab.count[row_axis] = hsize_t(rows);
  variable.write(slab, values);
}

void SharedFile::commit(const std::vector<FinishedPoint>& points) const {
  if (points.empty()) return;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    const auto has_values = [c](const FinishedPoint& point) { return !point.values[c].empty(); };
    for_each_run(points, has_values, [&](Points run) { commit_rows(columns_[c], c, run); });
  }
  sync();
  for_each_run(points, always, [&](Points run) { seal(run); });
  sync();
}

void SharedFile::commit_rows(const stats::Column& column, std::size_t number, Points run) const {
  std::vector<double> values;
  for (const FinishedPoint& point : run) {
    values.insert(values.end(), point.values[number].begin(), point.values[number].end());
  }
  const Dataset& variable = statistics_.at(column.name);
  hdf5::Slab slab = hdf5::whole(variable.shape());
  slab.start[0] = first_row_of(column, run.front().point);
  slab.count[0] = ragged() && column.per_layer ? values.size() / std::size_t(column.extent) : run.size();
  variable.write<double>(slab, values);
}

void SharedFile::seal(Points run) const {
  write_record<std::uint64_t>(records_[0], run, [](const auto& p) { return p.checksum; });
  write_record<std::int8_t>(records_[1], run, [](const auto& p) { return p.failure.code; });
  write_record<std::int32_t>(records_[2], run, [](const auto& p) { return p.failure.layer; });
  write_record<std::int8_t>(records_[3], run, [](const auto& p) { return p.status; });
}

void SharedFile::forget(const std::vector<std::uint64_t>& points) const {
  if (points.empty()) return;
  const std::vector<std::int8_t> not_done{std::int8_t(Status::not_done)};
  for (const std::uint64_t point : points) records_[3].write<std::int8_t>({{point}, {1}}, not_done);
  sync();
}

void SharedFile::record_launch(const std::map<std::string, std::string>& facts) const {
  if (!file_.has(names::launch_count)) return;
  Dataset count = Dataset::open(file_, names::launch_count);
  const std::int64_t number = count.read<std::int64_t>().front();
  for (const auto& [name, text] : facts) {
    if (!file_.has(name)) continue;
    std::string row = text;
    row.resize(launch_text_bytes, '\0');
    Dataset ring = Dataset::open(file_, name);
    ring.write_characters({{hsize_t(number % launches_kept), 0}, {1, launch_text_bytes}}, row);
    ring.close();
  }
  count.write<std::int64_t>({}, std::vector<std::int64_t>{number + 1});
  count.close();
  sync();
}

void SharedFile::close() {
  for (auto& [name, variable] : statistics_) variable.close();
  for (Dataset& record : records_) record.close();
  statistics_.clear();
  records_.clear();
  row_start_.clear();
  file_.close();
}

}  // namespace gradflow::store
