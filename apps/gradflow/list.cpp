#include <array>

#include <fmt/format.h>

#include "commands.hpp"
#include "gradflow/core/catalogue.hpp"
#include "gradflow/experiment/schema.hpp"
#include "gradflow/nn/activation.hpp"
#include "gradflow/nn/block.hpp"
#include "gradflow/nn/data.hpp"
#include "gradflow/nn/initialiser.hpp"
#include "gradflow/nn/loss.hpp"
#include "gradflow/nn/normalization.hpp"
#include "gradflow/pipeline/schedule.hpp"
#include "gradflow/stats/catalogue.hpp"

namespace gradflow::apps {
namespace {

template <class Table>
void print_rows(const Table& table) {
  for (const auto& row : table) fmt::print("  {:<28} {}\n", row.name, row.doc);
}

/// Rows that may have a parameter.
template <class Table>
void print_parametric_rows(const Table& table) {
  for (const auto& row : table) {
    const std::string parameter =
        row.parameter.empty() ? ""
                              : fmt::format(" (parameter {} = {})", row.parameter, row.default_parameter);
    fmt::print("  {:<28} {}{}\n", row.name, row.doc, parameter);
  }
}

void print_data_sources() {
  for (const nn::DataRow& row : nn::data_sources()) {
    std::vector<std::string_view> names;
    for (const nn::DataParameter& parameter : row.parameters) names.push_back(parameter.name);
    const std::string parameters =
        names.empty() ? "" : fmt::format(" (parameters: {})", fmt::join(names, " "));
    fmt::print("  {:<28} {}{}\n", row.name, row.doc, parameters);
  }
}

void print_statistics() {
  for (const stats::Statistic& row : stats::statistics()) {
    fmt::print("  {:<36} [{}] {}\n", row.name, row.preset, row.long_name);
  }
}

void print_keys() {
  for (const sweep::Key& key : experiment::sweep_schema().keys()) {
    fmt::print("  {:<28} {}{}\n", key.name, key.doc,
               key.fallback ? fmt::format(" [{}]", sweep::display(*key.fallback)) : "");
  }
}

/// One catalogue of the program.
struct Listing {
  std::string_view name;
  std::string_view title;
  void (*print)();
};

constexpr std::array listings{
    Listing{"keys", "Keys of a sweep file [default]", print_keys},
    Listing{"blocks", "Blocks (network.block)", [] { print_rows(nn::blocks()); }},
    Listing{"activations", "Activations (network.activation)",
            [] { print_parametric_rows(nn::activations()); }},
    Listing{"initialisers", "Initialisation schemes (init.scheme)",
            [] { print_parametric_rows(nn::schemes()); }},
    Listing{"normalizations", "Normalisations (network.normalization)",
            [] { print_rows(nn::normalizations()); }},
    Listing{"data", "Data sources (data.source)", print_data_sources},
    Listing{"losses", "Losses (backward.source)", [] { print_rows(nn::losses()); }},
    Listing{"statistics", "Statistics [smallest preset that has it]", print_statistics},
    Listing{"presets", "Presets of statistics (statistics.preset)", [] { print_rows(stats::presets()); }},
    Listing{"schedules", "Schedules (--schedule)", [] { print_rows(pipeline::schedules()); }},
};

int list(const std::string& name) {
  if (name.empty()) {
    for (const Listing& listing : listings) {
      fmt::print("{}\n", listing.title);
      listing.print();
      fmt::print("\n");
    }
    return Exit::complete;
  }
  const Listing& listing = find(std::span<const Listing>(listings), "list", name);
  fmt::print("{}\n", listing.title);
  listing.print();
  return Exit::complete;
}

}  // namespace

void add_list(CLI::App& program, Chosen& chosen) {
  const auto name = std::make_shared<std::string>();
  CLI::App* command =
      program.add_subcommand("list", "Every name a sweep file may use, with one line of meaning each.");
  command->add_option("CATALOGUE", *name, names_of(std::span<const Listing>(listings)));
  command->callback([name, &chosen] {
    chosen.command = [name](const mpi::Communicator& world) { return world.rank() == 0 ? list(*name) : 0; };
  });
}

}  // namespace gradflow::apps
