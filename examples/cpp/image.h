/* Images without a decoder: binary PPM and PGM files, and how their pixels become a network's input. */

#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Reads a binary PPM (RGB) or PGM (grey) file of exactly these sizes and 8 bits per channel.
   pixels: [height][width][channels]. Returns NULL, or a sentence that says what is wrong. */
const char* read_image(const char* path, int channels, int height, int width, unsigned char* pixels);

/* Computes (pixels / 255 - mean) / deviation, each step rounded to float, as rbnn-deploy does.
   pixels: [count][channels]. mean, deviation: [channels]. input: [channels][count]. */
void normalise(const unsigned char* pixels, size_t count, int channels, const float* mean, const float* deviation,
               float* input);

#ifdef __cplusplus
}
#endif
