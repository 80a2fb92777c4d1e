#pragma once

#include <string>
#include <string_view>

#include "gradflow/core/errors.hpp"

namespace gradflow::sweep {

/// Where something was read, for messages. Lines and columns count from 1; line 0 stands for the whole file.
struct Place {
  std::string file;  ///< or the option itself: "--set init.sigma_w=2"
  int line = 0;
  int column = 0;

  bool operator==(const Place&) const = default;
};

/// "sweeps/depth.toml:9:14", or only the file for line 0.
std::string text_of(const Place& place);

/// The error "file:line:column: key: message".
UserError error_at(const Place& place, std::string_view key, std::string_view message);

}  // namespace gradflow::sweep
