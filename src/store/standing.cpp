#include "gradflow/store/standing.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>

#include "gradflow/store/link.hpp"
#include "gradflow/store/lock_file.hpp"
#include "gradflow/store/result_file.hpp"
#include "names.hpp"

namespace gradflow::store {
namespace {

std::optional<std::uint64_t> number_in(const std::map<std::string, std::string>& facts,
                                       const std::string& name) {
  const auto fact = facts.find(name);
  if (fact == facts.end()) return {};
  const char* end = fact->second.data() + fact->second.size();
  std::uint64_t number = 0;
  const auto [last, error] = std::from_chars(fact->second.data(), end, number);
  if (error != std::errc() || last != end) return {};
  return number;
}

/// "2026-11-30T22:55:00Z": seconds ago; 0 if it is no time.
double seconds_since(const std::string& text) {
  std::tm time = {};
  if (strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &time) == nullptr) return 0;
  return std::max(0.0, std::difftime(std::time(nullptr), timegm(&time)));
}

double seconds_since_write(const std::filesystem::path& file) {
  std::error_code unknown;
  const auto written = std::filesystem::last_write_time(file, unknown);
  if (unknown) return 0;
  const std::chrono::duration<double> age = std::filesystem::file_time_type::clock::now() - written;
  return std::max(0.0, age.count());
}

}  // namespace

std::optional<std::uint64_t> Standing::measured() const {
  const auto found = number_in(launch, names::launch_found);
  if (!found) return {};
  return finished() - std::min(finished(), *found);
}

std::optional<std::uint64_t> Standing::left() const {
  const auto wanted = number_in(launch, names::launch_wanted);
  if (!wanted || !measured()) return {};
  return *wanted - std::min(*wanted, *measured());
}

std::optional<double> Standing::points_per_second() const {
  if (!writer || measured().value_or(0) == 0 || seconds_since_launch <= 0) return {};
  return double(*measured()) / seconds_since_launch;
}

std::optional<double> Standing::seconds_left() const {
  const auto rate = points_per_second();
  if (!rate || !left()) return {};
  return double(*left()) / *rate;
}

Standing standing_of(const std::filesystem::path& name) {
  const ResultFile file = ResultFile::open(name);
  const std::vector<Status> status = file.statuses();
  Standing standing;
  standing.points = file.points();
  standing.done = std::uint64_t(std::ranges::count(status, Status::done));
  standing.failed = std::uint64_t(std::ranges::count(status, Status::failed));
  standing.writer = LockFile::holder_of(followed(name));
  const auto launches = file.launches();
  if (!launches.empty()) standing.launch = launches.back();
  standing.seconds_since_launch = seconds_since(standing.launch["launch_start"]);
  standing.seconds_since_write = seconds_since_write(name);
  return standing;
}

}  // namespace gradflow::store
