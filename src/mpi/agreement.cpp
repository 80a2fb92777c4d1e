#include "gradflow/mpi/agreement.hpp"

#include <algorithm>
#include <exception>
#include <string>
#include <vector>

#include "gradflow/core/errors.hpp"

namespace gradflow::mpi {
namespace {

constexpr char mistake = 'm';
constexpr char error = 'e';

/// How `act` ended: nothing if it did well; otherwise its kind of failure, then the text.
std::string ending_of(const std::function<void()>& act) {
  try {
    act();
    return "";
  } catch (const UserError& failure) {
    return mistake + std::string(failure.what());
  } catch (const std::exception& failure) {
    return error + std::string(failure.what());
  }
}

void raise_unless_well(const std::string& ending) {
  if (ending.empty()) return;
  const std::string text = ending.substr(1);
  if (ending.front() == mistake) throw UserError(text);
  throw CommonError(text);
}

}  // namespace

void on_root(const Communicator& ranks, const std::function<void()>& act) {
  raise_unless_well(ranks.broadcast(ranks.rank() == 0 ? ending_of(act) : ""));
}

void on_each(const Communicator& ranks, const std::function<void()>& act) {
  const std::string mine = ending_of(act);
  if (ranks.all_agree(mine.empty())) return;
  const std::vector<std::string> all = ranks.gather(mine);
  const auto failed = std::ranges::find_if(all, [](const std::string& ending) { return !ending.empty(); });
  raise_unless_well(ranks.broadcast(failed == all.end() ? "" : *failed));
}

}  // namespace gradflow::mpi
