/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/err.h"
#include "base/mem.h"

#define uthash_fatal(msg) check(msg == NULL) /* memory ran out */
#include <uthash.h>

struct map_entry {
    UT_hash_handle hh;
    void *value;
    size_t len;
    uint8_t key[];
};

struct map {
    struct map_entry *entries;
};

struct map *map_new(void)
{
    return mem_new(sizeof(struct map));
}

void map_free(struct map *map)
{
    if (!map) {
        return;
    }
    struct map_entry *entry = map->entries;
    HASH_CLEAR(hh, map->entries);
    while (entry) {
        struct map_entry *next = entry->hh.next;
        free(entry);
        entry = next;
    }
    free(map);
}

size_t map_count(const struct map *map)
{
    return HASH_COUNT(map->entries);
}

static struct map_entry *find(const struct map *map, struct slice key)
{
    struct map_entry *entry = NULL;
    HASH_FIND(hh, map->entries, key.data, key.len, entry);
    return entry;
}

void *map_get(const struct map *map, struct slice key)
{
    struct map_entry *entry = find(map, key);
    return entry ? entry->value : NULL;
}

void *map_put(struct map *map, struct slice key, void *value)
{
    struct map_entry *entry = find(map, key);
    if (entry) {
        void *old = entry->value;
        entry->value = value;
        return old;
    }
    entry = mem_new(sizeof(*entry) + key.len);
    entry->value = value;
    entry->len = key.len;
    if (key.len) {
        memcpy(entry->key, key.data, key.len);
    }
    HASH_ADD_KEYPTR(hh, map->entries, entry->key, key.len, entry);
    return NULL;
}

void *map_del(struct map *map, struct slice key)
{
    struct map_entry *entry = find(map, key);
    if (!entry) {
        return NULL;
    }
    void *value = entry->value;
    HASH_DELETE(hh, map->entries, entry);
    free(entry);
    return value;
}

void *map_get_u64(const struct map *map, uint64_t key)
{
    return map_get(map, slice_of(&key, sizeof(key)));
}

void *map_put_u64(struct map *map, uint64_t key, void *value)
{
    return map_put(map, slice_of(&key, sizeof(key)), value);
}

void *map_del_u64(struct map *map, uint64_t key)
{
    return map_del(map, slice_of(&key, sizeof(key)));
}

bool map_next(const struct map *map, void **cursor, struct slice *out_key, void **out_value)
{
    /* The cursor is the next entry to give; "at the end" has a mark of its own, as NULL means "at
     * the start". */
    static struct map_entry end;
    struct map_entry *entry = *cursor ? *cursor : map->entries;
    if (!entry || entry == &end) {
        *cursor = NULL;
        return false;
    }
    *cursor = entry->hh.next ? entry->hh.next : &end;
    *out_key = slice_of(entry->key, entry->len);
    *out_value = entry->value;
    return true;
}

uint64_t map_key_u64(struct slice key)
{
    uint64_t number;
    check(key.len == sizeof(number));
    memcpy(&number, key.data, sizeof(number));
    return number;
}
