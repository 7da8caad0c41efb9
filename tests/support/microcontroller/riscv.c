/* Starts a RISC-V core of QEMU's board "virt" in machine mode. With -icount shift=0 minstret counts instructions. */
#include "board.h"

extern uint32_t bss_begin, bss_end;
static uint32_t before;

/* The three instructions that QEMU takes for a call; they must not be compressed, nor lie in two pages. */
static long semihosting(long operation, const void* argument) {
  register long a0 __asm__("a0") = operation;
  register const void* a1 __asm__("a1") = argument;
  __asm__ volatile(
      ".option push\n .option norvc\n .balign 16\n"
      "slli x0, x0, 0x1f\n ebreak\n srai x0, x0, 7\n"
      ".option pop\n"
      : "+r"(a0)
      : "r"(a1)
      : "memory");
  return a0;
}

static uint32_t read_minstret(void) {
  unsigned long value;
  __asm__ volatile(".option push\n .option arch, +zicsr\n csrr %0, minstret\n .option pop" : "=r"(value));
  return (uint32_t)value;
}

void print_text(const char* text) { semihosting(4, text); }

void start_counter(void) { before = read_minstret(); }

uint32_t count_instructions(void) { return read_minstret() - before; }

__attribute__((used, noreturn)) void begin(void) {
  static const unsigned long finished[2] = {0x20026, 0};
  uint32_t* word;
#if defined(__riscv_flen)
  __asm__ volatile("csrs mstatus, %0" ::"r"(0x6000)); /* switches the floating-point unit on */
#endif
  for (word = &bss_begin; word < &bss_end; word++) {
    *word = 0;
  }
  run();
  semihosting(0x18, sizeof(long) == 8 ? (const void*)finished : (const void*)0x20026);
  for (;;) {
  }
}

__attribute__((naked, section(".start"), used)) void reset(void) { __asm__ volatile("la sp, stack_top\n j begin"); }
