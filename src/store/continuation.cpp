#include "continuation.hpp"

#include <algorithm>
#include <functional>
#include <unistd.h>
#include <unordered_map>

#include <fmt/format.h>

#include "durable.hpp"
#include "gradflow/core/errors.hpp"
#include "gradflow/store/result_file.hpp"
#include "names.hpp"
#include "skeleton.hpp"
#include "takeover.hpp"

namespace gradflow::store {
namespace {

namespace fs = std::filesystem;
using Bits = std::vector<bool>;

constexpr std::uint64_t points_per_read = 64;

fs::path part_of(const fs::path& path) {
  fs::path part = path;
  part += ".part";
  return part;
}

/// Writes a new file under a provisional name, fills it and gives it its name; leaves nothing behind on
/// failure.
void replace(const fs::path& path, const FileSchema& schema,
             const std::function<void(const hdf5::File&)>& fill) {
  const fs::path part = part_of(path);
  fs::remove(part);  // of a run that was killed while it held the lock we hold now
  try {
    hdf5::File skeleton = create_skeleton(part, schema);
    fill(skeleton);
    skeleton.close();
    publish(part, path);
  } catch (...) {
    std::error_code ignored;
    fs::remove(part, ignored);
    throw;
  }
}

/// Points that are done or failed and whose rows are what was measured.
Bits finished_points(const ResultFile& file) {
  const std::vector<Status> status = file.statuses();
  Bits finished(status.size(), false);
  for (std::uint64_t first = 0; first < status.size(); first += points_per_read) {
    const std::uint64_t end = std::min<std::uint64_t>(first + points_per_read, status.size());
    const auto tried = [](Status s) { return s != Status::not_done; };
    if (std::none_of(status.begin() + std::ptrdiff_t(first), status.begin() + std::ptrdiff_t(end), tried))
      continue;
    const Bits intact = file.intact(first, end - first);
    std::copy(intact.begin(), intact.end(), finished.begin() + std::ptrdiff_t(first));
  }
  return finished;
}

bool same_shape(const stats::Column& a, const stats::Column& b) {
  return a.name == b.name && a.per_layer == b.per_layer && a.extra_dimension == b.extra_dimension &&
         a.extent == b.extent && a.run_fact == b.run_fact;
}

bool same_columns(const ResultFile& file, const FileSchema& schema) {
  return std::equal(file.columns().begin(), file.columns().end(), schema.columns.begin(),
                    schema.columns.end(), same_shape);
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

void require_same_numerics(const ResultFile& file, const FileSchema& schema) {
  const std::string stored = file.attribute(names::numerics_identity);
  if (stored == schema.numerics_identity) return;
  const std::string core = file.attribute(names::openblas_core);
  const std::string remedy =
      core == schema.openblas_core ? "write to another file" : fmt::format("set OPENBLAS_CORETYPE={}", core);
  throw UserError(fmt::format(
      "{} was measured with other arithmetic, so its bits would not match: it says \"{}\", this run is "
      "\"{}\"; {}, or allow the mixture with --allow-mixed-numerics",
      file.path().string(), stored, schema.numerics_identity, remedy));
}

void require_same_columns(const ResultFile& file, const FileSchema& schema) {
  const auto here = schema.columns;
  const auto there = file.columns();
  const auto [ours, theirs] = std::mismatch(here.begin(), here.end(), there.begin(), there.end(), same_shape);
  if (ours == here.end() && theirs == there.end()) return;
  throw UserError(
      fmt::format("{} stores other statistics than this sweep asks for (it has {}, the sweep {}); restore "
                  "[statistics], or write to "
                  "another file",
                  file.path().string(), theirs == there.end() ? "no more" : theirs->name,
                  ours == here.end() ? "no more" : ours->name));
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

Bits move_to_new_skeleton(const ResultFile& file, const Bits& finished, const FileSchema& schema) {
  Bits unfinished(schema.points, true);
  const Moves moves = moves_into(file, finished, schema);
  if (!moves.empty()) require_same_columns(file, schema);
  require_same_layers(file, schema, moves);

  replace(file.path(), schema, [&](const hdf5::File& skeleton) { take_over(file, skeleton, moves); });
  for (const Move& move : moves) unfinished[move.to] = false;
  return unfinished;
}

Bits continue_file(const fs::path& path, const FileSchema& schema, bool allow_mixed_numerics) {
  const ResultFile file = ResultFile::open(path);
  Bits finished = finished_points(file);
  const bool any = std::find(finished.begin(), finished.end(), true) != finished.end();
  if (any && !allow_mixed_numerics) require_same_numerics(file, schema);

  const bool as_is =
      any && same_points(file, schema) && same_columns(file, schema) && same_layers(file, schema);
  if (!as_is) return move_to_new_skeleton(file, finished, schema);
  finished.flip();
  return finished;
}

/// @throws UserError naming two points of the sweep that are the same, which the hash could not tell apart
/// later
void require_distinct(const FileSchema& schema) {
  std::vector<std::uint64_t> hashes(schema.points);
  for (std::uint64_t point = 0; point < schema.points; ++point) hashes[point] = schema.point_hash(point);
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

std::vector<bool> create_or_continue(const fs::path& path, const FileSchema& schema,
                                     bool allow_mixed_numerics) {
  require_distinct(schema);
  if (fs::exists(path)) {
    require_writable(path);
    return continue_file(path, schema, allow_mixed_numerics);
  }
  replace(path, schema, [](const hdf5::File&) {});
  return std::vector<bool>(schema.points, true);
}

}  // namespace gradflow::store
