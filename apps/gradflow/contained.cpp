#include "gradflow/core/contained.hpp"

#include <csignal>
#include <cstring>
#include <filesystem>
#include <new>

#include <fmt/format.h>

#include "commands.hpp"
#include "gradflow/core/blas.hpp"
#include "gradflow/core/errors.hpp"
#include "gradflow/core/printable.hpp"

namespace gradflow::apps {
namespace {

std::uint64_t bytes_of(const std::vector<std::string>& files) {
  std::uint64_t bytes = 0;
  for (const std::string& file : files) {
    std::error_code unknown;
    const auto size = std::filesystem::file_size(file, unknown);
    if (!unknown) bytes += size;
  }
  return bytes;
}

std::string files_named(const std::vector<std::string>& files) {
  return fmt::format("{}", fmt::join(files, ", "));
}

std::string needs_memory(const Reading& reading) {
  return files_named(reading.files) +
         ": reading it takes more memory than files of this size may; it is damaged";
}

/// What the child says and returns; the messages of main, which is not in it.
int act_and_tell(const Reading& reading) {
  try {
    require_thread_safe_blas();
    return reading.act();
  } catch (const UserError& error) {
    say(error.what());
    return Exit::mistake;
  } catch (const std::bad_alloc&) {
    say(needs_memory(reading));
    return Exit::mistake;
  } catch (const std::exception& error) {
    say(error.what());
    return Exit::failed;
  }
}

/// The mistakes it finds are for whoever wants to know.
int act_and_complain(const Reading& reading) {
  try {
    return reading.act();
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "{}", needs_memory(reading));
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}", error.what());
  }
  return Exit::mistake;
}

std::string account_of(const Reading& reading, const Ending& ending) {
  return fmt::format(
      "{} cannot be read: a process that tried {} ({}); the file is damaged, or made to do harm",
      files_named(reading.files), ending.cause_of_death(), strsignal(ending.signal));
}

Reading made(const std::function<Reading()>& make) {
  try {
    return make();
  } catch (const UserError&) {
    return {};
  }
}

std::string complaint_of(const Reading& reading) {
  if (!reading.act) return "";
  const Ending ending =
      gradflow::contained(allowance_for(bytes_of(reading.files)), [&] { return act_and_complain(reading); });
  if (ending.signal == 0) return ending.status == Exit::complete ? "" : ending.complaint;
  return ending.cause_of_death().empty() ? "" : account_of(reading, ending);
}

}  // namespace

void say(const std::string& message) { fmt::print(stderr, "gradflow: {}\n", printable_lines(message)); }

int contained(const Reading& reading) {
  const Ending ending =
      gradflow::contained(allowance_for(bytes_of(reading.files)), [&] { return act_and_tell(reading); });
  if (ending.signal == 0) {
    fmt::print(stderr, "{}", ending.complaint);
    return ending.status;
  }
  if (ending.cause_of_death().empty()) {  // SIGPIPE, SIGTERM: not of what it read
    std::signal(ending.signal, SIG_DFL);
    raise(ending.signal);
  }
  say(account_of(reading, ending));
  return Exit::mistake;
}

std::string complaint_of(const std::vector<std::function<Reading()>>& readings) {
  for (const auto& make : readings) {
    const std::string complaint = complaint_of(made(make));
    if (!complaint.empty()) return complaint;
  }
  return "";
}

}  // namespace gradflow::apps
