/* Counts the edges of a module that gcc has built with -fsanitize-coverage=trace-pc, of which libFuzzer knows nothing.
   `engine` gives the counters to libFuzzer, each with a program counter, as clang's inline-8bit-counters would. */

#include <stdint.h>

#define COUNT 65536

uint8_t wsd_counters[COUNT];
uintptr_t wsd_pcs[2 * COUNT];
const uintptr_t wsd_count = COUNT;

/* The distance to the counters is the same in every run. gcc calls this at each edge. */
__attribute__((visibility("hidden"))) void __sanitizer_cov_trace_pc(void)
{
    uintptr_t pc = (uintptr_t)__builtin_return_address(0);
    uintptr_t place = ((pc - (uintptr_t)wsd_counters) >> 2) % COUNT;
    wsd_counters[place]++;
    wsd_pcs[2 * place] = pc;
}
