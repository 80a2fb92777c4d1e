#include "parting.hpp"

namespace gradflow::pipeline {

Stack from_point(const Stack& stack, int first_point) {
  Stack part;
  for (RowRange range : stack) {
    if (range.point < first_point) continue;
    range.first_row = rows_of(part);
    part.push_back(range);
  }
  return part;
}

}  // namespace gradflow::pipeline
