#include <filesystem>

#include <fmt/format.h>

#include "commands.hpp"
#include "gradflow/store/merge.hpp"

namespace gradflow::apps {
namespace {

struct FinalizeArguments {
  std::string input;
  std::string output;
};

double bytes_in(const std::string& file) { return double(std::filesystem::file_size(file)); }

int finalize(const mpi::Communicator& world, const FinalizeArguments& arguments) {
  if (world.rank() != 0) return Exit::complete;
  const store::Joined joined = store::finalize(arguments.input, arguments.output);
  fmt::print("{}: {} of {} points done{}; {} instead of {}\n", arguments.output, joined.done, joined.points,
             joined.failed ? fmt::format(", {} failed", joined.failed) : "",
             readable_bytes(bytes_in(arguments.output)), readable_bytes(bytes_in(arguments.input)));
  return Exit::complete;
}

}  // namespace

void add_finalize(CLI::App& program, Chosen& chosen) {
  const auto arguments = std::make_shared<FinalizeArguments>();
  CLI::App* command = program.add_subcommand("finalize",
                                             "A compressed copy of a result file for archiving, with NaN in "
                                             "every row that was not measured. It opens\n"
                                             "like the original in xarray, h5py and gradflow.");
  command->add_option("FILE.h5", arguments->input, "the result file")->required();
  command->add_option("OUT.h5", arguments->output, "the new file")->required();
  command->callback([=, &chosen] {
    chosen.command = [=](const mpi::Communicator& world) { return finalize(world, *arguments); };
  });
}

}  // namespace gradflow::apps
