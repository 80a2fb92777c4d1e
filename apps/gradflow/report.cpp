#include <cerrno>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include "commands.hpp"
#include "gradflow/report/page.hpp"
#include "gradflow/store/result_file.hpp"

namespace gradflow::apps {
namespace {

struct ReportArguments {
  std::string file;
  std::string page;
  std::string figure;
};

/// Writes one product of the report. @throws UserError if the path cannot be written
template <class Write>
void write_to(const std::string& path, Write write) {
  std::ofstream out(path);
  if (!out) {
    throw UserError(fmt::format("{}: {}; expected a file that can be written", path, std::strerror(errno)));
  }
  write(out);
  out.close();
  if (!out) throw Error(fmt::format("{}: writing failed: {}", path, std::strerror(errno)));
}

int report(const ReportArguments& arguments) {
  if (arguments.page.empty() && arguments.figure.empty()) {
    throw UserError("report: no output; expected -o REPORT.html or --figure FIGURE.svg");
  }
  const store::ResultFile file = store::ResultFile::open(arguments.file);
  if (!arguments.page.empty())
    write_to(arguments.page, [&](std::ostream& out) { report::write_html(file, out); });
  if (!arguments.figure.empty()) {
    write_to(arguments.figure, [&](std::ostream& out) { report::write_profile_svg(file, out); });
  }
  return Exit::complete;
}

}  // namespace

void add_report(CLI::App& program, Chosen& chosen) {
  const auto arguments = std::make_shared<ReportArguments>();
  CLI::App* command = program.add_subcommand(
      "report",
      "Pictures and verdicts of a result file in one self-contained page, theory beside measurement.");
  command->add_option("FILE.h5", arguments->file, "the result file")->required();
  command->add_option("-o,--output", arguments->page, "the page to write")->type_name("REPORT.html");
  command->add_option("--figure", arguments->figure, "only the main picture")->type_name("FIGURE.svg");
  command->callback([=, &chosen] {
    chosen.reading = Reading{{arguments->file}, [=] { return report(*arguments); }};
  });
}

}  // namespace gradflow::apps
