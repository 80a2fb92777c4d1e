#include "rounds.hpp"

#include <algorithm>
#include <chrono>

#include "gradflow/core/errors.hpp"

namespace gradflow::bench {

Rounds::Rounds(int repeats, const std::function<Round()>& once) {
  expect(repeats >= 1, "at least one round");
  once();
  for (int i = 0; i < repeats; ++i) rounds_.push_back(once());
}

Median Rounds::of(const std::string& name) const {
  return of([&](const Round& round) { return round.at(name); });
}

Median Rounds::of(const std::function<double(const Round&)>& figure) const {
  std::vector<double> values;
  for (const Round& round : rounds_) values.push_back(figure(round));
  std::ranges::sort(values);
  const std::size_t n = values.size();
  return {(values[(n - 1) / 2] + values[n / 2]) / 2, values.front(), values.back()};
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace gradflow::bench
