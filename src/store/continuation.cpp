#include "continuation.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <unordered_map>

#include <fmt/format.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/store/result_file.hpp"
#include "gradflow/store/verification.hpp"
#include "names.hpp"
#include "new_file.hpp"
#include "takeover.hpp"

namespace gradflow::store {
namespace {

namespace fs = std::filesystem;
using Bits = std::vector<bool>;

bool same_columns(const ResultFile& file, const FileSchema& schema) {
  return std::equal(file.columns().begin(), file.columns().end(), schema.columns.begin(),
                    schema.columns.end(), stats::same_shape);
}

bool same_layers(const ResultFile& file, const FileSchema& schema) {
  if (file.is_ragged() != is_ragged(schema)) return false;
  const std::uint64_t different = is_ragged(schema) ? file.points() : 1;
  for (std::uint64_t point = 0; point < different; ++point) {
    if (file.layers_of(point) != layers_of(schema, point)) return false;
  }
  return true;
}

bool same_points(const ResultFile& file, const FileSchema& schema) {
  if (file.points() != schema.points) return false;
  const std::vector<std::uint64_t> hashes = file.point_hashes();
  for (std::uint64_t point = 0; point < hashes.size(); ++point) {
    if (hashes[point] != schema.point_hash(point)) return false;
  }
  return true;
}

[[noreturn]] void refuse_other_numerics(const ResultFile& file, const FileSchema& schema) {
  const std::string stored = file.attribute(names::numerics_identity);
  const std::string core = file.attribute(names::openblas_core);
  const bool other_core = stored != mixed_numerics && core != schema.openblas_core;
  const std::string remedy =
      other_core ? fmt::format("set OPENBLAS_CORETYPE={}", core) : "write to another file";
  throw UserError(fmt::format(
      "{} was measured with other arithmetic, so its bits would not match: it says \"{}\", this run is "
      "\"{}\"; {}, or allow the mixture with --allow-mixed-numerics",
      file.path().string(), stored, schema.numerics_identity, remedy));
}

std::string named(const stats::Column& column) {
  return column.setting.empty() ? column.name : fmt::format("{} with {}", column.name, column.setting);
}

/// Those of `some` that are not among `others`.
stats::Columns without(const stats::Columns& some, const stats::Columns& others) {
  stats::Columns left;
  std::ranges::copy_if(some, std::back_inserter(left), [&](const stats::Column& column) {
    return std::ranges::none_of(others,
                                [&](const stats::Column& other) { return stats::same_shape(column, other); });
  });
  return left;
}

[[noreturn]] void refuse_other_statistics(const ResultFile& file, const std::string& difference) {
  throw UserError(
      fmt::format("{} stores other statistics than this sweep asks for ({}); restore "
                  "[statistics], or write to another file",
                  file.path().string(), difference));
}

/// The columns that the sweep has beyond those of the file: of parts that the new points have and the moved
/// ones have not.
/// @throws UserError if a moved point would have them, or if the file has columns that the sweep has not
stats::Columns added_columns(const ResultFile& file, const FileSchema& schema, const Moves& moves) {
  if (moves.empty()) return {};
  const stats::Columns dropped = without(file.columns(), schema.columns);
  if (!dropped.empty())
    refuse_other_statistics(file, fmt::format("it has {}, the sweep has not", named(dropped.front())));
  const stats::Columns added = without(schema.columns, file.columns());
  for (std::size_t i = 0; i < moves.size() && !added.empty(); ++i) {
    const std::vector<std::string> own = schema.columns_of(moves[i].to);
    const auto missing = std::ranges::find_if(
        added, [&](const stats::Column& column) { return std::ranges::find(own, column.name) != own.end(); });
    if (missing == added.end()) continue;
    refuse_other_statistics(file, fmt::format("it has no {} of point {} ({})", named(*missing), moves[i].from,
                                              file.name_of(moves[i].from)));
  }
  return added;
}

/// Where the finished points of `file` stand in the new sweep.
Moves moves_into(const ResultFile& file, const Bits& finished, const FileSchema& schema) {
  const std::vector<std::uint64_t> hashes = file.point_hashes();
  std::unordered_map<std::uint64_t, std::uint64_t> waiting;
  for (std::uint64_t point = 0; point < hashes.size(); ++point) {
    if (finished[point]) waiting.emplace(hashes[point], point);
  }

  Moves moves;
  for (std::uint64_t point = 0; point < schema.points && !waiting.empty(); ++point) {
    const auto found = waiting.find(schema.point_hash(point));
    if (found == waiting.end()) continue;
    moves.push_back({found->second, point});
    waiting.erase(found);
  }
  if (waiting.empty()) return moves;

  std::uint64_t stranger = file.points();
  for (const auto& [hash, point] : waiting) stranger = std::min(stranger, point);
  throw UserError(
      fmt::format("{} belongs to another sweep: its point {} ({}) is measured and is no point of this sweep; "
                  "put it back into the "
                  "sweep, or write to another file",
                  file.path().string(), stranger, file.name_of(stranger)));
}

void require_same_layers(const ResultFile& file, const FileSchema& schema, const Moves& moves) {
  for (const Move& move : moves) {
    if (file.layers_of(move.from) == layers_of(schema, move.to)) continue;
    throw UserError(
        fmt::format("{} stores other layers of point {} ({}) than this sweep asks for; restore "
                    "statistics.layers, or write to another file",
                    file.path().string(), move.from, file.name_of(move.from)));
  }
}

bool is_wanted(const Terms& terms, std::uint64_t point) {
  return terms.wanted.empty() || terms.wanted[point];
}

/// A failed point may be as if it had not been tried.
bool is_tried_again(Status status, std::uint64_t point, const Terms& terms) {
  return terms.retry_failed && status == Status::failed && is_wanted(terms, point);
}

/// Finished points of a file, and where each stands in the sweep.
Tally tally_of(const std::vector<Status>& status, const Moves& moves, const Terms& terms) {
  Tally tally;
  for (const Move& move : moves) {
    if (is_wanted(terms, move.to)) ++(status[move.from] == Status::done ? tally.done : tally.failed);
  }
  return tally;
}

/// @pre one bit for each point, or none
void keep_wanted(Bits& unfinished, const Terms& terms) {
  for (std::uint64_t point = 0; point < unfinished.size(); ++point) {
    unfinished[point] = unfinished[point] && is_wanted(terms, point);
  }
}

Continuation nothing_finished(std::uint64_t points) { return {Bits(points, true), {}, {}, 0}; }

/// What the columns take for every point of the file.
double bytes_of(const stats::Columns& columns, const ResultFile& file) {
  const double rows = double(file.rows_of(0, file.points()).count);
  double bytes = 0;
  for (const stats::Column& column : columns) {
    bytes += sizeof(double) * column.extent * (column.per_layer ? rows : double(file.points()));
  }
  return bytes;
}

/// The old file keeps its place until the new one is complete.
/// @throws UserError if the rows that move, and what is added to them, have no second place
void require_room_for_both(const fs::path& path, double added, double available) {
  struct stat present = {};
  if (stat(path.c_str(), &present) != 0) return;
  const double occupied = 512.0 * double(present.st_blocks) + added;
  if (occupied <= available) return;
  constexpr double gib = 1 << 30;
  throw UserError(fmt::format(
      "{} must be copied to take in the new points, which needs {:.4g} GiB beside it, but there is room for "
      "{:.4g} GiB; make room, or copy it to where there is more and continue it there",
      path.string(), occupied / gib, available / gib));
}

double room_beside(const fs::path& path) {
  std::error_code failure;
  const fs::space_info space = fs::space(path, failure);
  return failure ? std::numeric_limits<double>::infinity() : double(space.available);
}

Continuation move_to_new_skeleton(const ResultFile& file, const Bits& finished, const FileSchema& schema,
                                  const Terms& terms) {
  Continuation begin = nothing_finished(schema.points);
  const std::vector<Status> status = file.statuses();
  Moves moves = moves_into(file, finished, schema);
  std::erase_if(moves, [&](const Move& move) { return is_tried_again(status[move.from], move.to, terms); });
  begin.found = tally_of(status, moves, terms);
  const stats::Columns added = added_columns(file, schema, moves);
  require_same_layers(file, schema, moves);
  if (!moves.empty()) require_room_for_both(file.path(), bytes_of(added, file), room_beside(file.path()));

  write_whole(file.path(), schema,
              [&](const hdf5::File& skeleton) { take_over(file, skeleton, moves, added); });
  for (const Move& move : moves) begin.unfinished[move.to] = false;
  return begin;
}

Continuation as_it_is(const ResultFile& file, const Bits& finished, const Terms& terms) {
  const std::vector<Status> status = file.statuses();
  Continuation begin{Bits(status.size(), false), {}, {}, 0};
  Moves stay;
  for (std::uint64_t point = 0; point < status.size(); ++point) {
    if (finished[point] && !is_tried_again(status[point], point, terms)) {
      stay.push_back({point, point});
      continue;
    }
    begin.unfinished[point] = true;
    if (status[point] != Status::not_done && is_wanted(terms, point)) begin.forget.push_back(point);
  }
  begin.found = tally_of(status, stay, terms);
  return begin;
}

Continuation continue_file(const fs::path& path, const FileSchema& schema, const Terms& terms) {
  const ResultFile file = ResultFile::open(path);
  const Bits finished = finished_points(file);
  const bool any = std::find(finished.begin(), finished.end(), true) != finished.end();
  const std::string numerics = file.attribute(names::numerics_identity);
  const bool mixes = any && numerics != schema.numerics_identity;
  if (mixes && !terms.allow_mixed_numerics) refuse_other_numerics(file, schema);

  const bool marked = !mixes || numerics == mixed_numerics;
  const bool as_is = any && marked && !file.has_attribute(names::finalized) && same_points(file, schema) &&
                     same_columns(file, schema) && same_layers(file, schema);
  if (as_is) return as_it_is(file, finished, terms);
  if (!mixes) return move_to_new_skeleton(file, finished, schema, terms);
  FileSchema mixed = schema;  // an attribute changes only with its whole file
  mixed.numerics_identity = mixed_numerics;
  return move_to_new_skeleton(file, finished, mixed, terms);
}

/// @throws UserError naming two points of the sweep that are the same, which the hash could not tell apart
/// later
void require_distinct(const FileSchema& schema) {
  const std::vector<std::uint64_t> hashes = point_hashes(schema, 0, schema.points);
  std::vector<std::uint64_t> sorted = hashes;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice == sorted.end()) return;
  const auto one = std::find(hashes.begin(), hashes.end(), *twice);
  const auto other = std::find(one + 1, hashes.end(), *twice);
  throw UserError(fmt::format("points {} and {} of the sweep are the same; remove one of them from the axes",
                              one - hashes.begin(), other - hashes.begin()));
}

void require_writable(const fs::path& path) {
  if (access(path.c_str(), W_OK) == 0) return;
  throw UserError(fmt::format("you may not write to {}; change its permissions, or write to another file",
                              path.string()));
}

}  // namespace

Continuation create_or_continue(const fs::path& path, const FileSchema& schema, const Terms& terms) {
  require_distinct(schema);
  Continuation begin = nothing_finished(schema.points);
  if (fs::exists(path)) {
    require_writable(path);
    begin = continue_file(path, schema, terms);
  } else {
    write_whole(path, schema, [](const hdf5::File&) {});
  }
  begin.finished = schema.points - std::uint64_t(std::ranges::count(begin.unfinished, true));
  keep_wanted(begin.unfinished, terms);
  return begin;
}

}  // namespace gradflow::store
