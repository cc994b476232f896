/* SPDX-License-Identifier: Apache-2.0
 *
 * A flow of control with a stack of its own, and the switch between two of them. One OS thread. The
 * address sanitizer is told of each switch where it is there.
 */
#ifndef SIM_CONTEXT_H
#define SIM_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

struct context {
    void *at; /* where it goes on; context_swap's */
    void *stack;
    size_t size;
    void *fake; /* the address sanitizer's */
};

/* Begins at run on that stack at the first switch to it; run never returns. */
void context_make(struct context *context, void *stack, size_t size, void (*run)(void));
/* Leaves from, whose state is kept unless is_last, and goes on in to. */
void context_switch(struct context *from, struct context *to, bool is_last);
/* First thing in a context's run. */
void context_entered(void);

/* The machine's part: context_x86_64.c or context_any.c. */
void *context_prepare(void *stack, size_t size, void (*run)(void));
void context_swap(void **out_from, void *to);

#endif
