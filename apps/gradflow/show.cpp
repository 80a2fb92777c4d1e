#include <iostream>

#include "commands.hpp"
#include "gradflow/report/table.hpp"
#include "gradflow/store/result_file.hpp"

namespace gradflow::apps {
namespace {

struct ShowArguments {
  std::string file;
  std::optional<std::uint64_t> point;
  bool json = false;
};

int show(const ShowArguments& arguments) {
  const store::ResultFile file = store::ResultFile::open(arguments.file);
  arguments.json ? report::print_json(file, std::cout, arguments.point)
                 : report::print_table(file, std::cout, arguments.point);
  return Exit::complete;
}

}  // namespace

void add_show(CLI::App& program, Chosen& chosen) {
  const auto arguments = std::make_shared<ShowArguments>();
  CLI::App* command = program.add_subcommand(
      "show",
      "Tables of a result file in the terminal: one line per configuration, or one point layer by layer.");
  command->add_option("FILE.h5", arguments->file, "the result file")->required();
  command->add_option("--point", arguments->point, "this point, layer by layer")->type_name("K");
  command->add_flag("--json", arguments->json, "for programs");
  command->callback([=, &chosen] {
    chosen.reading = Reading{{arguments->file}, [=] { return show(*arguments); }};
  });
}

}  // namespace gradflow::apps
