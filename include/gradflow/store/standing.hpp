#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace gradflow::store {

/// How far a sweep is, as its file tells while it is being written: nobody is asked and nobody is disturbed.
struct Standing {
  std::uint64_t points = 0;
  std::uint64_t done = 0;
  std::uint64_t failed = 0;
  std::optional<std::string> writer;          ///< host, process and job of whoever writes the file now
  std::map<std::string, std::string> launch;  ///< facts of the last launch
  double seconds_since_launch = 0;
  double seconds_since_write = 0;  ///< since anything was written into the file

  std::uint64_t finished() const noexcept { return done + failed; }

  /// Points the last launch still has to measure, and those it has measured; as far as the file tells.
  std::optional<std::uint64_t> left() const;
  std::optional<std::uint64_t> measured() const;

  /// Of the last launch, its start included; nothing unless somebody writes and has finished a point.
  std::optional<double> points_per_second() const;
  std::optional<double> seconds_left() const;
};

/// Reads the status of every point and the facts of the last launch, nothing else.
/// @throws UserError as ResultFile::open()
Standing standing_of(const std::filesystem::path& file);

}  // namespace gradflow::store
