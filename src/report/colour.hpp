#pragma once

#include <string>

namespace gradflow::report {

/// Colours that people with any kind of colour blindness tell apart, as "#rrggbb".

/// Along an ordered axis: dark violet to yellow-green (viridis without its palest end). 0 <= share <= 1
std::string ordered_colour(double share);

/// For things without an order (Okabe and Ito); repeats after seven.
std::string distinct_colour(std::size_t index);

/// Blue for -1, nearly white for 0, red for 1.
std::string signed_colour(double value);

/// For writing on a ground of signed_colour(value).
std::string ink_on_signed_colour(double value);

}  // namespace gradflow::report
