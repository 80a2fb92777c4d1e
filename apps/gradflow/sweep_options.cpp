#include <charconv>
#include <cmath>
#include <filesystem>
#include <regex>
#include <thread>

#include <fmt/format.h>

#include "commands.hpp"
#include "gradflow/core/memory.hpp"
#include "gradflow/core/parallel.hpp"
#include "gradflow/experiment/input_files.hpp"
#include "gradflow/experiment/network.hpp"
#include "gradflow/experiment/schema.hpp"
#include "gradflow/mpi/agreement.hpp"

namespace gradflow::apps {
namespace {

std::optional<int> count_or_auto(const std::string& option, const std::string& text) {
  if (text == "auto") return {};
  int count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count < 1) {
    throw UserError(fmt::format("{}: read \"{}\"; expected a number from 1 or auto", option, text));
  }
  return count;
}

/// What every rank may use, and what it uses before any point. @collective
experiment::MemoryBudget memory_budget(const mpi::Communicator& world, const std::string& memory) {
  constexpr double share = 0.8;
  constexpr double ample = 2.0 * (1 << 30);  // nobody alone on a large host needs all of it for one network
  const int ranks_here = world.ranks_on_this_host();
  const bool is_auto = memory == "auto";
  const double mine = is_auto ? share * double(usable_memory()) / ranks_here : bytes_of(memory);
  const double limit = -world.max(-mine);  // the least of all ranks'
  return {.limit = limit,
          .ample = is_auto ? std::min(limit, ample) : limit,
          .process = world.max(double(resident_memory()))};
}

}  // namespace

void SweepOptions::add_to(CLI::App& command) {
  command.add_option("SWEEP.toml", file, "the sweep file")->required();
  command.add_option("--set", overrides, "replace a key or axis of the file: --set init.sigma_w=[1, 2]")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command.add_option("--stages", stages, "ranks one network is split over (pipeline stages), or auto")
      ->type_name("S|auto");
  command.add_option("--microbatches", microbatches, "pieces a batch is cut into, or auto")
      ->type_name("M|auto");
  command.add_option("--threads", threads, "threads of each rank, or auto")->type_name("T|auto");
  command.add_option("--bundle", bundle, "points that share weights and are stacked at the most, or auto")
      ->type_name("B|auto");
  command.add_option("--schedule", schedule, "order of the passes: gradflow list schedules")
      ->type_name("NAME");
  command
      .add_option("--memory", memory,
                  "what each rank may use: 8G, 500M, or auto: 80 % of its share of this host, but signals "
                  "beyond 2G are computed twice instead of kept")
      ->type_name("LIMIT|auto");
}

experiment::Request SweepOptions::request(const mpi::Communicator& world) const {
  return {.stages = count_or_auto("--stages", stages),
          .microbatches = count_or_auto("--microbatches", microbatches),
          .threads = count_or_auto("--threads", threads),
          .bundle = count_or_auto("--bundle", bundle),
          .schedule = schedule,
          .memory = memory_budget(world, memory)};
}

sweep::Sweep read_sweep(const mpi::Communicator& world, const SweepOptions& options) {
  std::string text;
  mpi::on_root(world, [&] { text = sweep::read_text(options.file); });
  sweep::Sweep sweep =
      sweep::Sweep::parse(world.broadcast(text), options.file, experiment::sweep_schema(), options.overrides);
  mpi::on_each(world, [&] { experiment::require_networks(sweep); });
  return sweep;
}

Reading reading_of(const sweep::Sweep& sweep) {
  Reading reading;
  for (const auto& file : experiment::named_files(sweep)) reading.files.push_back(file.string());
  if (reading.files.empty()) return reading;
  reading.act = [=] {
    experiment::read_named_files(sweep);
    return Exit::complete;
  };
  return reading;
}

Reading reading_of(const std::string& sweep_file, const std::vector<std::string>& overrides) {
  std::error_code unknown;
  if (!std::filesystem::is_regular_file(sweep_file, unknown)) return {};  // a pipe can be read only once
  return reading_of(sweep::Sweep::read(sweep_file, experiment::sweep_schema(), overrides));
}

double seconds_of(const std::string& duration, const char* option) {
  static const std::regex form("(?:(\\d{1,9})h)?(?:(\\d{1,9})m)?(?:(\\d{1,9})s)?");
  std::smatch parts;
  if (duration.empty() || !std::regex_match(duration, parts, form)) {
    throw UserError(
        fmt::format("{}: read \"{}\"; expected hours, minutes and seconds of at most 9 digits each: "
                    "3h50m, 90m, 45s",
                    option, duration.size() <= 40 ? duration : duration.substr(0, 40) + "..."));
  }
  const auto part = [&](int i) {
    return parts[std::size_t(i)].matched ? std::stod(parts[std::size_t(i)].str()) : 0.0;
  };
  return 3600 * part(1) + 60 * part(2) + part(3);
}

double bytes_of(const std::string& amount) {
  static const std::regex form("(\\d+(?:\\.\\d+)?)([KMGT]?)");
  std::smatch parts;
  if (!std::regex_match(amount, parts, form)) {
    throw UserError(
        fmt::format("--memory: read \"{}\"; expected an amount such as 8G or 500M, or auto", amount));
  }
  const std::string units = "KMGT";
  const std::size_t power = parts[2].length() == 0 ? 0 : units.find(parts[2].str()) + 1;
  return std::stod(parts[1].str()) * std::pow(1024.0, double(power));
}

std::string readable_seconds(double seconds) {
  if (seconds < 0.1) return fmt::format("{:.2g} ms", 1e3 * seconds);
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  if (seconds < 3600)
    return fmt::format("{:.0f} min {:.0f} s", std::floor(seconds / 60), std::fmod(seconds, 60));
  return fmt::format("{:.0f} h {:.0f} min", std::floor(seconds / 3600),
                     std::floor(std::fmod(seconds, 3600) / 60));
}

std::string readable_bytes(double bytes) {
  for (const char* unit : {"B", "KiB", "MiB", "GiB"}) {
    if (bytes < 1024) return fmt::format("{:.4g} {}", bytes, unit);
    bytes /= 1024;
  }
  return fmt::format("{:.4g} TiB", bytes);
}

int threads_per_rank(const mpi::Communicator& world) {
  return std::max(
      1, std::min(usable_threads(), int(std::thread::hardware_concurrency()) / world.ranks_on_this_host()));
}

std::string what_is_kept(const pipeline::Checkpointing& checkpointing) {
  return fmt::format("{}, weights {}",
                     checkpointing.keeps_tapes() ? "signals of every layer kept"
                                                 : fmt::format("signals kept every {} layers",
                                                               fmt::join(checkpointing.spans, " and ")),
                     checkpointing.keep_weights ? "kept" : "generated again");
}

std::string trace_file(const std::optional<std::string>& name) {
  if (name && name->empty())
    throw UserError("--trace: read \"\"; expected the name of a file, such as trace.json");
  return name.value_or("");
}

}  // namespace gradflow::apps
