/* SPDX-License-Identifier: Apache-2.0 */
#include "member/table.h"

#include "base/map.h"
#include "base/mem.h"

struct version {
    struct version *next;
    char *text;
};

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

void table_clear(struct member_table *table)
{
    drop_members(table);
    table->members = map_new();
    table->removed = map_new();
    table->downgrade = (struct member_downgrade){false};
    atomic_store(&table->is_learner, false);
}

void table_note_self(struct member_table *table, uint64_t id, bool is_learner)
{
    if (id == table->self_id) {
        atomic_store(&table->is_learner, is_learner);
    }
}

void table_hold(struct member_table *table, const struct member *member)
{
    struct held *held = mem_new(sizeof(*held));
    held->arena = arena_new(0);
    held->member = copy_member(held->arena, member);
    held_free(map_put_u64(table->members, member->id, held));
    table_note_self(table, member->id, member->is_learner);
}

struct member *table_look(struct member_table *table, uint64_t id)
{
    struct held *held = map_get_u64(table->members, id);
    return held ? &held->member : NULL;
}

void table_forget(struct member_table *table, uint64_t id)
{
    held_free(map_del_u64(table->members, id));
    map_put_u64(table->removed, id, table);
    table_note_self(table, id, false);
}

void table_set_version(struct member_table *table, const char *text)
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

uint64_t member_cluster_id(const struct member_table *table)
{
    return table->cluster_id;
}

uint64_t member_self_id(const struct member_table *table)
{
    return table->self_id;
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
    struct member *member = table_look(table, id);
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
