/* SPDX-License-Identifier: Apache-2.0
 * By the C library, which asks the kernel at each switch. */
#include "context.h"

#include "base/mem.h"

#include <ucontext.h>

void *context_prepare(void *stack, size_t size, void (*run)(void))
{
    ucontext_t *context = stack; /* the far end of the stack */
    getcontext(context);
    context->uc_stack.ss_sp = (char *)stack + sizeof(*context);
    context->uc_stack.ss_size = size - sizeof(*context);
    context->uc_link = NULL;
    makecontext(context, run, 0);
    return context;
}

void context_swap(void **out_from, void *to)
{
    ucontext_t here;
    *out_from = &here;
    swapcontext(&here, to);
}
