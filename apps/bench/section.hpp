#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "gradflow/mpi/communicator.hpp"
#include "launcher.hpp"
#include "table.hpp"

namespace gradflow::bench {

/// What every section is told.
struct Settings {
  int repeats = 5;
  int threads = 1;               ///< of this process: the cores measured together
  std::filesystem::path folder;  ///< for scratch files
  std::string python = "/usr/bin/python3";
  Launcher launcher;
};

/// A row of the catalogue: one group of lines of the table. Runs inside Threads::run(), in a world of one
/// rank.
struct Section {
  std::string_view name;
  void (*measure)(const mpi::Communicator& world, const Settings& settings, Table& table);
  bool by_default;
  std::string_view doc;
};

/// Every section, in the order they run.
std::span<const Section> sections();

void measure_gemm(const mpi::Communicator& world, const Settings& settings, Table& table);
void measure_points(const mpi::Communicator& world, const Settings& settings, Table& table);
void measure_parts(const mpi::Communicator& world, const Settings& settings, Table& table);
void measure_random_numbers(const mpi::Communicator& world, const Settings& settings, Table& table);
void measure_activations(const mpi::Communicator& world, const Settings& settings, Table& table);
void measure_store(const mpi::Communicator& world, const Settings& settings, Table& table);
void measure_scaling(const mpi::Communicator& world, const Settings& settings, Table& table);
void measure_makespan(const mpi::Communicator& world, const Settings& settings, Table& table);
void measure_pytorch(const mpi::Communicator& world, const Settings& settings, Table& table);

}  // namespace gradflow::bench
