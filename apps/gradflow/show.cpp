#include "commands.hpp"
namespace gradflow::apps { void add_show(CLI::App&, Chosen&) {} void add_report(CLI::App&, Chosen&) {} }
