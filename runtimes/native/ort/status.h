// Between C++ exceptions, which stop at this library's boundary, and ONNX Runtime's statuses.

#pragma once

#include <exception>
#include <new>
#include <stdexcept>
#include <string>

#include "ort/c_api.h"

namespace rbnn::ort {

// A status of ONNX Runtime's own on its way back to it.
struct StatusError {
  OrtStatus* status;
};

inline void check(OrtStatus* status) {
  if (status != nullptr) throw StatusError{status};
}

// True for success; a failure's status is released.
inline bool succeeded(const OrtApi& api, OrtStatus* status) {
  if (status != nullptr) api.ReleaseStatus(status);
  return status == nullptr;
}

// Runs `function` and returns what it throws as a status, whose message begins with `who`, the operator: nothing is
// thrown into ONNX Runtime.
template <typename Function>
OrtStatus* guard(const OrtApi& api, const char* who, Function&& function) noexcept {
  const auto status = [&](ErrorCode code, const char* sentence) {
    try {
      return api.CreateStatus(code, (std::string(who) + ": " + sentence).c_str());
    } catch (const std::bad_alloc&) {
      return api.CreateStatus(code, who);
    }
  };
  try {
    function();
    return nullptr;
  } catch (const StatusError& error) {
    return error.status;
  } catch (const std::invalid_argument& error) {
    return status(kInvalidArgument, error.what());
  } catch (const std::bad_alloc&) {
    return status(kFail, "not enough memory for this layer");
  } catch (const std::exception& error) {
    return status(kFail, error.what());
  } catch (...) {
    return status(kFail, "unknown error");
  }
}

}  // namespace rbnn::ort
