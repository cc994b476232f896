/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that lives and dies as one: a request's. Used by one thread at a time, handed on with the
 * request.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/slice.h"

#include <protobuf-c/protobuf-c.h>

struct arena;

/* Gives an arena that may hold at most bytes_max (0: no limit of its own). */
struct arena *arena_new(size_t bytes_max);
/* Runs what was deferred, last first, then frees all. NULL is fine. */
void arena_free(struct arena *arena);

/* 16-byte aligned, not zeroed. NULL only when bytes_max would be passed. */
void *arena_alloc(struct arena *arena, size_t size);
/* Zeroed; otherwise as arena_alloc. */
void *arena_zalloc(struct arena *arena, size_t size);
/* Copies into the arena. The copy of text has a NUL behind it. */
struct slice arena_dup(struct arena *arena, struct slice bytes);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Calls fn(arg) when the arena is freed: for references that its contents hold. */
void arena_defer(struct arena *arena, void (*fn)(void *arg), void *arg);

/* Bytes handed out so far. */
size_t arena_used(const struct arena *arena);

/* An allocator for protobuf-c that takes from the arena and frees nothing by itself. Lives as long
 * as the arena. */
ProtobufCAllocator *arena_protobuf(struct arena *arena);

#endif
