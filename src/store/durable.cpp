#include "durable.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <unistd.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::store {
namespace {

[[noreturn]] void raise(const std::string& what) { throw Error(what + ": " + std::strerror(errno)); }

}  // namespace

DiskSync::DiskSync(const std::filesystem::path& file)
    : descriptor_(open(file.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (descriptor_ < 0) raise("cannot open " + file.string());
}

DiskSync::~DiskSync() {
  if (descriptor_ >= 0) close(descriptor_);
}

void DiskSync::data() const {
  if (fdatasync(descriptor_) != 0) raise("cannot bring data to the disk");
}

void DiskSync::all() const {
  if (fsync(descriptor_) != 0) raise("cannot bring a file to the disk");
}

void publish(const std::filesystem::path& complete, const std::filesystem::path& name) {
  DiskSync(complete).all();
  if (rename(complete.c_str(), name.c_str()) != 0) raise("cannot rename " + complete.string());
  DiskSync(std::filesystem::absolute(name).parent_path()).all();
}

}  // namespace gradflow::store
