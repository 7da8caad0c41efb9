// Size arithmetic on numbers that come out of somebody else's file.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <stdexcept>

namespace rbnn {

// The product of non-negative sizes; throws std::invalid_argument where it does not fit.
inline std::int64_t checked_product(std::initializer_list<std::int64_t> factors) {
  std::int64_t product = 1;
  bool zero = false;  // 2^40 * 2^40 * 0 is 0, in any order
  for (const std::int64_t factor : factors) zero = zero || factor == 0;
  if (zero) return 0;
  for (const std::int64_t factor : factors) {
    if (factor < 0 || __builtin_mul_overflow(product, factor, &product) || product > (std::int64_t{1} << 56)) {
      throw std::invalid_argument("the product of the tensors' dimensions is too large for this machine");
    }
  }
  return product;
}

}  // namespace rbnn
