// A runtime as small as the operator library lets it be: the functions of ONNX Runtime's table that a kernel calls, on
// plain structures. The library's own registration, checks and memory are tested with it, under sanitizers too.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "kernels/parallel.h"
#include "oracle.h"
#include "ort/c_api.h"

struct OrtStatus {
  int code;
  std::string message;
};

struct OrtValue {
  int type;
  std::vector<std::int64_t> dims;
  void* data;
};

struct OrtTensorTypeAndShapeInfo {
  int type;
  std::vector<std::int64_t> dims;
};

struct OrtKernelInfo {
  std::map<std::string, std::variant<std::int64_t, std::vector<std::int64_t>, std::string>> attributes;
  std::vector<const OrtValue*> constants;  // by input; null where an input is none
};

struct OrtKernelContext {
  std::vector<const OrtValue*> inputs;
  OrtValue output;
  rbnn::Parallel parallel;
  bool fails = false;  // ParallelFor
};

namespace rbnn::test {

enum class Version { k18, k24 };

// The operator as the library registers it with a runtime of this version, which lives as long as the program.
const OrtCustomOp& registered_operator(Version version);

// How often a kernel asked for an object that describes a tensor, so far.
std::size_t shape_objects();

// A node that computes a case, in a session of a runtime of one version.
class Node {
 public:
  enum class Constants { kAll, kNone };
  Node(Version version, const Case& c, Constants constants = Constants::kAll);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Empty, or the sentence of the status that the node could not be made with.
  const std::string& refusal() const { return refusal_; }

  // A run of the node, with memory for its output. Runs may overlap. The inputs belong to the case.
  struct Run {
    std::array<OrtValue, 5> inputs;
    std::vector<float> y;
    OrtKernelContext context;
  };
  Run prepare(const Case& c, const Parallel& parallel = serial()) const;

  // Returns the status's sentence, or nothing.
  std::string compute(Run& run) const;

 private:
  const OrtCustomOp& operator_;
  std::array<OrtValue, 5> values_;
  OrtKernelInfo info_;
  void* kernel_ = nullptr;
  std::string refusal_;
};

}  // namespace rbnn::test
