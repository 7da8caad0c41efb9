/* Starts a Cortex-M of QEMU's MPS2 boards. With -icount shift=0 a SysTick of 25 MHz is 40 instructions. */
#include "board.h"

#define SYSTICK ((volatile uint32_t*)0xE000E010)
#define SYSTICK_MASK 0xFFFFFFu
#define INSTRUCTIONS_PER_TICK 40u

extern uint32_t bss_begin, bss_end, stack_top;
void reset(void);
__attribute__((section(".start"), used)) void* const vectors[] = {&stack_top, (void*)reset};
static uint32_t before;

static int semihosting(int operation, const void* argument) {
  register int r0 __asm__("r0") = operation;
  register const void* r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

void print_text(const char* text) { semihosting(4, text); }

void start_counter(void) {
  SYSTICK[1] = SYSTICK_MASK;
  SYSTICK[2] = 0;
  SYSTICK[0] = 5;
  before = SYSTICK[2];
}

uint32_t count_instructions(void) { return ((before - SYSTICK[2]) & SYSTICK_MASK) * INSTRUCTIONS_PER_TICK; }

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
