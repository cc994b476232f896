/* SPDX-License-Identifier: Apache-2.0 */
#include "context.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
enum { HAS_SANITIZER = 1 };
#else
enum { HAS_SANITIZER = 0 };
static void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t size)
{
    (void)fake;
    (void)bottom;
    (void)size;
}
static void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *size)
{
    (void)fake;
    (void)bottom;
    (void)size;
}
static void __asan_unpoison_memory_region(const void *at, size_t size)
{
    (void)at;
    (void)size;
}
#endif

static struct context *leaving;

/* The stack that the process came with is only known once it was left. */
static void learn(const void *bottom, size_t size)
{
    if (HAS_SANITIZER && leaving && !leaving->stack) {
        leaving->stack = (void *)(size_t)bottom;
        leaving->size = size;
    }
}

void context_make(struct context *context, void *stack, size_t size, void (*run)(void))
{
    __asan_unpoison_memory_region(stack, size);
    *context = (struct context){.stack = stack, .size = size};
    context->at = context_prepare(stack, size, run);
}

void context_switch(struct context *from, struct context *to, bool is_last)
{
    const void *bottom = NULL;
    size_t size = 0;
    leaving = from;
    __sanitizer_start_switch_fiber(is_last ? NULL : &from->fake, to->stack, to->size);
    context_swap(&from->at, to->at);
    __sanitizer_finish_switch_fiber(from->fake, &bottom, &size);
    learn(bottom, size);
}

void context_entered(void)
{
    const void *bottom = NULL;
    size_t size = 0;
    __sanitizer_finish_switch_fiber(NULL, &bottom, &size);
    learn(bottom, size);
}
