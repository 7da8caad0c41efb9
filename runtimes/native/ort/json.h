// Writing the little JSON that the library says about itself.

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rbnn::json {

// Of ASCII text.
inline std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

// "name": value, where `value` is JSON already.
inline std::string member(std::string_view name, std::string_view value) {
  return quoted(name) + ": " + std::string(value);
}

inline std::string joined(const std::vector<std::string>& parts) {
  std::string result;
  for (const std::string& part : parts) result += (result.empty() ? "" : ", ") + part;
  return result;
}

inline std::string array(const std::vector<std::string>& values) { return "[" + joined(values) + "]"; }
inline std::string object(const std::vector<std::string>& members) { return "{" + joined(members) + "}"; }

}  // namespace rbnn::json
