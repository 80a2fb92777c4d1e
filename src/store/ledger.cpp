#include "ledger.hpp"

#include <algorithm>
#include <limits>

#include "gradflow/core/errors.hpp"
#include "gradflow/store/checksum.hpp"

namespace gradflow::store {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::size_t values_of(const stats::Column& column, std::size_t rows) {
  return (column.per_layer ? rows : 1) * std::size_t(column.extent);
}

}  // namespace

void Ledger::add(const Piece& piece) {
  Open& open = entry_of(piece);
  open.reported += piece.is_last ? 1 : 0;
  open.point.checksum += piece.checksum;
  open.point.failure = first_of(open.point.failure, piece.failure);
  account_for_rows(open, piece);
  take_values(open, piece);
  if (open.reported < stages_) return;

  const bool all = std::find(open.accounted.begin(), open.accounted.end(), false) == open.accounted.end();
  expect(all, "the stages of a group hold every stored layer of a point");
  finished_.emplace(piece.point, sealed(std::move(open)));
  open_.erase(piece.point);
}

void Ledger::add_failed(std::uint64_t point, Failure failure) {
  Open open = begun(point);
  open.point.failure = failure;
  for (std::size_t c = 0; c < schema_.columns.size(); ++c) {
    open.point.values[c].assign(values_of(schema_.columns[c], open.layers.size()), nan);
    failed_values_ += open.point.values[c].size();
  }
  finished_.emplace(point, sealed(std::move(open)));
}

Ledger::Open Ledger::begun(std::uint64_t point) const {
  Open open;
  open.layers = layers_of(schema_, point);
  open.accounted.assign(open.layers.size(), false);
  open.point.point = point;
  open.point.values.resize(schema_.columns.size());
  return open;
}

Ledger::Open& Ledger::entry_of(const Piece& piece) {
  const auto [entry, is_new] = open_.try_emplace(piece.point);
  if (is_new) entry->second = begun(piece.point);
  return entry->second;
}

void Ledger::account_for_rows(Open& open, const Piece& piece) {
  for (int row = piece.first_row; row < piece.first_row + piece.rows; ++row) {
    expect(!open.accounted.at(std::size_t(row)), "a stored layer belongs to one stage");
    open.accounted[std::size_t(row)] = true;
  }
}

void Ledger::take_values(Open& open, const Piece& piece) const {
  for (std::size_t c = 0; c < schema_.columns.size(); ++c) {
    if (piece.values[c].empty()) continue;
    const stats::Column& column = schema_.columns[c];
    std::vector<double>& row = open.point.values[c];
    row.resize(values_of(column, open.layers.size()), nan);
    const std::size_t start = column.per_layer ? values_of(column, std::size_t(piece.first_row)) : 0;
    std::copy(piece.values[c].begin(), piece.values[c].end(), row.begin() + std::ptrdiff_t(start));
  }
}

FinishedPoint Ledger::sealed(Open open) const {
  FinishedPoint point = std::move(open.point);
  point.status = point.failure ? Status::failed : Status::done;
  if (!point.failure) return point;

  // A stage cannot know of a failure elsewhere when it writes its rows: all of them are written over.
  point.checksum = 0;
  const std::uint64_t hash = schema_.point_hash(point.point);
  for (std::size_t c = 0; c < schema_.columns.size(); ++c) {
    const stats::Column& column = schema_.columns[c];
    if (column.run_fact) continue;
    point.values[c].assign(values_of(column, open.layers.size()), nan);
    point.checksum += checksum(hash, column, open.layers, point.values[c]);
  }
  return point;
}

std::vector<FinishedPoint> Ledger::take_finished() {
  std::vector<FinishedPoint> points;
  for (auto& [number, point] : finished_) points.push_back(std::move(point));
  finished_.clear();
  failed_values_ = 0;
  return points;
}

}  // namespace gradflow::store
