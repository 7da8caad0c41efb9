/* The two kinds of JSON in a model's metadata: a list of numbers and a list of strings. */

#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Reads a list of exactly `count` numbers, such as "[0.5, 0.25]". Returns whether it is one. */
int read_numbers(const char* json, double* numbers, int count);

/* Finds a string of a list by its position, and writes it as UTF-8, cut where `size` bytes end.
   Returns whether the list has it. */
int read_string(const char* json, int position, char* text, size_t size);

#ifdef __cplusplus
}
#endif
