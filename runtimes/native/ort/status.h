// Between C++ exceptions, which stop at this library's boundary, and ONNX Runtime's statuses.

#pragma once

#include <exception>
#include <new>
#include <stdexcept>

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

// Runs `function` and returns what it throws as a status: nothing is thrown into ONNX Runtime.
template <typename Function>
OrtStatus* guard(const OrtApi& api, Function&& function) noexcept {
  try {
    function();
    return nullptr;
  } catch (const StatusError& error) {
    return error.status;
  } catch (const std::invalid_argument& error) {
    return api.CreateStatus(kInvalidArgument, error.what());
  } catch (const std::bad_alloc&) {
    return api.CreateStatus(kFail, "rbnn: not enough memory for this layer");
  } catch (const std::exception& error) {
    return api.CreateStatus(kFail, error.what());
  } catch (...) {
    return api.CreateStatus(kFail, "rbnn: unknown error");
  }
}

}  // namespace rbnn::ort
