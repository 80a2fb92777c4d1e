#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace gradflow {

/// The user's mistake: printed once, by one rank, exit status 2.
///
/// The text says what was read, where, what was expected and what to write instead.
class UserError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Something outside failed (MPI, HDF5, the file system): the text is the library's own. Exit status 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An Error that every rank of the job throws alike: printed once, by one rank, and the job ends in order.
class CommonError : public Error {
 public:
  using Error::Error;
};

/// An Error that another rank met too and tells of: this one ends in silence.
class ToldError : public Error {
 public:
  using Error::Error;
};

/// A broken promise of our own: main prints it with the rank and ends the whole job.
class BrokenPromise : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// Throws BrokenPromise with the caller's place in the source unless `promise` holds.
// The builtins stand for std::source_location, which clang 14 does not offer.
inline void expect(bool promise, std::string_view what, const char* file = __builtin_FILE(),
                   int line = __builtin_LINE()) {
  if (promise) return;
  throw BrokenPromise(std::string(file) + ":" + std::to_string(line) + ": expected " + std::string(what));
}

}  // namespace gradflow
