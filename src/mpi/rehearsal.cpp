#include "rehearsal.hpp"

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>

#include <mpi.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::mpi {
namespace {

int number_from_environment(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return 0;
  int number = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, number);
  if (error != std::errc() || stop != end || number < 0) {
    throw UserError(std::string("environment variable ") + name + "=" + text +
                    ": expected a whole number, 0 or more; write " + name + "=0 or unset it");
  }
  return number;
}

struct Settings {
  bool synchronous = false;
  int longest_delay = 0;  ///< microseconds
};

/// Read at the first call.
const Settings& settings() {
  static const Settings read{number_from_environment("GRADFLOW_SYNCHRONOUS_SENDS") != 0,
                             number_from_environment("GRADFLOW_SEND_DELAY_MICROSECONDS")};
  return read;
}

int world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

}  // namespace

void read_rehearsal() { settings(); }

bool sends_are_synchronous() { return settings().synchronous; }

void delay_a_send() {
  const int longest = settings().longest_delay;
  if (longest == 0) return;
  static std::minstd_rand random(unsigned(world_rank()) + 1);
  std::this_thread::sleep_for(std::chrono::microseconds(random() % (unsigned(longest) + 1)));
}

}  // namespace gradflow::mpi
