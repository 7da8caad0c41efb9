// Somebody else's bytes in a message.

#pragma once

#include <string>
#include <string_view>

namespace rbnn {

// At most 40 characters of `text` as ASCII: callers take messages for UTF-8, and nobody reads megabytes.
std::string printable(std::string_view text);

}  // namespace rbnn
