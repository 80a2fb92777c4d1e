#include "gradflow/store/lock_file.hpp"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::store {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// Another process that holds the lock of a file until it is killed.
class Holder {
 public:
  explicit Holder(const fs::path& file) {
    int ready[2];
    if (pipe(ready) != 0) throw std::runtime_error("no pipe");
    pid_ = fork();
    if (pid_ == 0) {
      const LockFile lock = LockFile::acquire(file);
      if (write(ready[1], "x", 1) != 1) _exit(1);
      pause();
      _exit(0);
    }
    char byte;
    if (read(ready[0], &byte, 1) != 1) throw std::runtime_error("the other process did not lock");
    close(ready[0]);
    close(ready[1]);
  }
  ~Holder() { kill_it(); }

  pid_t pid() const { return pid_; }
  void kill_it() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
};

class ALock : public testing::Test {
 protected:
  ALock() : directory(fs::temp_directory_path() / fmt::format("gradflow_lock_{}", getpid())) {
    fs::create_directories(directory);
    file = directory / "results.h5";
  }
  ~ALock() override { fs::remove_all(directory); }

  std::string refusal() {
    try {
      LockFile::acquire(file);
    } catch (const UserError& error) {
      return error.what();
    }
    return "not refused";
  }

  fs::path directory, file;
};

TEST_F(ALock, KeepsASecondWriterOutAndNamesTheFirst) {
  const Holder holder(file);

  const std::string message = refusal();

  EXPECT_THAT(message, HasSubstr(file.string() + " is being written by another run (host "));
  EXPECT_THAT(message, HasSubstr(fmt::format("process {}, job ", holder.pid())));
}

TEST_F(ALock, DiesWithItsProcess) {
  Holder holder(file);
  holder.kill_it();
  EXPECT_TRUE(fs::exists(directory / "results.h5.lock"));  // kill -9 leaves the file, but not the lock

  EXPECT_NO_THROW(LockFile::acquire(file));
}

/// This process and those it starts belong to a job of Slurm.
class InJob {
 public:
  explicit InJob(const char* job) { setenv("SLURM_JOB_ID", job, 1); }
  ~InJob() { unsetenv("SLURM_JOB_ID"); }
};

TEST_F(ALock, WaitsForTheDyingStepOfItsOwnJob) {
  const InJob job("17");
  Holder earlier(file);
  std::atomic<bool> died = false;
  std::thread death([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    died = true;
    earlier.kill_it();
  });

  EXPECT_NO_THROW(LockFile::acquire(file));

  EXPECT_TRUE(died);
  death.join();
}

TEST_F(ALock, DoesNotWaitForAnotherJob) {
  std::optional<Holder> holder;
  {
    const InJob job("117");
    holder.emplace(file);
  }
  const InJob job("17");

  EXPECT_THAT(refusal(), HasSubstr("is being written by another run (host "));
}

TEST_F(ALock, LeavesNothingBehind) {
  {
    const LockFile lock = LockFile::acquire(file);
    EXPECT_TRUE(fs::exists(directory / "results.h5.lock"));
  }

  EXPECT_TRUE(fs::is_empty(directory));
}

TEST_F(ALock, SaysWhyNothingCanBeWritten) {
  file = directory / "nowhere" / "results.h5";
  EXPECT_THAT(refusal(), HasSubstr("No such file or directory; choose a directory that exists"));

  std::ofstream(directory / "plain") << "x";
  file = directory / "plain" / "results.h5";
  EXPECT_THAT(refusal(), HasSubstr("Not a directory"));
}

}  // namespace
}  // namespace gradflow::store
