/* SPDX-License-Identifier: Apache-2.0
 *
 * Allocation that aborts on failure: limits are checked before, so running out is not an error to
 * handle.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Zeroed. Gives; free with free(). */
void *mem_new(size_t size) __attribute__((malloc, returns_nonnull));
/* Not zeroed. Gives; free with free(). size 0 gives a pointer that may be freed. */
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_grow(void *old, size_t size) __attribute__((returns_nonnull));
void *mem_dup(const void *data, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *text) __attribute__((returns_nonnull));
/* printf into new memory. Gives. */
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

#endif
