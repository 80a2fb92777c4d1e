#include "gradflow/store/lock_file.hpp"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::store {
namespace {

/// How long a job waits for the step of its earlier start.
constexpr std::chrono::seconds patience{60};

std::filesystem::path lock_of(const std::filesystem::path& file) {
  std::filesystem::path lock = file;
  lock += ".lock";
  return lock;
}

/// "job 1234"; empty outside of Slurm.
std::string this_job() {
  const char* job = std::getenv("SLURM_JOB_ID");
  return job == nullptr ? "" : fmt::format("job {}", job);
}

std::string this_holder() {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  const std::string job = this_job();
  return fmt::format("host {}, process {}, {}", host, getpid(), job.empty() ? "job none" : job);
}

std::string holder_in(int descriptor) {
  char text[512] = "";
  const ssize_t length = pread(descriptor, text, sizeof text - 1, 0);
  return length > 0 ? std::string(text, std::size_t(length)) : "unknown";
}

int open_lock(const std::filesystem::path& lock, const std::filesystem::path& file) {
  const int descriptor = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    throw UserError(
        fmt::format("cannot write {}: {}; choose a directory that exists and that you may write to",
                    file.string(), std::strerror(errno)));
  }
  return descriptor;
}

bool try_lock(int descriptor) {
  struct flock whole = {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  return fcntl(descriptor, F_SETLK, &whole) == 0;
}

/// The holder before us may have removed the file between our open and our lock: then we hold a lock on
/// nothing.
bool is_still_there(int descriptor, const std::filesystem::path& lock) {
  struct stat held = {};
  struct stat named = {};
  return fstat(descriptor, &held) == 0 && stat(lock.c_str(), &named) == 0 && held.st_ino == named.st_ino &&
         held.st_dev == named.st_dev;
}

[[noreturn]] void refuse(int descriptor, int reason, const std::filesystem::path& file,
                         const std::filesystem::path& lock) {
  const std::string holder = holder_in(descriptor);
  close(descriptor);
  if (reason != EACCES && reason != EAGAIN) {
    throw Error(fmt::format("cannot lock {}: {}", lock.string(), std::strerror(reason)));
  }
  throw UserError(
      fmt::format("{} is being written by another run ({}); wait for it to end, or write to another file",
                  file.string(), holder));
}

bool is_of_this_job(const std::string& holder) {
  const std::string job = this_job();
  return !job.empty() && holder.ends_with(", " + job);
}

void name_holder(int descriptor) {
  const std::string holder = this_holder();
  if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, holder.data(), holder.size(), 0) < 0) {
    throw Error(fmt::format("cannot write the lock file: {}", std::strerror(errno)));
  }
}

}  // namespace

LockFile LockFile::acquire(const std::filesystem::path& file) {
  const std::filesystem::path lock = lock_of(file);
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (true) {
    const int descriptor = open_lock(lock, file);
    if (!try_lock(descriptor)) {
      const int reason = errno;
      const bool may_be_dying = is_of_this_job(holder_in(descriptor));
      if (!may_be_dying || std::chrono::steady_clock::now() > deadline)
        refuse(descriptor, reason, file, lock);
      close(descriptor);
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      continue;
    }
    LockFile held(lock, descriptor);
    if (is_still_there(descriptor, lock)) {
      name_holder(descriptor);
      return held;
    }
    held.path_.clear();  // the name belongs to somebody else by now
  }
}

std::optional<std::string> LockFile::holder_of(const std::filesystem::path& file) {
  const int descriptor = open(lock_of(file).c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return {};
  struct flock found = {};
  found.l_type = F_WRLCK;
  found.l_whence = SEEK_SET;
  const bool held = fcntl(descriptor, F_GETLK, &found) == 0 && found.l_type != F_UNLCK;
  const std::string holder = holder_in(descriptor);
  close(descriptor);
  return held ? std::optional(holder) : std::nullopt;
}

LockFile::~LockFile() {
  if (descriptor_ < 0) return;
  if (!path_.empty()) unlink(path_.c_str());
  close(descriptor_);
}

}  // namespace gradflow::store
