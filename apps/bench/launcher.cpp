#include "launcher.hpp"

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::bench {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> list;
  for (const std::string& string : strings) list.push_back(const_cast<char*>(string.c_str()));
  list.push_back(nullptr);
  return list;
}

/// Where a child writes: a file without a name, read when the child has ended.
class Output {
 public:
  Output() : file_(std::tmpfile()) {
    if (!file_) throw Error(fmt::format("temporary file: {}", std::strerror(errno)));
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output() { std::fclose(file_); }

  int descriptor() const { return fileno(file_); }

  std::string text() const {
    std::string text;
    char bytes[4096];
    std::rewind(file_);
    for (std::size_t n = 0; (n = std::fread(bytes, 1, sizeof bytes, file_)) > 0;) text.append(bytes, n);
    return text;
  }

 private:
  std::FILE* file_;
};

int status_of(const std::vector<std::string>& command, const std::vector<std::string>& environment,
              const Output& out, const Output& err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out.descriptor(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.descriptor(), STDERR_FILENO);
  pid_t child = 0;
  const int failed = posix_spawnp(&child, command[0].c_str(), &actions, nullptr, pointers(command).data(),
                                  pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw Error(fmt::format("{}: {}", command[0], std::strerror(failed)));
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

}  // namespace

Launcher::Launcher() {
  for (char** entry = environ; *entry != nullptr; ++entry) environment_.emplace_back(*entry);
}

Launcher Launcher::with(const std::string& name, const std::string& value) const {
  Launcher other = *this;
  std::erase_if(other.environment_, [&](const std::string& entry) { return entry.starts_with(name + "="); });
  other.environment_.push_back(name + "=" + value);
  return other;
}

std::string Launcher::output_of(const std::vector<std::string>& command) const {
  const Output out;
  const Output err;
  const int status = status_of(command, environment_, out, err);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw Error(fmt::format("{} failed:\n{}{}", fmt::join(command, " "), out.text(), err.text()));
  }
  return out.text();
}

std::string Launcher::output_of_ranks(int ranks, const std::vector<std::string>& command) const {
  std::vector<std::string> whole{"mpirun",          "-q",        "-n",  std::to_string(ranks),
                                 "--oversubscribe", "--bind-to", "none"};
  if (geteuid() == 0) whole.emplace_back("--allow-run-as-root");  // a container
  whole.insert(whole.end(), command.begin(), command.end());
  return output_of(whole);
}

std::string sibling(const std::string& program) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / program;
}

}  // namespace gradflow::bench
