#include "image.h"

#include <ctype.h>
#include <stdio.h>

enum { LARGEST_SIZE = 65536 };

/* Reads a number of the header, behind white space and comments; -1 if there is none. */
static int read_number(FILE* file) {
  int c = fgetc(file), number = 0;
  while (isspace(c) || c == '#') {
    if (c == '#') {
      while (c != '\n' && c != EOF) {
        c = fgetc(file);
      }
    } else {
      c = fgetc(file);
    }
  }
  if (!isdigit(c)) {
    return -1;
  }
  for (; isdigit(c); c = fgetc(file)) {
    number = number < LARGEST_SIZE ? number * 10 + (c - '0') : number;
  }
  return isspace(c) ? number : -1; /* one white space ends the number, and the header */
}

static const char* read_pixels(FILE* file, int channels, int height, int width, unsigned char* pixels) {
  const size_t size = (size_t)height * (size_t)width * (size_t)channels;
  if (fgetc(file) != 'P' || fgetc(file) != (channels == 1 ? '5' : '6')) {
    return channels == 1 ? "the image is no binary PGM (P5) file, as this grey network needs"
                         : "the image is no binary PPM (P6) file, as this network needs";
  }
  if (read_number(file) != width || read_number(file) != height) {
    return "the image has another size than the network's input; resize it";
  }
  if (read_number(file) != 255) {
    return "the image has not 8 bits per channel; save it with 8";
  }
  return fread(pixels, 1, size, file) == size ? NULL : "the image file ends too early";
}

const char* read_image(const char* path, int channels, int height, int width, unsigned char* pixels) {
  const char* problem;
  FILE* file = fopen(path, "rb");
  if (file == NULL) {
    return "the image file cannot be opened";
  }
  problem = read_pixels(file, channels, height, width, pixels);
  fclose(file);
  return problem;
}

void normalise(const unsigned char* pixels, size_t count, int channels, const float* mean, const float* deviation,
               float* input) {
  size_t pixel;
  int c;
  for (c = 0; c < channels; c++) {
    for (pixel = 0; pixel < count; pixel++) {
      float x = (float)pixels[pixel * (size_t)channels + (size_t)c] / 255.0f;
      x = x - mean[c];
      *input++ = x / deviation[c];
    }
  }
}
