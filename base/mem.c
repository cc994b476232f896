/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include "base/err.h"

#include <stdarg.h>
#include <string.h>

void *mem_new(size_t size)
{
    void *ptr = calloc(1, size ? size : 1);
    check(ptr);
    return ptr;
}

void *mem_alloc(size_t size)
{
    void *ptr = malloc(size ? size : 1);
    check(ptr);
    return ptr;
}

void *mem_grow(void *old, size_t size)
{
    void *ptr = realloc(old, size ? size : 1);
    check(ptr);
    return ptr;
}

void *mem_dup(const void *data, size_t size)
{
    void *ptr = mem_alloc(size);
    if (size) {
        memcpy(ptr, data, size);
    }
    return ptr;
}

char *mem_strdup(const char *text)
{
    return mem_dup(text, strlen(text) + 1);
}

char *mem_printf(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    check(len >= 0 && text);
    return text;
}
