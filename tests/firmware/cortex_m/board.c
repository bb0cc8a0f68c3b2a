/* An emulated board without an operating system: start, FPU, a clock, and the program's result. */
#include <stdint.h>
#include <stdio.h>

#include "self_check.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define COPROCESSORS REGISTER(0xE000ED88u)
#define TICK_CONTROL REGISTER(0xE000E010u)
#define TICK_RELOAD REGISTER(0xE000E014u)
#define TICK_VALUE REGISTER(0xE000E018u)
#define TICK_MASK 0xFFFFFFu

extern uint32_t stack_top;
extern void _start(void);

static void reset(void)
{
    COPROCESSORS |= 0xFu << 20; /* the FPU */
    __asm__ volatile("dsb\n isb");
    _start();
}

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*reset)(void);
} vectors = {&stack_top, reset};

static eg_frontend frontend;

int main(void)
{
    float largest;
    TICK_RELOAD = TICK_MASK;
    TICK_VALUE = 0;
    TICK_CONTROL = 5; /* on, at the processor's clock */
    const uint32_t before = TICK_VALUE;
    const int right = eg_self_check(&frontend, &largest);
    const uint32_t ticks = (before - TICK_VALUE) & TICK_MASK;
    printf("%d %.9g %lu\n", right, (double)largest, (unsigned long)ticks);
    return 0;
}
