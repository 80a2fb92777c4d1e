#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "gradflow/store/verification.hpp"

namespace gradflow::apps {
namespace {

struct VerifyArguments {
  std::string file;
  bool json = false;
};

constexpr std::size_t most_named = 10;

void print(const store::ResultFile& file, const store::Verification& found) {
  fmt::print("{}: {} of {} points done and intact{}{}\n", file.path().string(), found.done, found.points,
             found.failed ? fmt::format(", {} failed", found.failed) : "",
             found.not_done ? fmt::format(", {} not done", found.not_done) : "");
  for (std::size_t i = 0; i < std::min(found.torn.size(), most_named); ++i) {
    fmt::print("  torn: point {} ({}): its checksum is not that of its rows\n", found.torn[i],
               file.name_of(found.torn[i]));
  }
  if (found.torn.size() > most_named) fmt::print("  and {} more are torn\n", found.torn.size() - most_named);
  if (!found.torn.empty()) fmt::print("  \"gradflow run\" with the same sweep measures torn points again\n");
}

void print_json(const store::Verification& found) {
  const nlohmann::json json{{"points", found.points}, {"done", found.done},
                            {"failed", found.failed}, {"not_done", found.not_done},
                            {"torn", found.torn},     {"complete", found.complete()}};
  fmt::print("{}\n", json.dump(2));
}

int verify(const mpi::Communicator& world, const VerifyArguments& arguments) {
  if (world.rank() != 0) return Exit::complete;
  const store::ResultFile file = store::ResultFile::open(arguments.file);
  const store::Verification found = store::verify(file);
  arguments.json ? print_json(found) : print(file, found);
  return found.complete() ? Exit::complete : Exit::failed;
}

}  // namespace

void add_verify(CLI::App& program, Chosen& chosen) {
  const auto arguments = std::make_shared<VerifyArguments>();
  CLI::App* command = program.add_subcommand(
      "verify",
      "Computes every checksum of a result file anew. Exit status 0: every point is done and intact; 1: "
      "points\n"
      "are missing, failed or torn; 2: no result file, or one too damaged to be read.");
  command->add_option("FILE.h5", arguments->file, "the result file")->required();
  command->add_flag("--json", arguments->json, "for programs");
  command->callback([=, &chosen] {
    chosen.command = [=](const mpi::Communicator& world) { return verify(world, *arguments); };
  });
}

}  // namespace gradflow::apps
