/* What each emulated board has of its own. */
#pragma once

#include <stdint.h>

/* Prints by semihosting. */
void print_text(const char* text);

void start_counter(void);

/* Instructions since start_counter, exact to the board's ticks. */
uint32_t count_instructions(void);

/* Runs the recorded image; a board calls it once memory is set up. */
void run(void);
