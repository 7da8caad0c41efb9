// Names the most likely classes of an image, with ONNX Runtime's C++ interface:
//
//     classify MODEL.onnx OPERATOR_LIBRARY IMAGE.ppm [HOW_MANY]
//
// One line per class: its number, its logit, and its name if the model has one.

#define ORT_API_MANUAL_INIT  // main says which version of the interface it takes
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "image.h"
#include "json_list.h"
#include "ort_path.h"

namespace {

// ONNX Runtime's interface only grows. With the oldest version that the operator library takes, this program runs in
// every ONNX Runtime from 1.18 on, whatever the version of the headers.
constexpr std::uint32_t kApiVersion = 18;

// Returns an entry of the model's metadata; empty where there is none.
std::string look_up(const Ort::ModelMetadata& metadata, const char* key) {
  Ort::AllocatorWithDefaultOptions allocator;
  const auto value = metadata.LookupCustomMetadataMapAllocated(key, allocator);
  return value ? value.get() : "";
}

// Returns one number per channel; `absent` stands for each where the model has no such entry.
std::vector<float> read_channels(const std::string& json, std::size_t channels, double absent) {
  std::vector<double> numbers(channels, absent);
  if (!json.empty() && !read_numbers(json.c_str(), numbers.data(), static_cast<int>(channels))) {
    throw std::runtime_error("the model's normalisation is no list of one number per channel; export it again");
  }
  std::vector<float> values;
  for (const double number : numbers) {
    values.push_back(static_cast<float>(number));
  }
  return values;
}

// Returns the input's shape, [1, C, H, W].
std::array<std::int64_t, 4> read_shape(const Ort::ModelMetadata& metadata) {
  std::array<double, 3> sizes{};
  if (!read_numbers(look_up(metadata, "rbnn_deploy.input_shape").c_str(), sizes.data(), 3)) {
    throw std::runtime_error("the model has no metadata of rbnn-deploy; export it with its input shape");
  }
  if (!std::all_of(sizes.begin(), sizes.end(), [](double size) { return size >= 1 && size <= 65536; })) {
    throw std::runtime_error("the model's input shape is out of range; export it again");
  }
  if (sizes[0] != 1 && sizes[0] != 3) {
    throw std::runtime_error("the network takes neither grey nor RGB images");
  }
  return {1, static_cast<std::int64_t>(sizes[0]), static_cast<std::int64_t>(sizes[1]),
          static_cast<std::int64_t>(sizes[2])};
}

// Reads an image and normalises it as the model's metadata say. Returns [C][H][W].
std::vector<float> load_input(const Ort::ModelMetadata& metadata, const char* path,
                              const std::array<std::int64_t, 4>& shape) {
  const auto channels = static_cast<std::size_t>(shape[1]);
  const auto count = static_cast<std::size_t>(shape[2] * shape[3]);
  const auto mean = read_channels(look_up(metadata, "rbnn_deploy.mean"), channels, 0);
  const auto deviation = read_channels(look_up(metadata, "rbnn_deploy.std"), channels, 1);
  std::vector<unsigned char> pixels(count * channels);
  if (const char* problem = read_image(path, static_cast<int>(channels), static_cast<int>(shape[2]),
                                       static_cast<int>(shape[3]), pixels.data())) {
    throw std::runtime_error(problem);
  }
  std::vector<float> input(pixels.size());
  normalise(pixels.data(), count, static_cast<int>(channels), mean.data(), deviation.data(), input.data());
  return input;
}

// Prints the largest logits, in falling order.
void print_largest(const float* logits, std::size_t count, std::size_t how_many, const std::string& names) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  order.resize(std::min(count, how_many));
  for (const std::size_t best : order) {
    std::array<char, 200> name{};
    if (!names.empty()) {
      read_string(names.c_str(), static_cast<int>(best), name.data(), name.size());
    }
    std::printf("%4d  %-15.9g %s\n", static_cast<int>(best), static_cast<double>(logits[best]), name.data());
  }
}

void classify(const char* model, const char* library, const char* image, std::size_t how_many) {
  Ort::Env environment(ORT_LOGGING_LEVEL_WARNING, "classify");
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  std::array<ORTCHAR_T, LONGEST_PATH> path;
  options.RegisterCustomOpsLibrary(ort_path(library, path.data()));
  Ort::Session session(environment, ort_path(model, path.data()), options);

  const Ort::ModelMetadata metadata = session.GetModelMetadata();
  const auto shape = read_shape(metadata);
  std::vector<float> input = load_input(metadata, image, shape);

  Ort::AllocatorWithDefaultOptions allocator;
  const auto input_name = session.GetInputNameAllocated(0, allocator);
  const auto output_name = session.GetOutputNameAllocated(0, allocator);
  const char* input_names[] = {input_name.get()};
  const char* output_names[] = {output_name.get()};
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const Ort::Value tensor =
      Ort::Value::CreateTensor<float>(memory, input.data(), input.size(), shape.data(), shape.size());
  const auto outputs = session.Run(Ort::RunOptions{}, input_names, &tensor, 1, output_names, 1);
  print_largest(outputs[0].GetTensorData<float>(), outputs[0].GetTensorTypeAndShapeInfo().GetElementCount(), how_many,
                look_up(metadata, "rbnn_deploy.class_names"));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const int how_many = argc > 4 ? std::atoi(argv[4]) : 5;
    if (argc < 4 || how_many < 1) {
      throw std::runtime_error("usage: classify MODEL.onnx OPERATOR_LIBRARY IMAGE.ppm [HOW_MANY]");
    }
    const OrtApi* api = OrtGetApiBase()->GetApi(kApiVersion);
    if (api == nullptr) {
      throw std::runtime_error("ONNX Runtime is older than 1.18; install a newer one");
    }
    Ort::InitApi(api);
    classify(argv[1], argv[2], argv[3], static_cast<std::size_t>(how_many));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
