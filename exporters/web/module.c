/* What the WebAssembly module offers: the places of input and output in its memory, and the two ways to run. */

#include "model.h"

#define EXPORTED(name) __attribute__((export_name(name)))

static uint8_t pixels[MODEL_INPUTS];
static float input[MODEL_INPUTS];
static float output[MODEL_OUTPUTS];

EXPORTED("channels") int channels(void) { return MODEL_CHANNELS; }
EXPORTED("height") int height(void) { return MODEL_HEIGHT; }
EXPORTED("width") int width(void) { return MODEL_WIDTH; }
EXPORTED("outputs") int outputs(void) { return MODEL_OUTPUTS; }

/* [height][width][channels], for run_pixels. */
EXPORTED("pixels") uint8_t* pixels_place(void) { return pixels; }
/* [channels][height][width], normalised, for run. */
EXPORTED("input") float* input_place(void) { return input; }
EXPORTED("output") float* output_place(void) { return output; }

EXPORTED("run_pixels") int run_pixels(void) { return model_run_image(pixels, output); }
EXPORTED("run") int run(void) { return model_run(input, output); }

/* UTF-8 with a 0 behind it; NULL where the model has no names. */
EXPORTED("class_name") const char* class_name(int index) {
#ifdef MODEL_CLASSES
  return model_classes[index];
#else
  (void)index;
  return 0;
#endif
}
