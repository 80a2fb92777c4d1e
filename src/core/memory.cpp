#include "gradflow/core/memory.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <malloc.h>
#include <string>
#include <unistd.h>

namespace gradflow {
namespace {

/// The number in a file; no limit where there is none ("max", or no such file).
std::uint64_t limit_in(const std::filesystem::path& file) {
  std::ifstream stream(file);
  std::uint64_t limit = 0;
  return stream >> limit ? limit : std::numeric_limits<std::uint64_t>::max();
}

/// The smallest limit of a control group and those around it. In a container the path may begin above what
/// can be seen: those files are missing, and the visible root has the container's limit.
std::uint64_t group_limit(const std::filesystem::path& root, std::filesystem::path group,
                          const char* limit_file) {
  std::uint64_t smallest = limit_in(root / limit_file);
  for (group = group.relative_path(); !group.empty(); group = group.parent_path()) {
    smallest = std::min(smallest, limit_in(root / group / limit_file));
  }
  return smallest;
}

/// Lines of /proc/self/cgroup: "0::/path" for version 2, "4:memory:/path" for version 1.
std::uint64_t control_group_limit() {
  std::uint64_t smallest = std::numeric_limits<std::uint64_t>::max();
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string controllers = line.substr(first, second - first);  // ":cpu,memory"
    std::ranges::replace(controllers, ':', ',');
    controllers += ',';
    const std::string group = line.substr(second + 1);
    if (controllers == ",,")
      smallest = std::min(smallest, group_limit("/sys/fs/cgroup", group, "memory.max"));
    if (controllers.find(",memory,") != std::string::npos) {
      smallest = std::min(smallest, group_limit("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
    }
  }
  return smallest;
}

}  // namespace

void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
#endif
}

std::uint64_t usable_memory() {
  const auto pages = std::uint64_t(sysconf(_SC_PHYS_PAGES));
  return std::min(pages * std::uint64_t(sysconf(_SC_PAGE_SIZE)), control_group_limit());
}

std::uint64_t resident_memory() {
  std::ifstream sizes("/proc/self/statm");  // pages: whole size, resident
  std::uint64_t whole = 0;
  std::uint64_t resident = 0;
  return sizes >> whole >> resident ? resident * std::uint64_t(sysconf(_SC_PAGE_SIZE)) : 0;
}

}  // namespace gradflow
