#include "kernels/printable.h"

#include <algorithm>
#include <cstddef>

namespace rbnn {

std::string printable(std::string_view text) {
  constexpr std::size_t kLongest = 40;
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string result;
  for (std::size_t i = 0; i < std::min(text.size(), kLongest); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte < 0x7f) {
      result += text[i];
    } else {
      result += {'\\', 'x', kDigits[byte / 16], kDigits[byte % 16]};
    }
  }
  return text.size() > kLongest ? result + "..." : result;
}

}  // namespace rbnn
