/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows: "mmember/" be64(id) -> membershippb.Member; "mremoved/" be64(id) -> nothing;
 * "mcluster_version" -> text; "mdowngrade" -> the target version, "" when there is none.
 */
#include "member/member.h"

#include "base/codec.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pb.h"

#include <membershippb.pb-c.h>
#include <pthread.h>
#include <stdatomic.h>

enum { ROW_KEY_MAX = 32 };

struct version {
    struct version *next;
    char *text;
};

struct member_table {
    pthread_mutex_t mutex;
    uint64_t cluster_id;
    uint64_t self_id;
    size_t learners_max;
    atomic_bool is_learner; /* self */
    struct member_downgrade downgrade;
    struct map *members;      /* id -> struct arena_member */
    struct map *removed;      /* id -> itself, anything but NULL */
    struct version *versions; /* every one ever shown stays valid; each is there once */
    _Atomic(const char *) version;
};

/* A member and the arena that holds its strings. */
struct held {
    struct member member;
    struct arena *arena;
};

static struct slice row_key(const char *prefix, uint64_t id, uint8_t out[ROW_KEY_MAX])
{
    size_t len = strlen(prefix);
    memcpy(out, prefix, len);
    put_be64(out + len, id);
    return slice_of(out, len + 8);
}

static const char *const *copy_texts(struct arena *arena, const char *const *texts, size_t count)
{
    const char **copy = arena_alloc(arena, count * sizeof(*copy));
    for (size_t i = 0; i < count; i++) {
        copy[i] = arena_strdup(arena, texts[i]);
    }
    return copy;
}

static struct member copy_member(struct arena *arena, const struct member *from)
{
    struct member to = *from;
    to.name = arena_strdup(arena, from->name ? from->name : "");
    to.peer_urls = copy_texts(arena, from->peer_urls, from->peer_urls_count);
    to.client_urls = copy_texts(arena, from->client_urls, from->client_urls_count);
    return to;
}

static void held_free(struct held *held)
{
    if (held) {
        arena_free(held->arena);
        free(held);
    }
}

static void note_self(struct member_table *table, uint64_t id, bool is_learner)
{
    if (id == table->self_id) {
        atomic_store(&table->is_learner, is_learner);
    }
}

/* Replaces what the table holds under that id, which may lend what comes. */
static void hold(struct member_table *table, const struct member *member)
{
    struct held *held = mem_new(sizeof(*held));
    held->arena = arena_new(0);
    held->member = copy_member(held->arena, member);
    held_free(map_put_u64(table->members, member->id, held));
    note_self(table, member->id, member->is_learner);
}

static struct member *look(struct member_table *table, uint64_t id)
{
    struct held *held = map_get_u64(table->members, id);
    return held ? &held->member : NULL;
}

struct member_table *member_table_new(uint64_t cluster_id, uint64_t self_id)
{
    struct member_table *table = mem_new(sizeof(*table));
    pthread_mutex_init(&table->mutex, NULL);
    table->cluster_id = cluster_id;
    table->self_id = self_id;
    table->learners_max = 1;
    table->members = map_new();
    table->removed = map_new();
    return table;
}

void member_limit_learners(struct member_table *table, size_t max)
{
    table->learners_max = max;
}

static void drop_members(struct member_table *table)
{
    void *cursor = NULL;
    struct slice key;
    void *held;
    while (map_next(table->members, &cursor, &key, &held)) {
        held_free(held);
    }
    map_free(table->members);
    map_free(table->removed);
}

void member_table_free(struct member_table *table)
{
    if (!table) {
        return;
    }
    drop_members(table);
    while (table->versions) {
        struct version *version = table->versions;
        table->versions = version->next;
        free(version->text);
        free(version);
    }
    pthread_mutex_destroy(&table->mutex);
    free(table);
}

static void set_version(struct member_table *table, const char *text)
{
    struct version *version = table->versions;
    while (version && strcmp(version->text, text) != 0) {
        version = version->next;
    }
    if (!version) {
        version = mem_new(sizeof(*version));
        *version = (struct version){table->versions, mem_strdup(text)};
        table->versions = version;
    }
    atomic_store(&table->version, version->text);
}

static struct err load_member(struct member_table *table, struct slice value, struct arena *arena)
{
    Membershippb__Member *row;
    TRY(pb_unpack(&membershippb__member__descriptor, arena, value, &row));
    if (!row->raft_attributes || !row->member_attributes) {
        return ERR(BAD_FORMAT);
    }
    hold(table, &(struct member){
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
        set_version(table, (const char *)arena_dup(arena, value).data);
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
    drop_members(table);
    table->members = map_new();
    table->removed = map_new();
    table->downgrade = (struct member_downgrade){false};
    atomic_store(&table->is_learner, false);
    struct err err = load_rows(table, backend, why);
    pthread_mutex_unlock(&table->mutex);
    return err;
}

uint64_t member_cluster_id(const struct member_table *table)
{
    return table->cluster_id;
}

uint64_t member_self_id(const struct member_table *table)
{
    return table->self_id;
}

static void row_put(const struct member *member, struct backend_batch *batch)
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

static bool shares_url(const struct member *a, const struct member *b)
{
    for (size_t i = 0; i < a->peer_urls_count; i++) {
        for (size_t j = 0; j < b->peer_urls_count; j++) {
            if (strcmp(a->peer_urls[i], b->peer_urls[j]) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Whether another member has one of its URLs; counts learners on the way. */
static bool is_url_taken(
    struct member_table *table, const struct member *member, size_t *out_learners)
{
    void *cursor = NULL;
    struct slice key;
    void *held;
    bool is_taken = false;
    *out_learners = 0;
    while (map_next(table->members, &cursor, &key, &held)) {
        const struct member *other = &((struct held *)held)->member;
        is_taken = is_taken || (other->id != member->id && shares_url(other, member));
        *out_learners += other->is_learner;
    }
    return is_taken;
}

static struct err add_locked(
    struct member_table *table, const struct member *member, struct backend_batch *batch)
{
    size_t learners;
    if (map_get_u64(table->removed, member->id)) {
        return ERR(MEMBER_NOT_FOUND); /* ids of removed members never come back */
    }
    if (look(table, member->id)) {
        return ERR(MEMBER_EXIST);
    }
    if (is_url_taken(table, member, &learners)) {
        return ERR(PEER_URL_EXIST);
    }
    if (member->is_learner && learners >= table->learners_max) {
        return ERR(TOO_MANY_LEARNERS);
    }
    hold(table, member);
    row_put(look(table, member->id), batch);
    return OK;
}

struct err member_add(
    struct member_table *table, const struct member *member, struct backend_batch *batch)
{
    pthread_mutex_lock(&table->mutex);
    struct err err = add_locked(table, member, batch);
    pthread_mutex_unlock(&table->mutex);
    return err;
}

struct err member_promote(struct member_table *table, uint64_t id, struct backend_batch *batch)
{
    struct err err = OK;
    pthread_mutex_lock(&table->mutex);
    struct member *member = look(table, id);
    if (!member) {
        err = ERR(MEMBER_NOT_FOUND);
    } else if (!member->is_learner) {
        err = ERR(MEMBER_NOT_LEARNER);
    } else {
        member->is_learner = false;
        note_self(table, id, false);
        row_put(member, batch);
    }
    pthread_mutex_unlock(&table->mutex);
    return err;
}

struct err member_remove(struct member_table *table, uint64_t id, struct backend_batch *batch)
{
    uint8_t key[ROW_KEY_MAX];
    struct err err = OK;
    pthread_mutex_lock(&table->mutex);
    if (!look(table, id)) {
        err = ERR(MEMBER_NOT_FOUND);
    } else {
        held_free(map_del_u64(table->members, id));
        map_put_u64(table->removed, id, table);
        note_self(table, id, false);
        backend_batch_delete(batch, row_key("mmember/", id, key));
        backend_batch_put(batch, row_key("mremoved/", id, key), (struct slice){0});
    }
    pthread_mutex_unlock(&table->mutex);
    return err;
}

struct err member_update_peers(
    struct member_table *table, const struct member *update, struct backend_batch *batch)
{
    size_t learners;
    struct err err = OK;
    pthread_mutex_lock(&table->mutex);
    struct member *member = look(table, update->id);
    if (!member) {
        err = ERR(MEMBER_NOT_FOUND);
    } else if (is_url_taken(table, update, &learners)) {
        err = ERR(PEER_URL_EXIST);
    } else {
        struct member fresh = *member;
        fresh.peer_urls = update->peer_urls;
        fresh.peer_urls_count = update->peer_urls_count;
        hold(table, &fresh);
        row_put(look(table, update->id), batch);
    }
    pthread_mutex_unlock(&table->mutex);
    return err;
}

void member_set_attributes(struct member_table *table, uint64_t id, const struct member *attributes,
    struct backend_batch *batch)
{
    pthread_mutex_lock(&table->mutex);
    struct member *member = look(table, id);
    if (member) {
        struct member fresh = *member;
        fresh.name = attributes->name;
        fresh.client_urls = attributes->client_urls;
        fresh.client_urls_count = attributes->client_urls_count;
        hold(table, &fresh);
        row_put(look(table, id), batch);
    }
    pthread_mutex_unlock(&table->mutex);
}

void member_set_cluster_version(
    struct member_table *table, const char *version, struct backend_batch *batch)
{
    pthread_mutex_lock(&table->mutex);
    set_version(table, version);
    backend_batch_put(batch, SLICE("mcluster_version"), slice_str(version));
    pthread_mutex_unlock(&table->mutex);
}

static int member_cmp(const void *a, const void *b)
{
    uint64_t x = ((const struct member *)a)->id;
    uint64_t y = ((const struct member *)b)->id;
    return (x > y) - (x < y);
}

size_t member_list(struct member_table *table, struct arena *arena, struct member **out)
{
    size_t count = 0;
    void *cursor = NULL;
    struct slice key;
    void *held;
    pthread_mutex_lock(&table->mutex);
    struct member *members = arena_alloc(arena, map_count(table->members) * sizeof(*members));
    while (members && map_next(table->members, &cursor, &key, &held)) {
        members[count++] = copy_member(arena, &((struct held *)held)->member);
    }
    pthread_mutex_unlock(&table->mutex);
    if (count) {
        qsort(members, count, sizeof(*members), member_cmp);
    }
    *out = members;
    return count;
}

bool member_find(struct member_table *table, uint64_t id, struct arena *arena, struct member *out)
{
    pthread_mutex_lock(&table->mutex);
    struct member *member = look(table, id);
    if (member) {
        *out = copy_member(arena, member);
    }
    pthread_mutex_unlock(&table->mutex);
    return member != NULL;
}

bool member_is_removed(struct member_table *table, uint64_t id)
{
    pthread_mutex_lock(&table->mutex);
    bool is_removed = map_get_u64(table->removed, id) != NULL;
    pthread_mutex_unlock(&table->mutex);
    return is_removed;
}

const char *member_cluster_version(struct member_table *table)
{
    const char *version = atomic_load(&table->version);
    return version ? version : "not_decided";
}

size_t member_removed(struct member_table *table, struct arena *arena, uint64_t **out)
{
    size_t count = 0;
    void *cursor = NULL;
    struct slice key;
    void *any;
    pthread_mutex_lock(&table->mutex);
    uint64_t *ids = arena_alloc(arena, map_count(table->removed) * sizeof(*ids));
    while (ids && map_next(table->removed, &cursor, &key, &any)) {
        memcpy(&ids[count++], key.data, sizeof(*ids));
    }
    pthread_mutex_unlock(&table->mutex);
    *out = ids;
    return count;
}

void member_set_downgrade(struct member_table *table, const struct member_downgrade *downgrade,
    struct backend_batch *batch)
{
    pthread_mutex_lock(&table->mutex);
    table->downgrade = *downgrade;
    if (!downgrade->is_enabled) {
        table->downgrade.target[0] = '\0';
    }
    backend_batch_put(batch, SLICE("mdowngrade"), slice_str(table->downgrade.target));
    pthread_mutex_unlock(&table->mutex);
}

void member_downgrade_get(struct member_table *table, struct member_downgrade *out)
{
    pthread_mutex_lock(&table->mutex);
    *out = table->downgrade;
    pthread_mutex_unlock(&table->mutex);
}

bool member_self_is_learner(const struct member_table *table)
{
    return atomic_load_explicit(&table->is_learner, memory_order_relaxed);
}
