#include <algorithm>
#include <span>

#include "gradflow/core/hash.hpp"
#include "gradflow/hdf5/attribute.hpp"
#include "gradflow/store/result_file.hpp"
#include "names.hpp"

namespace gradflow::store {
namespace {

constexpr std::uint64_t points_per_read = 64;

/// A hash of many things, one after the other: each is hashed with the hash of what came before as its seed.
class RunningHash {
 public:
  void add(const std::string& text) { value_ = xxh64(text, value_); }
  void add(std::span<const double> values) {
    value_ = xxh64({reinterpret_cast<const char*>(values.data()), values.size_bytes()}, value_);
  }
  std::uint64_t value() const noexcept { return value_; }

 private:
  std::uint64_t value_ = 0;
};

std::vector<std::size_t> rows_of_each_point(const ResultFile& file) {
  std::vector<std::size_t> rows;
  for (std::uint64_t first = 0; first < file.points(); first += points_per_read) {
    const std::uint64_t points = std::min(points_per_read, file.points() - first);
    for (const std::vector<int>& layers : file.layers_of_each(first, points)) rows.push_back(layers.size());
  }
  return rows;
}

void add_statistic(RunningHash& hash, const ResultFile& file, const stats::Column& column,
                   const std::vector<Status>& status, const std::vector<std::size_t>& rows) {
  for (std::uint64_t first = 0; first < file.points(); first += points_per_read) {
    const std::uint64_t points = std::min(points_per_read, file.points() - first);
    const std::vector<double> block = file.read(column.name, first, points);
    std::span<const double> rest = block;
    for (std::uint64_t point = first; point < first + points; ++point) {
      const std::size_t own = std::size_t(column.extent) * (column.per_layer ? rows[point] : 1);
      if (status[point] != Status::not_done) hash.add(rest.first(own));
      rest = rest.subspan(own);
    }
  }
}

bool is_run_fact(const ResultFile& file, const std::string& name) {
  const auto variable = hdf5::Dataset::open(file.hdf5_file(), name);
  return hdf5::has_attribute(variable.get(), names::run_fact);
}

}  // namespace

std::uint64_t statistics_hash(const ResultFile& file) {
  const std::vector<Status> status = file.statuses();
  const std::vector<std::size_t> rows = rows_of_each_point(file);
  std::vector<std::string> variables = file.hdf5_file().names();
  std::sort(variables.begin(), variables.end());

  RunningHash hash;
  for (const std::string& name : variables) {
    const std::string role = file.describe(name, names::role);
    const bool bare_axis = role.empty();  // has a length only; its values mean nothing
    if (bare_axis || is_run_fact(file, name)) continue;
    hash.add(name);
    if (role == names::roles::statistic) {
      add_statistic(hash, file, file.column(name), status, rows);
    } else {
      for (const std::string& text : file.texts(name)) hash.add(text);
    }
  }
  return hash.value();
}

}  // namespace gradflow::store
