/* Names the most likely classes of an image, with ONNX Runtime's C interface:

       classify_c MODEL.onnx OPERATOR_LIBRARY IMAGE.ppm [HOW_MANY]

   One line per class: its number, its logit, and its name if the model has one. Any error ends the program. */

#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>

#include "image.h"
#include "json_list.h"
#include "ort_path.h"

/* ONNX Runtime's interface only grows. With the oldest version that the operator library takes, this program runs in
   every ONNX Runtime from 1.18 on, whatever the version of the headers. */
enum { API_VERSION = 18, LARGEST_CHANNELS = 3, LONGEST_NAME = 200 };

static const OrtApi* ort;
static OrtAllocator* allocator;

static void stop(const char* sentence) {
  fprintf(stderr, "error: %s\n", sentence);
  exit(1);
}

static void check(OrtStatus* status) {
  if (status != NULL) {
    stop(ort->GetErrorMessage(status));
  }
}

static void* allocate(size_t count, size_t size) {
  void* memory = calloc(count > 0 ? count : 1, size);
  if (memory == NULL) {
    stop("there is not enough memory");
  }
  return memory;
}

/* Returns an entry of the model's metadata, or NULL; the allocator owns it. */
static char* look_up(const OrtModelMetadata* metadata, const char* key) {
  char* value;
  check(ort->ModelMetadataLookupCustomMetadataMap(metadata, allocator, key, &value));
  return value;
}

/* Reads one number per channel; `absent` stands for each where the model has no such entry. */
static void read_channels(const OrtModelMetadata* metadata, const char* key, int channels, float absent,
                          float* values) {
  double numbers[LARGEST_CHANNELS];
  char* json = look_up(metadata, key);
  int c;
  if (json != NULL && !read_numbers(json, numbers, channels)) {
    stop("the model's normalisation is no list of one number per channel; export it again");
  }
  for (c = 0; c < channels; c++) {
    values[c] = json == NULL ? absent : (float)numbers[c];
  }
  if (json != NULL) {
    check(ort->AllocatorFree(allocator, json));
  }
}

/* Reads an image and normalises it as the model's metadata say. shape: [1, C, H, W]. Returns [C][H][W]. */
static float* load_input(const OrtModelMetadata* metadata, const char* path, int64_t* shape) {
  double sizes[3];
  float mean[LARGEST_CHANNELS], deviation[LARGEST_CHANNELS], *input;
  unsigned char* pixels;
  const char* problem;
  size_t count;
  int i, channels;
  char* json = look_up(metadata, "rbnn_deploy.input_shape");
  if (json == NULL || !read_numbers(json, sizes, 3)) {
    stop("the model has no metadata of rbnn-deploy; export it with its input shape");
  }
  check(ort->AllocatorFree(allocator, json));
  shape[0] = 1;
  for (i = 0; i < 3; i++) {
    if (!(sizes[i] >= 1 && sizes[i] <= 65536)) {
      stop("the model's input shape is out of range; export it again");
    }
    shape[i + 1] = (int64_t)sizes[i];
  }
  channels = (int)shape[1];
  if (channels != 1 && channels != 3) {
    stop("the network takes neither grey nor RGB images");
  }
  read_channels(metadata, "rbnn_deploy.mean", channels, 0.0f, mean);
  read_channels(metadata, "rbnn_deploy.std", channels, 1.0f, deviation);
  count = (size_t)shape[2] * (size_t)shape[3];
  pixels = allocate(count, (size_t)channels);
  input = allocate(count * (size_t)channels, sizeof *input);
  problem = read_image(path, channels, (int)shape[2], (int)shape[3], pixels);
  if (problem != NULL) {
    stop(problem);
  }
  normalise(pixels, count, channels, mean, deviation, input);
  free(pixels);
  return input;
}

/* Prints the largest logits, in falling order. */
static void print_largest(const float* logits, size_t count, size_t how_many, const char* names) {
  char* printed = allocate(count, 1);
  for (; how_many > 0; how_many--) {
    char name[LONGEST_NAME] = "";
    size_t i, best = count;
    for (i = 0; i < count; i++) {
      if (!printed[i] && (best == count || logits[i] > logits[best])) {
        best = i;
      }
    }
    if (best == count) {
      break;
    }
    printed[best] = 1;
    if (names != NULL) {
      read_string(names, (int)best, name, sizeof name);
    }
    printf("%4d  %-15.9g %s\n", (int)best, (double)logits[best], name);
  }
  free(printed);
}

int main(int argc, char** argv) {
  OrtEnv* environment;
  OrtSessionOptions* options;
  OrtSession* session;
  OrtModelMetadata* metadata;
  OrtMemoryInfo* memory;
  OrtTensorTypeAndShapeInfo* info;
  OrtValue *tensor, *output = NULL;
  int64_t shape[4];
  size_t count;
  float *input, *logits;
  char *input_name, *output_name, *names;
  ORTCHAR_T library_path[LONGEST_PATH], model_path[LONGEST_PATH];
  int how_many = argc > 4 ? atoi(argv[4]) : 5;

  if (argc < 4 || how_many < 1) {
    stop("usage: classify_c MODEL.onnx OPERATOR_LIBRARY IMAGE.ppm [HOW_MANY]");
  }
  ort = OrtGetApiBase()->GetApi(API_VERSION);
  if (ort == NULL) {
    stop("ONNX Runtime is older than 1.18; install a newer one");
  }
  check(ort->GetAllocatorWithDefaultOptions(&allocator));
  check(ort->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "classify", &environment));
  check(ort->CreateSessionOptions(&options));
  check(ort->SetIntraOpNumThreads(options, 1));
  check(ort->RegisterCustomOpsLibrary_V2(options, ort_path(argv[2], library_path)));
  check(ort->CreateSession(environment, ort_path(argv[1], model_path), options, &session));

  check(ort->SessionGetModelMetadata(session, &metadata));
  input = load_input(metadata, argv[3], shape);
  names = look_up(metadata, "rbnn_deploy.class_names");
  check(ort->SessionGetInputName(session, 0, allocator, &input_name));
  check(ort->SessionGetOutputName(session, 0, allocator, &output_name));

  count = (size_t)(shape[1] * shape[2] * shape[3]);
  check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  check(ort->CreateTensorWithDataAsOrtValue(memory, input, count * sizeof *input, shape, 4,
                                            ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &tensor));
  check(ort->Run(session, NULL, (const char* const*)&input_name, (const OrtValue* const*)&tensor, 1,
                 (const char* const*)&output_name, 1, &output));
  check(ort->GetTensorTypeAndShape(output, &info));
  check(ort->GetTensorShapeElementCount(info, &count));
  check(ort->GetTensorMutableData(output, (void**)&logits));
  print_largest(logits, count, (size_t)how_many, names);

  ort->ReleaseTensorTypeAndShapeInfo(info);
  ort->ReleaseValue(output);
  ort->ReleaseValue(tensor);
  ort->ReleaseMemoryInfo(memory);
  check(ort->AllocatorFree(allocator, input_name));
  check(ort->AllocatorFree(allocator, output_name));
  if (names != NULL) {
    check(ort->AllocatorFree(allocator, names));
  }
  ort->ReleaseModelMetadata(metadata);
  ort->ReleaseSession(session);
  ort->ReleaseSessionOptions(options);
  ort->ReleaseEnv(environment);
  free(input);
  return 0;
}
