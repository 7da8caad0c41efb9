// The part of ONNX Runtime's C interface that this library uses, declared by hand.
//
// ONNX Runtime hands a custom-operator library a table of function pointers, so neither its headers nor its library is
// needed to build this one. The table is append-only: an entry's index never changes, and indices are what the
// assertions below check. Version 18 of the table is the oldest with everything that must be there (ONNX Runtime 1.18);
// one function of version 24 is used where there is one.

#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

struct OrtStatus;
struct OrtSessionOptions;
struct OrtCustomOpDomain;
struct OrtKernelInfo;
struct OrtKernelContext;
struct OrtShapeInferContext;
struct OrtTensorTypeAndShapeInfo;
struct OrtValue;
struct OrtOpAttr;
struct OrtCustomOp;
}

namespace rbnn::ort {

constexpr std::uint32_t kApiVersion = 18;
constexpr std::uint32_t kBorrowShapeVersion = 24;

// Lends a tensor's type and shape, which belong to the value. All that version 18 has is an object to make, to copy
// from and to release: memory from the heap for each input of each run.
using BorrowShape = OrtStatus* (*)(const OrtValue* value, int* type, const std::int64_t** dims, std::size_t* count);

enum ErrorCode : int { kFail = 1, kInvalidArgument = 2 };
enum ElementType : int { kFloat = 1, kUint8 = 2, kInt8 = 3, kInt32 = 6 };
enum AttributeType : int { kInt = 1, kInts = 2, kString = 5 };
enum Characteristic : int { kRequired = 0, kOptional = 1 };
enum MemoryType : int { kDefaultMemory = 0 };

using Unused = void (*)();

}  // namespace rbnn::ort

extern "C" {

struct OrtApi {
  OrtStatus* (*CreateStatus)(int code, const char* message);  // 0
  rbnn::ort::Unused unused_1[25];
  OrtStatus* (*CreateCustomOpDomain)(const char* name, OrtCustomOpDomain** out);  // 26
  OrtStatus* (*CustomOpDomain_Add)(OrtCustomOpDomain* domain, const OrtCustomOp* op);
  OrtStatus* (*AddCustomOpDomain)(OrtSessionOptions* options, OrtCustomOpDomain* domain);
  rbnn::ort::Unused unused_29[22];
  OrtStatus* (*GetTensorMutableData)(OrtValue* value, void** out);  // 51
  rbnn::ort::Unused unused_52[5];
  OrtStatus* (*CreateTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo** out);  // 57
  OrtStatus* (*SetTensorElementType)(OrtTensorTypeAndShapeInfo* info, int type);
  OrtStatus* (*SetDimensions)(OrtTensorTypeAndShapeInfo* info, const std::int64_t* dims, std::size_t count);
  OrtStatus* (*GetTensorElementType)(const OrtTensorTypeAndShapeInfo* info, int* out);
  OrtStatus* (*GetDimensionsCount)(const OrtTensorTypeAndShapeInfo* info, std::size_t* out);
  OrtStatus* (*GetDimensions)(const OrtTensorTypeAndShapeInfo* info, std::int64_t* dims, std::size_t count);
  OrtStatus* (*GetSymbolicDimensions)(const OrtTensorTypeAndShapeInfo* info, const char** names, std::size_t count);
  rbnn::ort::Unused unused_64[1];
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue* value, OrtTensorTypeAndShapeInfo** out);  // 65
  rbnn::ort::Unused unused_66[20];
  OrtStatus* (*KernelInfoGetAttribute_int64)(const OrtKernelInfo* info, const char* name, std::int64_t* out);  // 86
  OrtStatus* (*KernelInfoGetAttribute_string)(const OrtKernelInfo* info, const char* name, char* out,
                                              std::size_t* size);
  OrtStatus* (*KernelContext_GetInputCount)(const OrtKernelContext* context, std::size_t* out);  // 88
  rbnn::ort::Unused unused_89[1];
  OrtStatus* (*KernelContext_GetInput)(const OrtKernelContext* context, std::size_t index, const OrtValue** out);
  OrtStatus* (*KernelContext_GetOutput)(OrtKernelContext* context, std::size_t index, const std::int64_t* dims,
                                        std::size_t count, OrtValue** out);  // 91
  rbnn::ort::Unused unused_92[1];
  void (*ReleaseStatus)(OrtStatus* status);  // 93
  rbnn::ort::Unused unused_94[5];
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo* info);  // 99
  rbnn::ort::Unused unused_100[63];
  OrtStatus* (*KernelInfoGetAttributeArray_int64)(const OrtKernelInfo* info, const char* name, std::int64_t* out,
                                                  std::size_t* size);  // 163
  rbnn::ort::Unused unused_164[85];
  OrtStatus* (*KernelInfoGetConstantInput_tensor)(const OrtKernelInfo* info, std::size_t index, int* is_constant,
                                                  const OrtValue** out);  // 249
  rbnn::ort::Unused unused_250[18];
  OrtStatus* (*ShapeInferContext_GetInputTypeShape)(const OrtShapeInferContext* context, std::size_t index,
                                                    OrtTensorTypeAndShapeInfo** out);  // 268
  OrtStatus* (*ShapeInferContext_GetAttribute)(const OrtShapeInferContext* context, const char* name,
                                               const OrtOpAttr** out);
  OrtStatus* (*ShapeInferContext_SetOutputTypeShape)(const OrtShapeInferContext* context, std::size_t index,
                                                     const OrtTensorTypeAndShapeInfo* info);
  OrtStatus* (*SetSymbolicDimensions)(OrtTensorTypeAndShapeInfo* info, const char* names[], std::size_t count);
  OrtStatus* (*ReadOpAttr)(const OrtOpAttr* attribute, int type, void* data, std::size_t size, std::size_t* out);
  rbnn::ort::Unused unused_273[1];
  OrtStatus* (*KernelContext_ParallelFor)(const OrtKernelContext* context, void (*task)(void*, std::size_t),
                                          std::size_t total, std::size_t batches, void* data);  // 274
};

// The same table, of version 24 and later.
struct OrtApi24 {
  rbnn::ort::Unused unused_0[414];
  rbnn::ort::BorrowShape GetTensorElementTypeAndShapeDataReference;  // 414
};

struct OrtApiBase {
  const OrtApi* (*GetApi)(std::uint32_t version);
  const char* (*GetVersionString)();
};

struct OrtCustomOp {
  std::uint32_t version;
  void* (*CreateKernel)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*);
  const char* (*GetName)(const OrtCustomOp*);
  const char* (*GetExecutionProviderType)(const OrtCustomOp*);
  int (*GetInputType)(const OrtCustomOp*, std::size_t index);
  std::size_t (*GetInputTypeCount)(const OrtCustomOp*);
  int (*GetOutputType)(const OrtCustomOp*, std::size_t index);
  std::size_t (*GetOutputTypeCount)(const OrtCustomOp*);
  void (*KernelCompute)(void* kernel, OrtKernelContext*);
  void (*KernelDestroy)(void* kernel);
  int (*GetInputCharacteristic)(const OrtCustomOp*, std::size_t index);
  int (*GetOutputCharacteristic)(const OrtCustomOp*, std::size_t index);
  int (*GetInputMemoryType)(const OrtCustomOp*, std::size_t index);
  int (*GetVariadicInputMinArity)(const OrtCustomOp*);
  int (*GetVariadicInputHomogeneity)(const OrtCustomOp*);
  int (*GetVariadicOutputMinArity)(const OrtCustomOp*);
  int (*GetVariadicOutputHomogeneity)(const OrtCustomOp*);
  OrtStatus* (*CreateKernelV2)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*, void** kernel);
  OrtStatus* (*KernelComputeV2)(void* kernel, OrtKernelContext*);
  OrtStatus* (*InferOutputShapeFn)(const OrtCustomOp*, OrtShapeInferContext*);
  int (*GetStartVersion)(const OrtCustomOp*);
  int (*GetEndVersion)(const OrtCustomOp*);
  std::size_t (*GetMayInplace)(int** inputs, int** outputs);
  void (*ReleaseMayInplace)(int* inputs, int* outputs);
  std::size_t (*GetAliasMap)(int** inputs, int** outputs);
  void (*ReleaseAliasMap)(int* inputs, int* outputs);
};

}  // extern "C"

namespace rbnn::ort {

#define RBNN_AT(member, index) \
  static_assert(offsetof(OrtApi, member) == (index) * sizeof(void*), #member " is not where ONNX Runtime has it")
RBNN_AT(CreateStatus, 0);
RBNN_AT(CreateCustomOpDomain, 26);
RBNN_AT(GetTensorMutableData, 51);
RBNN_AT(CreateTensorTypeAndShapeInfo, 57);
RBNN_AT(GetSymbolicDimensions, 63);
RBNN_AT(GetTensorTypeAndShape, 65);
RBNN_AT(KernelInfoGetAttribute_int64, 86);
RBNN_AT(KernelContext_GetInputCount, 88);
RBNN_AT(KernelContext_GetOutput, 91);
RBNN_AT(ReleaseStatus, 93);
RBNN_AT(ReleaseTensorTypeAndShapeInfo, 99);
RBNN_AT(KernelInfoGetAttributeArray_int64, 163);
RBNN_AT(KernelInfoGetConstantInput_tensor, 249);
RBNN_AT(ShapeInferContext_GetInputTypeShape, 268);
RBNN_AT(ReadOpAttr, 272);
RBNN_AT(KernelContext_ParallelFor, 274);
#undef RBNN_AT
static_assert(offsetof(OrtApi24, GetTensorElementTypeAndShapeDataReference) == 414 * sizeof(void*));
static_assert(sizeof(OrtCustomOp) == 26 * sizeof(void*), "OrtCustomOp of API version 18");
static_assert(offsetof(OrtCustomOp, CreateKernelV2) == 17 * sizeof(void*), "OrtCustomOp of API version 18");
static_assert(offsetof(OrtCustomOp, GetMayInplace) == 22 * sizeof(void*), "OrtCustomOp of API version 18");

}  // namespace rbnn::ort
