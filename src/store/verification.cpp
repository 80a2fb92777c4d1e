#include "gradflow/store/verification.hpp"

#include <algorithm>

namespace gradflow::store {
namespace {

constexpr std::uint64_t points_per_check = 64;

}  // namespace

std::vector<bool> finished_points(const ResultFile& file) {
  const std::vector<Status> status = file.statuses();
  std::vector<bool> finished(status.size(), false);
  for (std::uint64_t first = 0; first < status.size(); first += points_per_check) {
    const std::uint64_t end = std::min<std::uint64_t>(first + points_per_check, status.size());
    const auto tried = [](Status s) { return s != Status::not_done; };
    if (std::none_of(status.begin() + std::ptrdiff_t(first), status.begin() + std::ptrdiff_t(end), tried))
      continue;
    const std::vector<bool> intact = file.intact(first, end - first);
    std::copy(intact.begin(), intact.end(), finished.begin() + std::ptrdiff_t(first));
  }
  return finished;
}

Verification verify(const ResultFile& file) {
  const std::vector<Status> status = file.statuses();
  const std::vector<bool> finished = finished_points(file);
  Verification found{.points = file.points(), .torn = {}};
  for (std::uint64_t point = 0; point < found.points; ++point) {
    if (status[point] == Status::not_done) {
      ++found.not_done;
    } else if (!finished[point]) {
      found.torn.push_back(point);
    } else {
      ++(status[point] == Status::done ? found.done : found.failed);
    }
  }
  return found;
}

}  // namespace gradflow::store
