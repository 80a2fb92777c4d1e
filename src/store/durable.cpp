#include "durable.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <limits>
#include <string>
#include <unistd.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::store {
namespace {

[[noreturn]] void raise(const std::string& what) { throw Error(what + ": " + std::strerror(errno)); }

}  // namespace

DiskSync::DiskSync(const std::filesystem::path& file)
    : file_(file), descriptor_(open(file.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (descriptor_ < 0) raise("cannot open " + file.string());
}

DiskSync::~DiskSync() {
  if (descriptor_ >= 0) close(descriptor_);
}

void DiskSync::data() const {
  if (fdatasync(descriptor_) != 0) raise("cannot bring data of " + file_.string() + " to the disk");
}

void DiskSync::all() const {
  if (fsync(descriptor_) != 0) raise("cannot bring " + file_.string() + " to the disk");
}

bool claim_last_word(const std::filesystem::path& file) {
  const int descriptor = open(file.c_str(), O_RDWR | O_CLOEXEC);  // stays open, or the lock would go
  if (descriptor < 0) return true;
  struct flock far_beyond_the_end = {};
  far_beyond_the_end.l_type = F_WRLCK;
  far_beyond_the_end.l_whence = SEEK_SET;
  far_beyond_the_end.l_start = std::numeric_limits<off_t>::max() - 1;
  far_beyond_the_end.l_len = 1;
  const bool taken = fcntl(descriptor, F_OFD_SETLK, &far_beyond_the_end) != 0;
  return !taken || (errno != EAGAIN && errno != EACCES);
}

void publish(const std::filesystem::path& complete, const std::filesystem::path& name) {
  DiskSync(complete).all();
  if (rename(complete.c_str(), name.c_str()) != 0) raise("cannot rename " + complete.string());
  DiskSync(std::filesystem::absolute(name).parent_path()).all();
}

}  // namespace gradflow::store
