#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::data {

/// A test with a folder of its own.
class InFolder : public testing::Test {
 protected:
  InFolder()
      : folder_(std::filesystem::temp_directory_path() / ("gradflow_data_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~InFolder() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path path(const std::string& name) const { return folder_ / name; }

  std::filesystem::path write(const std::string& name, const std::vector<std::uint8_t>& bytes) const {
    std::ofstream(path(name), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
    return path(name);
  }

 private:
  std::filesystem::path folder_;
};

/// What `act` complains of; empty if it does not.
inline std::string complaint(const std::function<void()>& act) {
  try {
    act();
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

inline void expect_text(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << '"' << text << "\" has no \"" << part << '"';
}

}  // namespace gradflow::data
