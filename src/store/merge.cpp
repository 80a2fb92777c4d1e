#include "gradflow/store/merge.hpp"

#include <algorithm>
#include <string>
#include <unordered_map>

#include <fmt/format.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/store/link.hpp"
#include "gradflow/store/lock_file.hpp"
#include "gradflow/store/result_file.hpp"
#include "gradflow/store/verification.hpp"
#include "names.hpp"
#include "new_file.hpp"
#include "schema_of_files.hpp"
#include "takeover.hpp"

namespace gradflow::store {
namespace {

namespace fs = std::filesystem;
using Files = std::vector<ResultFile>;

void require_new(const fs::path& out) {
  std::error_code unknown;
  if (!fs::exists(fs::symlink_status(out, unknown))) return;
  throw UserError(fmt::format("{} exists; give the name of a new file, or move this one away", out.string()));
}

void require_same_columns(const ResultFile& a, const ResultFile& b) {
  const auto [ours, theirs] = std::mismatch(a.columns().begin(), a.columns().end(), b.columns().begin(),
                                            b.columns().end(), stats::same_shape);
  if (ours == a.columns().end() && theirs == b.columns().end()) return;
  throw UserError(
      fmt::format("{} and {} store different statistics ({} against {}); only files of one statistics.preset "
                  "can be joined",
                  a.path().string(), b.path().string(), ours == a.columns().end() ? "no more" : ours->name,
                  theirs == b.columns().end() ? "no more" : theirs->name));
}

/// The identity of the joined file. @throws UserError if files differ and may not
std::string common_numerics(const Files& files, bool allow_mixed) {
  const std::string first = files.front().attribute(names::numerics_identity);
  for (const ResultFile& file : files) {
    const std::string other = file.attribute(names::numerics_identity);
    if (other == first) continue;
    if (allow_mixed) return mixed_numerics;
    throw UserError(
        fmt::format("{} was measured with other arithmetic than {}, so their bits would not match: \"{}\" "
                    "against \"{}\"; "
                    "allow the mixture with --allow-mixed-numerics",
                    file.path().string(), files.front().path().string(), other, first));
  }
  return first;
}

/// One file and what of it may be taken.
struct Source {
  std::vector<std::uint64_t> hashes, checksums;
  std::vector<Status> status;
  std::vector<bool> finished;
  std::string last_launch;  ///< when it began; times of this form sort as texts
};

std::string last_launch_of(const ResultFile& file) {
  const auto launches = file.launches();
  if (launches.empty() || !launches.back().contains("launch_start")) return "";
  return launches.back().at("launch_start");
}

Source source_of(const ResultFile& file) {
  return {file.point_hashes(), hdf5::Dataset::open(file.hdf5_file(), names::checksum).read<std::uint64_t>(),
          file.statuses(), finished_points(file), last_launch_of(file)};
}

/// Chooses a file for every point.
class Choice {
 public:
  Choice(const Files& files, const std::vector<Origin>& points, Prefer prefer)
      : files_(files), prefer_(prefer), taken_(points.size()) {
    for (const ResultFile& file : files) sources_.push_back(source_of(file));
    for (std::uint64_t place = 0; place < points.size(); ++place)
      places_.emplace(hash_of(points[place]), place);
    for (std::size_t file = 0; file < files.size(); ++file) offer(file);
  }

  /// The points of one file that are taken, and their places.
  Moves moves_from(std::size_t file) const {
    Moves moves;
    for (std::uint64_t place = 0; place < taken_.size(); ++place) {
      if (taken_[place] && taken_[place]->file == file) moves.push_back({taken_[place]->point, place});
    }
    return moves;
  }

  Joined joined() const {
    Joined joined{.points = taken_.size(), .conflicts = conflicts_};
    for (const auto& origin : taken_) {
      if (origin) ++(status_of(*origin) == Status::done ? joined.done : joined.failed);
    }
    return joined;
  }

 private:
  std::uint64_t hash_of(Origin origin) const { return sources_[origin.file].hashes[origin.point]; }
  std::uint64_t checksum_of(Origin origin) const { return sources_[origin.file].checksums[origin.point]; }
  Status status_of(Origin origin) const { return sources_[origin.file].status[origin.point]; }

  void offer(std::size_t file) {
    const Source& source = sources_[file];
    for (std::uint64_t point = 0; point < source.hashes.size(); ++point) {
      if (!source.finished[point]) continue;
      std::optional<Origin>& taken = taken_[places_.at(source.hashes[point])];
      const Origin offered{file, point};
      if (!taken || is_better(offered, *taken)) taken = offered;
    }
  }

  bool is_better(Origin offered, Origin taken) {
    require_same_layers(offered, taken);
    if (status_of(offered) != status_of(taken)) return status_of(offered) == Status::done;
    if (checksum_of(offered) == checksum_of(taken)) return false;
    ++conflicts_;
    if (prefer_ == Prefer::error) refuse(offered, taken);
    return prefer_ == Prefer::newer && sources_[offered.file].last_launch > sources_[taken.file].last_launch;
  }

  void require_same_layers(Origin a, Origin b) const {
    if (files_[a.file].layers_of(a.point) == files_[b.file].layers_of(b.point)) return;
    throw UserError(fmt::format(
        "{} and {} store other layers of one point ({}); only files of one statistics.layers can be joined",
        files_[b.file].path().string(), files_[a.file].path().string(), files_[a.file].name_of(a.point)));
  }

  [[noreturn]] void refuse(Origin offered, Origin taken) const {
    throw UserError(fmt::format(
        "{} and {} have different results of one point ({}); choose with --prefer first or --prefer newer",
        files_[taken.file].path().string(), files_[offered.file].path().string(),
        files_[offered.file].name_of(offered.point)));
  }

  const Files& files_;
  Prefer prefer_;
  std::vector<Source> sources_;
  std::unordered_map<std::uint64_t, std::uint64_t> places_;  ///< of a hash in the new file
  std::vector<std::optional<Origin>> taken_;                 ///< by place
  std::uint64_t conflicts_ = 0;
};

/// What else than the first file's sweep the points come from.
std::string further_sweeps(const Files& files) {
  const auto sweep_of = [](const ResultFile& file) {
    return file.has_attribute("sweep_file") ? file.attribute("sweep_file") : std::string();
  };
  std::vector<std::string> texts{sweep_of(files.front())};
  std::string further;
  for (const ResultFile& file : files) {
    const std::string text = sweep_of(file);
    if (std::ranges::find(texts, text) != texts.end()) continue;
    texts.push_back(text);
    further += (further.empty() ? "" : "\n") + text;
  }
  return further;
}

Joined write_joined(const fs::path& name, const Files& files, Prefer prefer, bool archive,
                    bool allow_mixed_numerics) {
  for (const ResultFile& file : files) require_same_columns(files.front(), file);
  const std::vector<Origin> points = distinct_points(files);
  FileSchema schema = schema_of(files, points);
  schema.numerics_identity = common_numerics(files, allow_mixed_numerics);
  schema.archive = archive;
  if (const std::string further = further_sweeps(files); !further.empty())
    schema.attributes.emplace_back("merged_sweep_files", further);
  const Choice choice(files, points, prefer);

  const fs::path out = followed(name);
  const LockFile lock = LockFile::acquire(out);
  require_new(out);
  write_whole(out, schema, [&](const hdf5::File& skeleton) {
    for (std::size_t file = 0; file < files.size(); ++file)
      take_over(files[file], skeleton, choice.moves_from(file));
  });
  return choice.joined();
}

}  // namespace

Prefer prefer_of(std::string_view name) {
  if (name == "error") return Prefer::error;
  if (name == "first") return Prefer::first;
  if (name == "newer") return Prefer::newer;
  throw UserError(fmt::format("--prefer: read \"{}\"; choose one of: error first newer", name));
}

Joined merge(const fs::path& out, const std::vector<fs::path>& in, Prefer prefer, bool allow_mixed_numerics) {
  require_new(out);
  Files files;
  for (const fs::path& path : in) files.push_back(ResultFile::open(path));
  expect(!files.empty(), "at least one file to join");
  return write_joined(out, files, prefer, false, allow_mixed_numerics);
}

Joined finalize(const fs::path& in, const fs::path& out) {
  require_new(out);
  Files files;
  files.push_back(ResultFile::open(in));
  return write_joined(out, files, Prefer::error, true, true);
}

}  // namespace gradflow::store
