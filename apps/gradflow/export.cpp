#include <sstream>

#include <fmt/format.h>

#include "commands.hpp"
#include "gradflow/data/weights_file.hpp"
#include "gradflow/experiment/network.hpp"
#include "gradflow/experiment/schema.hpp"
#include "gradflow/hdf5/file.hpp"
#include "gradflow/mpi/agreement.hpp"
#include "gradflow/nn/layer_weights.hpp"
#include "gradflow/store/result_file.hpp"

namespace gradflow::apps {
namespace {

struct ExportArguments {
  std::string source;
  std::vector<std::string> overrides;
  std::uint64_t point = 0;
  std::string output;
  bool with_data = false;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// The sweep that a result file belongs to; paths in it are relative to the result file.
sweep::Sweep sweep_of(const store::ResultFile& file) {
  return sweep::Sweep::parse(file.attribute("sweep_file"), file.path(), experiment::sweep_schema(),
                             lines_of(file.attribute("sweep_overrides")));
}

sweep::SweepPoint point_of(const sweep::Sweep& sweep, std::uint64_t point) {
  if (point < sweep.size()) return sweep.point(point);
  throw UserError(fmt::format("--point {}: the sweep has {} points; expected 0 to {}", point, sweep.size(),
                              sweep.size() - 1));
}

sweep::SweepPoint point_of(const ExportArguments& arguments) {
  const std::string text = sweep::read_text(arguments.source);  // refuses what is no file
  if (!hdf5::File::is_hdf5(arguments.source)) {
    return point_of(
        sweep::Sweep::parse(text, arguments.source, experiment::sweep_schema(), arguments.overrides),
        arguments.point);
  }
  if (!arguments.overrides.empty()) throw UserError("--set: a result file knows its overrides; leave it out");
  const store::ResultFile file = store::ResultFile::open(arguments.source);
  const sweep::SweepPoint point = point_of(sweep_of(file), arguments.point);
  if (point.hash() == file.point_hash(arguments.point)) return point;
  throw UserError(fmt::format("{}: point {} is not what its sweep file says; the file is damaged",
                              arguments.source, arguments.point));
}

/// Whichever form the source has. @throws UserError
sweep::Sweep sweep_in(const ExportArguments& arguments) {
  if (hdf5::File::is_hdf5(arguments.source)) return sweep_of(store::ResultFile::open(arguments.source));
  return sweep::Sweep::read(arguments.source, experiment::sweep_schema(), arguments.overrides);
}

/// The source alone, not the files its sweep names.
Reading reading_of_source(const ExportArguments& arguments) {
  return {{arguments.source}, [=] {
            point_of(arguments);
            return Exit::complete;
          }};
}

void write(const ExportArguments& arguments) {
  const sweep::SweepPoint point = point_of(arguments);
  const nn::NetworkSpec network = experiment::network_of(point);
  const data::Exported contents =
      arguments.with_data ? data::Exported::weights_and_data : data::Exported::weights;
  experiment::precision_of(point) == experiment::Precision::float64
      ? data::write_weights<double>(arguments.output, network, contents)
      : data::write_weights<float>(arguments.output, network, contents);
  const int layers = nn::weight_layers(network);
  fmt::print(stderr, "{}: {}\n", arguments.output,
             layers == 1 ? "1 layer" : fmt::format("{} layers", layers));
}

int export_weights(const mpi::Communicator& world, const ExportArguments& arguments) {
  mpi::on_root(world, [&] { write(arguments); });
  return Exit::complete;
}

}  // namespace

void add_export(CLI::App& program, Chosen& chosen) {
  const auto arguments = std::make_shared<ExportArguments>();
  CLI::App* command = program.add_subcommand(
      "export",
      "The weights of one point as an HDF5 file: layer_k/weight [fan_out][fan_in], layer_k/bias;\n"
      "layer_k/second_weight (residual), transform_weight (highway), input_weight (steps in time, which "
      "have\n"
      "one layer). Gates stand below one another: candidate, update, reset (gru); candidate, input, output,\n"
      "forget (lstm).\n"
      "init.scheme = { name = \"file\", path = \"weights.h5\" } measures them again, or others of that "
      "form:\n"
      "a run from the exported file has the bits of the point itself.");
  command->add_option("SWEEP.toml|FILE.h5", arguments->source, "the sweep file, or a result file of it")
      ->required();
  command->add_option("--point", arguments->point, "this point, counted from 0")->type_name("K")->required();
  command->add_option("-o,--output", arguments->output, "the file of weights")
      ->required()
      ->type_name("WEIGHTS.h5");
  command->add_flag("--with-data", arguments->with_data,
                    "also inputs, cotangents or targets, and what the sweep says of the network: all another "
                    "program needs to compute the point again");
  command->add_option("--set", arguments->overrides, "as for run")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->callback([=, &chosen] {
    chosen.tried_before = {[=] { return reading_of_source(*arguments); },
                           [=] { return reading_of(sweep_in(*arguments)); }};
    chosen.command = [=](const mpi::Communicator& world) { return export_weights(world, *arguments); };
  });
}

}  // namespace gradflow::apps
