/* SPDX-License-Identifier: Apache-2.0
 * What the System V ABI lets a callee not change, on the stack that is left; the other's back. */
#include "context.h"

#include <stdint.h>

void sim_swap(void **out_from, void *to);

__asm__(".text\n"
        ".globl sim_swap\n"
        ".hidden sim_swap\n"
        ".type sim_swap, @function\n"
        "sim_swap:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size sim_swap, . - sim_swap\n");

enum { SAVED = 6 };

/* As if run had been called from nowhere: its address is what sim_swap returns to. */
void *context_prepare(void *stack, size_t size, void (*run)(void))
{
    uintptr_t *top = (uintptr_t *)(((uintptr_t)stack + size) & ~(uintptr_t)15);
    *--top = 0;
    *--top = (uintptr_t)run;
    for (int i = 0; i < SAVED; i++) {
        *--top = 0;
    }
    return top;
}

void context_swap(void **out_from, void *to)
{
    sim_swap(out_from, to);
}
