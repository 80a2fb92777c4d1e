#include "failure_log.hpp"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <string>
#include <type_traits>
#include <unistd.h>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::store {
namespace {

std::string value_of(const Coordinate& coordinate, std::uint64_t point) {
  return std::visit([&](const auto& value) { return fmt::format("{}", value(point)); }, coordinate.values);
}

/// "sigma_w = 1.5, seed = 3", as ResultFile::name_of().
std::string name_of(const FileSchema& schema, std::uint64_t point) {
  std::string name;
  for (const Coordinate& coordinate : schema.coordinates) {
    if (!coordinate.swept) continue;
    name += (name.empty() ? "" : ", ") + coordinate.name + " = " + value_of(coordinate, point);
  }
  return name;
}

/// "layer 3, sample 5"
std::string place_of(const Failure& failure) {
  std::string place = fmt::format("layer {}", failure.layer);
  if (failure.sample != Failure::no_sample) place += fmt::format(", sample {}", failure.sample);
  return place;
}

std::string line_of(const FileSchema& schema, const FinishedPoint& point) {
  return fmt::format("{:%FT%TZ} point {} ({}) failed at {}: {}\n", fmt::gmtime(std::time(nullptr)),
                     point.point, name_of(schema, point.point), place_of(point.failure),
                     meaning(point.failure.code));
}

/// One call for all lines, so that those of other groups fall between them and not into them.
void append(const std::filesystem::path& log, const std::string& lines) {
  const auto raise = [&] {
    throw Error(fmt::format("cannot write {}: {}", log.string(), std::strerror(errno)));
  };
  const int descriptor = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor < 0) raise();
  const ssize_t written = write(descriptor, lines.data(), lines.size());
  const int reason = written < 0 ? errno : ENOSPC;
  if (close(descriptor) != 0) raise();
  if (written == ssize_t(lines.size())) return;
  errno = reason;
  raise();
}

}  // namespace

std::filesystem::path failure_log_of(const std::filesystem::path& file) {
  std::filesystem::path log = file;
  log += ".log";
  return log;
}

void log_failures(const std::filesystem::path& file, const FileSchema& schema,
                  const std::vector<FinishedPoint>& points) {
  std::string lines;
  for (const FinishedPoint& point : points) {
    if (point.failure) lines += line_of(schema, point);
  }
  if (!lines.empty()) append(failure_log_of(file), lines);
}

}  // namespace gradflow::store
