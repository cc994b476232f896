/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdarg.h>

enum {
    ARENA_ALIGN = 16,
    ARENA_FIRST = 4096,
    ARENA_BLOCK_MAX = 256 * 1024,
};

struct arena_block {
    struct arena_block *next;
    size_t size; /* of the room behind the header */
};

struct arena_deferred {
    struct arena_deferred *next;
    void (*fn)(void *arg);
    void *arg;
};

struct arena {
    ProtobufCAllocator protobuf;
    struct arena_block *blocks;
    struct arena_deferred *deferred;
    uint8_t *at;
    size_t left;
    size_t used;
    size_t bytes_max;
    size_t next_size;
};

static size_t align_up(size_t size)
{
    return (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
}

static void *protobuf_alloc(void *data, size_t size)
{
    return arena_alloc(data, size);
}

static void protobuf_free(void *data, void *ptr)
{
    (void)data;
    (void)ptr;
}

struct arena *arena_new(size_t bytes_max)
{
    /* The arena lives at the start of its own first block: one malloc for a small request. */
    size_t head = align_up(sizeof(struct arena));
    struct arena *arena = mem_alloc(head + ARENA_FIRST);
    *arena = (struct arena){
        .protobuf = {protobuf_alloc, protobuf_free, arena},
        .at = (uint8_t *)arena + head,
        .left = ARENA_FIRST,
        .bytes_max = bytes_max ? bytes_max : SIZE_MAX,
        .next_size = (size_t)4 * ARENA_FIRST,
    };
    return arena;
}

void arena_free(struct arena *arena)
{
    if (!arena) {
        return;
    }
    for (struct arena_deferred *d = arena->deferred; d; d = d->next) {
        d->fn(d->arg);
    }
    struct arena_block *block = arena->blocks;
    while (block) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    free(arena);
}

static void arena_block_add(struct arena *arena, size_t size)
{
    size_t head = align_up(sizeof(struct arena_block));
    size_t room = size > arena->next_size ? size : arena->next_size;
    struct arena_block *block = mem_alloc(head + room);
    *block = (struct arena_block){arena->blocks, room};
    arena->blocks = block;
    arena->at = (uint8_t *)block + head;
    arena->left = room;
    if (arena->next_size < ARENA_BLOCK_MAX) {
        arena->next_size *= 2;
    }
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    size = align_up(size ? size : 1);
    if (size > arena->bytes_max - arena->used) {
        return NULL;
    }
    if (size > arena->left) {
        arena_block_add(arena, size);
    }
    void *ptr = arena->at;
    arena->at += size;
    arena->left -= size;
    arena->used += size;
    return ptr;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    void *ptr = arena_alloc(arena, size);
    if (ptr) {
        memset(ptr, 0, size);
    }
    return ptr;
}

struct slice arena_dup(struct arena *arena, struct slice bytes)
{
    uint8_t *copy = arena_alloc(arena, bytes.len + 1);
    if (!copy) {
        return (struct slice){0};
    }
    if (bytes.len) {
        memcpy(copy, bytes.data, bytes.len);
    }
    copy[bytes.len] = 0;
    return slice_of(copy, bytes.len);
}

char *arena_strdup(struct arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = arena_alloc(arena, size);
    return copy ? memcpy(copy, text, size) : NULL;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    check(len >= 0);
    char *text = arena_alloc(arena, (size_t)len + 1);
    if (text) {
        va_start(args, format);
        vsnprintf(text, (size_t)len + 1, format, args);
        va_end(args);
    }
    return text;
}

void arena_defer(struct arena *arena, void (*fn)(void *arg), void *arg)
{
    /* Not counted against bytes_max: what is deferred frees memory, so refusing it would leak. */
    size_t bytes_max = arena->bytes_max;
    arena->bytes_max = SIZE_MAX;
    struct arena_deferred *d = arena_alloc(arena, sizeof(*d));
    arena->bytes_max = bytes_max > arena->used ? bytes_max : arena->used;
    *d = (struct arena_deferred){arena->deferred, fn, arg};
    arena->deferred = d;
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}

ProtobufCAllocator *arena_protobuf(struct arena *arena)
{
    return &arena->protobuf;
}
