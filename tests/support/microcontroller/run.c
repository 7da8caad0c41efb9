/* Runs a recorded image once on an emulated board, and prints how many outputs are equal, how deep the stack went, and
   how many instructions it took. */
#include "board.h"
#include "model.h"
#include "recording.h"

#define STACK_WORDS 1200 /* that are painted */
#define PAINT 0xA5A5A5A5u

static float output[MODEL_OUTPUTS];

static void print(const char* name, uint32_t value) {
  char text[12];
  int i = 11;
  text[i] = 0;
  do {
    text[--i] = (char)('0' + value % 10);
    value /= 10;
  } while (value > 0);
  print_text(name);
  print_text(text + i);
  print_text("\n");
}

void run(void) {
  uint32_t* const here = __builtin_frame_address(0);
  volatile uint32_t* word;
  uint32_t instructions, equal = 0;
  int i;
  for (word = here - STACK_WORDS; word < here - 64; word++) {
    *word = PAINT;
  }
  start_counter();
  model_run_image(input, output);
  instructions = count_instructions();
  for (word = here - STACK_WORDS; *word == PAINT && word < here; word++) {
  }
  for (i = 0; i < MODEL_OUTPUTS; i++) {
    equal += output[i] == expected[i];
  }
  print("equal ", equal);
  print("stack ", (uint32_t)((const char*)here - (const char*)word));
  print("instructions ", instructions);
}
