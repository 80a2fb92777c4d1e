#include "gradflow/core/contained.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/core/memory.hpp"

namespace gradflow {
namespace {

// A sanitizer's shadow memory is larger than any limit.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool memory_can_be_limited = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool memory_can_be_limited = false;
#else
constexpr bool memory_can_be_limited = true;
#endif
#else
constexpr bool memory_can_be_limited = true;
#endif

constexpr std::size_t longest_complaint = 1 << 20;

/// Private memory of this process: what RLIMIT_DATA counts.
std::uint64_t own_bytes() {
  std::ifstream status("/proc/self/status");
  std::uint64_t kib = 0;
  for (std::string word; status >> word;) {
    if (word == "VmData:" && status >> kib) break;
  }
  return 1024 * kib;
}

void limit(int resource, std::uint64_t most) {
  rlimit current = {};
  if (getrlimit(__rlimit_resource_t(resource), &current) != 0) return;
  current.rlim_cur = std::min<rlim_t>(most, current.rlim_max);
  setrlimit(__rlimit_resource_t(resource), &current);
}

/// An allocator that gives memory back stays within what it has; a core file of it would help nobody.
void obey(const Allowance& allowance) {
  if (memory_can_be_limited) limit(RLIMIT_DATA, own_bytes() + allowance.bytes);
  limit(RLIMIT_CPU, allowance.cpu_seconds);
  limit(RLIMIT_CORE, 0);
  std::signal(SIGXCPU, SIG_DFL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/// Never returns to the caller's frames: what they own belongs to the parent.
[[noreturn]] void be_the_child(const std::function<int()>& act, const Allowance& allowance, int complaints) {
  dup2(complaints, STDERR_FILENO);
  close(complaints);
  obey(allowance);
  const int status = act();
  std::fflush(nullptr);
  _exit(status);
}

std::string all_of(int pipe) {
  std::string text;
  std::array<char, 4096> piece;
  for (;;) {
    const ssize_t got = read(pipe, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(piece.data(), std::min(std::size_t(got), longest_complaint - text.size()));
  }
}

int wait_for(pid_t child) {
  int state = 0;
  while (waitpid(child, &state, 0) < 0 && errno == EINTR) {
  }
  return state;
}

std::uint64_t base_seconds() {
  const char* given = std::getenv("GRADFLOW_READING_SECONDS");
  const long seconds = given ? std::atol(given) : 0;
  return seconds > 0 ? std::uint64_t(seconds) : 60;
}

}  // namespace

Allowance allowance_for(std::uint64_t file_bytes) {
  constexpr std::uint64_t mib = 1 << 20;
  const std::uint64_t most = usable_memory();
  const std::uint64_t bytes = file_bytes > most / 8 ? most : std::min(most, 512 * mib + 8 * file_bytes);
  return {bytes, base_seconds() + file_bytes / (4 * mib)};
}

std::string Ending::cause_of_death() const {
  switch (signal) {
    case SIGXCPU:
      return "hung";
    case SIGKILL:
      return "was killed, as when memory runs out";
    case SIGSEGV:
    case SIGBUS:
    case SIGABRT:
    case SIGFPE:
    case SIGILL:
      return "crashed";
    default:
      return "";
  }
}

Ending contained(const Allowance& allowance, const std::function<int()>& act) {
  std::array<int, 2> ends;
  if (pipe(ends.data()) != 0) throw Error(std::string("pipe: ") + std::strerror(errno));
  std::fflush(nullptr);  // or both would write what waits
  const pid_t child = fork();
  if (child < 0) throw Error(std::string("fork: ") + std::strerror(errno));
  if (child == 0) {
    close(ends[0]);
    be_the_child(act, allowance, ends[1]);
  }
  close(ends[1]);
  Ending ending;
  ending.complaint = all_of(ends[0]);
  close(ends[0]);
  const int state = wait_for(child);
  if (WIFSIGNALED(state)) ending.signal = WTERMSIG(state);
  if (WIFEXITED(state)) ending.status = WEXITSTATUS(state);
  return ending;
}

}  // namespace gradflow
