#include "gradflow/store/merge.hpp"

#include <filesystem>

#include <fmt/format.h>

#include "commands.hpp"

namespace gradflow::apps {
namespace {

struct MergeArguments {
  std::string output;
  std::vector<std::string> inputs;
  std::string prefer = "error";
  bool allow_mixed_numerics = false;
};

int merge(const mpi::Communicator& world, const MergeArguments& arguments) {
  if (world.rank() != 0) return Exit::complete;
  const std::vector<std::filesystem::path> inputs(arguments.inputs.begin(), arguments.inputs.end());
  const store::Joined joined = store::merge(arguments.output, inputs, store::prefer_of(arguments.prefer),
                                            arguments.allow_mixed_numerics);
  fmt::print("{}: {} of {} points done{}{}, from {} files\n", arguments.output, joined.done, joined.points,
             joined.failed ? fmt::format(", {} failed", joined.failed) : "",
             joined.conflicts ? fmt::format(", {} of which the files differed", joined.conflicts) : "",
             inputs.size());
  return Exit::complete;
}

}  // namespace

void add_merge(CLI::App& program, Chosen& chosen) {
  const auto arguments = std::make_shared<MergeArguments>();
  CLI::App* command = program.add_subcommand(
      "merge",
      "Joins the finished points of several result files into a new one: shards of a sweep, or an old and a "
      "new\n"
      "run of compatible sweeps. The files are only read, also while a job writes them. The joined file\n"
      "continues under any sweep that has its points.");
  command->add_option("OUT.h5", arguments->output, "the new file")->required();
  command->add_option("FILE.h5", arguments->inputs, "the files to join, two or more")
      ->required()
      ->expected(1, -1);
  command
      ->add_option("--prefer", arguments->prefer,
                   "whose result, if files differ in one: error (refuse), first, newer")
      ->type_name("WHICH")
      ->capture_default_str();
  command->add_flag("--allow-mixed-numerics", arguments->allow_mixed_numerics,
                    "accept files whose arithmetic has other bits");
  command->callback([=, &chosen] {
    chosen.command = [=](const mpi::Communicator& world) { return merge(world, *arguments); };
  });
}

}  // namespace gradflow::apps
