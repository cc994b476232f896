/* SPDX-License-Identifier: Apache-2.0
 *
 * What was added, copied. Keys and values are interned, so that equal ones are one pointer and what
 * the checker learns of one is found from any slice of it.
 */
#ifndef TEST_HISTORY_RECORD_H
#define TEST_HISTORY_RECORD_H

#include "base/arena.h"
#include "base/map.h"
#include "history.h"

struct call;

/* A put that a call asks for, at the top or inside a transaction. */
struct writer {
    struct writer *next;
    struct call *call;
    struct slice key;
};

/* A key or a value. */
struct word {
    uint32_t rank; /* of keys, in their order, once they are sorted */
    bool is_key;
    bool is_ours;           /* a key that a recorded call may write */
    struct writer *writers; /* of values */
    size_t len;
    uint8_t data[];
};

struct call {
    struct history_call of;
    size_t number;    /* how many things were added before, counted from 1: the line in a file */
    int64_t revision; /* the revision that it made; 0: none, or not known */
    int64_t floor;    /* what was known to be there when it was invoked */
    size_t floor_by;  /* by which line */
    int64_t compact_floor; /* what was known to be compacted by then */
    bool is_write;         /* has a put, a delete or a revoke in it */
    struct call *next;     /* of the calls of a slot */
    size_t slot;           /* the deletion that this unknown one stands for */
    size_t tried;          /* in the search of which slot it was looked at */
};

struct response {
    struct history_response of;
    size_t number;
};

struct watch {
    struct history_watch of;
    size_t number;
    struct response *responses;
    size_t count, room;
};

struct hash {
    struct history_hash of;
    size_t number;
};

struct history {
    struct arena *arena;
    struct map *words;
    struct map *watch_by_id;
    struct history_run run;
    struct word **keys;
    struct call **calls;
    struct watch **watches;
    struct hash *hashes;
    size_t keys_count, keys_room;
    size_t calls_count, calls_room;
    size_t watches_count, watches_room;
    size_t hashes_count, hashes_room;
    size_t events_count;
    size_t added;
    size_t wrongs;
    enum history_wrong first_wrong;
    struct buf *report;
};

static inline struct word *word_of(struct slice interned)
{
    return (struct word *)(void *)((uintptr_t)interned.data - offsetof(struct word, data));
}

/* qsort() of an array that may be absent while it is empty. */
static inline void record_sort(
    void *array, size_t count, size_t size, int (*compare)(const void *a, const void *b))
{
    if (count) {
        qsort(array, count, size, compare);
    }
}

/* A growing array of pointers or structs: room for one more behind count. */
void *record_grow(void *array, size_t count, size_t *room, size_t size);

#endif
