/* SPDX-License-Identifier: Apache-2.0
 *
 * Hash maps from a number or from bytes to a pointer; uthash, wrapped once. Values stay their
 * owner's. One thread.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/slice.h"

struct map;

struct map *map_new(void);
/* Frees the map, not the values. NULL is fine. */
void map_free(struct map *map);
size_t map_count(const struct map *map);

/* Key by number. get: NULL when absent. put: returns the value it replaced, or NULL. del: returns
 * what was there. */
void *map_get_u64(const struct map *map, uint64_t key);
void *map_put_u64(struct map *map, uint64_t key, void *value);
void *map_del_u64(struct map *map, uint64_t key);

/* Key by bytes; the map keeps a copy of the key. Do not mix both kinds in one map. */
void *map_get(const struct map *map, struct slice key);
void *map_put(struct map *map, struct slice key, void *value);
void *map_del(struct map *map, struct slice key);

/* Walks in no order; the body may delete the entry it stands on. Start with *cursor NULL; false at
 * the end. */
bool map_next(const struct map *map, void **cursor, struct slice *out_key, void **out_value);
/* The number behind a key that map_next gave from a map by number. */
uint64_t map_key_u64(struct slice key);

#endif
