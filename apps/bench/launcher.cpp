#include "launcher.hpp"

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

/// Both ends of a pipe, closed when it goes.
struct Pipe {
  Pipe() {
    if (pipe(ends) != 0) throw Error(fmt::format("pipe: {}", std::strerror(errno)));
  }
  ~Pipe() {
    close(ends[0]);
    close_writing_end();
  }
  void close_writing_end() {
    if (ends[1] >= 0) close(ends[1]);
    ends[1] = -1;
  }
  int ends[2] = {-1, -1};
};

pid_t start(const std::vector<std::string>& command, const std::vector<std::string>& environment,
            const Pipe& pipe) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe.ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, pipe.ends[0]);
  pid_t child = 0;
  const int failed = posix_spawnp(&child, command[0].c_str(), &actions, nullptr, pointers(command).data(),
                                  pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw Error(fmt::format("{}: {}", command[0], std::strerror(failed)));
  return child;
}

std::string read_all(int from) {
  std::string text;
  char bytes[4096];
  for (ssize_t n = 0; (n = read(from, bytes, sizeof bytes)) > 0;) text.append(bytes, std::size_t(n));
  return text;
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
  Pipe pipe;
  const pid_t child = start(command, environment_, pipe);
  pipe.close_writing_end();
  std::string text = read_all(pipe.ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw Error(fmt::format("{} failed", fmt::join(command, " ")));
  return text;
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
