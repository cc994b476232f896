/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"
#include "base/mem.h"
#include "ctl/etcdutl/command.h"

struct version {
    int64_t main;
    int64_t sub;
    bool is_tombstone;
};

struct newest {
    struct map *keys; /* key -> struct version */
};

struct newest *newest_new(void)
{
    struct newest *newest = mem_new(sizeof(*newest));
    newest->keys = map_new();
    return newest;
}

void newest_free(struct newest *newest)
{
    void *cursor = NULL;
    void *value;
    struct slice key;
    if (!newest) {
        return;
    }
    while (map_next(newest->keys, &cursor, &key, &value)) {
        free(value);
    }
    map_free(newest->keys);
    free(newest);
}

void newest_add(struct newest *newest, const struct snapshot_key *row)
{
    struct version *version = map_get(newest->keys, row->key);
    if (!version) {
        version = mem_new(sizeof(*version));
        map_put(newest->keys, row->key, version);
    }
    *version = (struct version){row->main, row->sub, row->is_tombstone};
}

bool newest_has(const struct newest *newest, const struct snapshot_key *row)
{
    const struct version *version = map_get(newest->keys, row->key);
    return version && version->main == row->main && version->sub == row->sub;
}

size_t newest_alive(const struct newest *newest)
{
    void *cursor = NULL;
    void *value;
    struct slice key;
    size_t alive = 0;
    while (map_next(newest->keys, &cursor, &key, &value)) {
        alive += !((const struct version *)value)->is_tombstone;
    }
    return alive;
}
