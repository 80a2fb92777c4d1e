#pragma once

namespace gradflow::data {

/// u with scale * u = x: the float32 number that has been multiplied, if there was one.
inline double unit_number(double x, double scale) {
  const double rounded = float(x / scale);
  return rounded * scale == x ? rounded : x / scale;
}

}  // namespace gradflow::data
