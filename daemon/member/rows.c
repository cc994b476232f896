/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows: "mmember/" be64(id) -> membershippb.Member; "mremoved/" be64(id) -> nothing;
 * "mcluster_version" -> text; "mdowngrade" -> the target version, "" when there is none.
 */
#include "member/rows.h"

#include "base/codec.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pb.h"
#include "member/table.h"

#include <membershippb.pb-c.h>

enum { ROW_KEY_MAX = 32 };

static struct slice row_key(const char *prefix, uint64_t id, uint8_t out[ROW_KEY_MAX])
{
    size_t len = strlen(prefix);
    memcpy(out, prefix, len);
    put_be64(out + len, id);
    return slice_of(out, len + 8);
}

void rows_put_member(const struct member *member, struct backend_batch *batch)
{
    uint8_t key[ROW_KEY_MAX];
    struct buf value;
    Membershippb__RaftAttributes raft = MEMBERSHIPPB__RAFT_ATTRIBUTES__INIT;
    Membershippb__Attributes attributes = MEMBERSHIPPB__ATTRIBUTES__INIT;
    Membershippb__Member row = MEMBERSHIPPB__MEMBER__INIT;
    raft.n_peer_urls = member->peer_urls_count;
    raft.peer_urls = (char **)(uintptr_t)member->peer_urls;
    raft.is_learner = member->is_learner;
    attributes.name = (char *)(uintptr_t)member->name;
    attributes.n_client_urls = member->client_urls_count;
    attributes.client_urls = (char **)(uintptr_t)member->client_urls;
    row.id = member->id;
    row.raft_attributes = &raft;
    row.member_attributes = &attributes;
    buf_init(&value, SIZE_MAX); /* what it holds was bounded where it came in */
    pb_pack(&row, &value);
    backend_batch_put(batch, row_key("mmember/", member->id, key), buf_slice(&value));
    buf_fini(&value);
}

void rows_put_removed(uint64_t id, struct backend_batch *batch)
{
    uint8_t key[ROW_KEY_MAX];
    backend_batch_delete(batch, row_key("mmember/", id, key));
    backend_batch_put(batch, row_key("mremoved/", id, key), (struct slice){0});
}

void rows_put_version(const char *version, struct backend_batch *batch)
{
    backend_batch_put(batch, SLICE("mcluster_version"), slice_str(version));
}

void rows_put_downgrade(const char *target, struct backend_batch *batch)
{
    backend_batch_put(batch, SLICE("mdowngrade"), slice_str(target));
}

static struct err load_member(struct member_table *table, struct slice value, struct arena *arena)
{
    Membershippb__Member *row;
    TRY(pb_unpack(&membershippb__member__descriptor, arena, value, &row));
    if (!row->raft_attributes || !row->member_attributes) {
        return ERR(BAD_FORMAT);
    }
    table_hold(table, &(struct member){
                          .id = row->id,
                          .is_learner = row->raft_attributes->is_learner,
                          .name = row->member_attributes->name,
                          .peer_urls = (const char *const *)row->raft_attributes->peer_urls,
                          .peer_urls_count = row->raft_attributes->n_peer_urls,
                          .client_urls = (const char *const *)row->member_attributes->client_urls,
                          .client_urls_count = row->member_attributes->n_client_urls,
                      });
    return OK;
}

static struct err load_row(
    struct member_table *table, struct slice key, struct slice value, struct arena *arena)
{
    if (slice_has_prefix(key, SLICE("mmember/"))) {
        return load_member(table, value, arena);
    }
    if (slice_has_prefix(key, SLICE("mremoved/")) && key.len == 17) {
        map_put_u64(table->removed, get_be64(key.data + 9), table);
    }
    if (slice_eq(key, SLICE("mdowngrade")) && value.len < sizeof(table->downgrade.target)) {
        struct member_downgrade *downgrade = &table->downgrade;
        snprintf(downgrade->target, sizeof(downgrade->target), "%.*s", (int)value.len,
            (const char *)value.data);
        downgrade->is_enabled = value.len > 0;
    }
    if (slice_eq(key, SLICE("mcluster_version"))) {
        table_set_version(table, (const char *)arena_dup(arena, value).data);
    }
    return OK;
}

static struct err load_rows(struct member_table *table, struct backend *backend, struct why *why)
{
    static const struct slice ranges[][2] = {
        {{(const uint8_t *)"mcluster_version", 16}, {(const uint8_t *)"mcluster_versioo", 16}},
        {{(const uint8_t *)"mdowngrade", 10}, {(const uint8_t *)"mdowngradf", 10}},
        {{(const uint8_t *)"mmember/", 8}, {(const uint8_t *)"mmember0", 8}},
        {{(const uint8_t *)"mremoved/", 9}, {(const uint8_t *)"mremoved0", 9}},
    };
    struct arena *arena = arena_new(0);
    struct err err = OK;
    for (size_t i = 0; i < COUNT_OF(ranges) && !err_is(err); i++) {
        struct slice key;
        struct slice value;
        struct backend_iter *iter = backend_iter_open(backend, NULL, ranges[i][0], ranges[i][1]);
        while (!err_is(err) && backend_iter_next(iter, &key, &value)) {
            err = load_row(table, key, value, arena);
            if (err_is(err)) {
                err = why_set(why, err, "the store holds a malformed member row");
            }
        }
        if (!err_is(err)) {
            err = backend_iter_err(iter, why);
        }
        backend_iter_close(iter);
    }
    arena_free(arena);
    return err;
}

struct err member_load(struct member_table *table, struct backend *backend, struct why *why)
{
    pthread_mutex_lock(&table->mutex);
    table_clear(table);
    struct err err = load_rows(table, backend, why);
    pthread_mutex_unlock(&table->mutex);
    return err;
}
