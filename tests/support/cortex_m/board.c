/* Starts a Cortex-M of QEMU, runs a recorded image once, and prints by semihosting how many outputs are equal, how
   deep the stack went, and how many instructions it took (with -icount shift=0 a SysTick of 25 MHz is 40 of them). */
#include <stdint.h>

#include "model.h"
#include "recording.h"

#define STACK_WORDS 1200 /* that are painted */
#define PAINT 0xA5A5A5A5u
#define SYSTICK ((volatile uint32_t*)0xE000E010)
#define SYSTICK_MASK 0xFFFFFFu
#define INSTRUCTIONS_PER_TICK 40u

extern uint32_t bss_begin, bss_end, stack_top;
void reset(void);
__attribute__((section(".vectors"), used)) void* const vectors[] = {&stack_top, (void*)reset};
static float output[MODEL_OUTPUTS];

static int semihosting(int operation, const void* argument) {
  register int r0 __asm__("r0") = operation;
  register const void* r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static void print(const char* name, uint32_t value) {
  char text[12];
  int i = 11;
  text[i] = 0;
  do {
    text[--i] = (char)('0' + value % 10);
    value /= 10;
  } while (value > 0);
  semihosting(4, name);
  semihosting(4, text + i);
  semihosting(4, "\n");
}

static void run(void) {
  uint32_t* const here = __builtin_frame_address(0);
  volatile uint32_t* word;
  uint32_t before, ticks, equal = 0;
  int i;
  for (word = here - STACK_WORDS; word < here - 64; word++) {
    *word = PAINT;
  }
  SYSTICK[1] = SYSTICK_MASK;
  SYSTICK[2] = 0;
  SYSTICK[0] = 5;
  before = SYSTICK[2];
  model_run_image(input, output);
  ticks = (before - SYSTICK[2]) & SYSTICK_MASK;
  for (word = here - STACK_WORDS; *word == PAINT && word < here; word++) {
  }
  for (i = 0; i < MODEL_OUTPUTS; i++) {
    equal += output[i] == expected[i];
  }
  print("equal ", equal);
  print("stack ", (uint32_t)((const char*)here - (const char*)word));
  print("instructions ", ticks * INSTRUCTIONS_PER_TICK);
}

void reset(void) {
  uint32_t* word;
#if defined(__ARM_FP)
  *(volatile uint32_t*)0xE000ED88 |= 0xFu << 20; /* switches the floating-point unit on */
  __asm__ volatile("dsb\n isb");
#endif
  for (word = &bss_begin; word < &bss_end; word++) {
    *word = 0;
  }
  run();
  semihosting(0x18, (void*)0x20026);
}
