#include "gradflow/store/merge.hpp"

#include <filesystem>

#include <fmt/format.h>

#include "commands.hpp"

namespace gradflow::apps {
namespace {

struct MergeArguments {
  std::vector<std::string> files;  ///< the new one first, unless it is named by -o
  std::string output;
  std::string prefer = "error";
  bool allow_mixed_numerics = false;
};

int merge(const mpi::Communicator& world, const MergeArguments& arguments) {
  if (world.rank() != 0) return Exit::complete;
  const bool named = !arguments.output.empty();
  const std::string& output = named ? arguments.output : arguments.files.front();
  const std::vector<std::filesystem::path> inputs(arguments.files.begin() + (named ? 0 : 1),
                                                  arguments.files.end());
  if (inputs.empty())
    throw UserError("merge: expected a new file and the files to join: merge OUT.h5 FILE.h5...");
  const store::Joined joined =
      store::merge(output, inputs, store::prefer_of(arguments.prefer), arguments.allow_mixed_numerics);
  fmt::print("{}: {} of {} points done{}{}, from {} files\n", output, joined.done, joined.points,
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
  command
      ->add_option("FILE.h5", arguments->files,
                   "the new file, then those to join; with -o only those to join")
      ->required()
      ->expected(1, -1);
  command->add_option("-o,--output", arguments->output, "the new file")->type_name("OUT.h5");
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
