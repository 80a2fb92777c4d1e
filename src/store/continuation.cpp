#include "continuation.hpp"

#include <algorithm>
#include <fstream>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <sys/stat.h>
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

/// Whether a file may be what HDF5 leaves when it is killed: its signature, which it writes last, or nothing
/// in its place.
bool may_be_half_written(const fs::path& part) {
  constexpr std::string_view signature = "\x89HDF\r\n\x1a\n";
  std::string begin(signature.size(), '\0');
  std::ifstream(part, std::ios::binary).read(begin.data(), std::streamsize(begin.size()));
  return begin == signature || begin == std::string(begin.size(), '\0');
}

/// Removes what a run left that was killed while it held the lock we hold now.
/// @throws UserError if it is somebody else's
void remove_unfinished(const fs::path& part) {
  std::error_code unknown;
  const fs::file_type type = fs::symlink_status(part, unknown).type();
  if (type == fs::file_type::not_found) return;
  if (type != fs::file_type::regular || !may_be_half_written(part)) {
    throw UserError(
        fmt::format("{} is in the way: a new file is written under that name first, and what is there is not "
                    "from a run of "
                    "gradflow that was killed; move it, or write to another file",
                    part.string()));
  }
  fs::remove(part);
}

/// Writes a new file under a provisional name, fills it and gives it its name; leaves nothing behind on
/// failure.
void replace(const fs::path& path, const FileSchema& schema,
             const std::function<void(const hdf5::File&)>& fill) {
  const fs::path part = part_of(path);
  remove_unfinished(part);
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
         a.extent == b.extent && a.run_fact == b.run_fact && a.setting == b.setting;
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

void require_same_columns(const ResultFile& file, const FileSchema& schema) {
  const auto here = schema.columns;
  const auto there = file.columns();
  const auto [ours, theirs] = std::mismatch(here.begin(), here.end(), there.begin(), there.end(), same_shape);
  if (ours == here.end() && theirs == there.end()) return;
  throw UserError(
      fmt::format("{} stores other statistics than this sweep asks for (it has {}, the sweep {}); restore "
                  "[statistics], or write to "
                  "another file",
                  file.path().string(), theirs == there.end() ? "no more" : named(*theirs),
                  ours == here.end() ? "no more" : named(*ours)));
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

Tally tally_of(const std::vector<Status>& status, const Bits& finished) {
  Tally tally;
  for (std::size_t point = 0; point < status.size(); ++point) {
    if (finished[point]) ++(status[point] == Status::done ? tally.done : tally.failed);
  }
  return tally;
}

Continuation nothing_finished(std::uint64_t points) { return {Bits(points, true), {}, {}}; }

/// The old file keeps its place until the new one is complete.
/// @throws UserError if the rows that move have no second place
void require_room_for_both(const fs::path& path, double available) {
  struct stat present = {};
  if (stat(path.c_str(), &present) != 0) return;
  const double occupied = 512.0 * double(present.st_blocks);
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

Continuation move_to_new_skeleton(const ResultFile& file, const Bits& finished, const FileSchema& schema) {
  Continuation begin = nothing_finished(schema.points);
  begin.found = tally_of(file.statuses(), finished);
  const Moves moves = moves_into(file, finished, schema);
  if (!moves.empty()) require_same_columns(file, schema);
  require_same_layers(file, schema, moves);
  if (!moves.empty()) require_room_for_both(file.path(), room_beside(file.path()));

  replace(file.path(), schema, [&](const hdf5::File& skeleton) { take_over(file, skeleton, moves); });
  for (const Move& move : moves) begin.unfinished[move.to] = false;
  return begin;
}

Continuation as_it_is(const ResultFile& file, const Bits& finished) {
  const std::vector<Status> status = file.statuses();
  Continuation begin{finished, {}, tally_of(status, finished)};
  begin.unfinished.flip();
  for (std::uint64_t point = 0; point < status.size(); ++point) {
    if (begin.unfinished[point] && status[point] != Status::not_done) begin.damaged.push_back(point);
  }
  return begin;
}

Continuation continue_file(const fs::path& path, const FileSchema& schema, bool allow_mixed_numerics) {
  const ResultFile file = ResultFile::open(path);
  const Bits finished = finished_points(file);
  const bool any = std::find(finished.begin(), finished.end(), true) != finished.end();
  const std::string numerics = file.attribute(names::numerics_identity);
  const bool mixes = any && numerics != schema.numerics_identity;
  if (mixes && !allow_mixed_numerics) refuse_other_numerics(file, schema);

  const bool marked = !mixes || numerics == mixed_numerics;
  const bool as_is =
      any && marked && same_points(file, schema) && same_columns(file, schema) && same_layers(file, schema);
  if (as_is) return as_it_is(file, finished);
  if (!mixes) return move_to_new_skeleton(file, finished, schema);
  FileSchema mixed = schema;  // an attribute changes only with its whole file
  mixed.numerics_identity = mixed_numerics;
  return move_to_new_skeleton(file, finished, mixed);
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

Continuation create_or_continue(const fs::path& path, const FileSchema& schema, bool allow_mixed_numerics) {
  require_distinct(schema);
  if (fs::exists(path)) {
    require_writable(path);
    return continue_file(path, schema, allow_mixed_numerics);
  }
  replace(path, schema, [](const hdf5::File&) {});
  return nothing_finished(schema.points);
}

}  // namespace gradflow::store
