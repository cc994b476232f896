/* SPDX-License-Identifier: Apache-2.0
 *
 * What changes who belongs to the cluster: the table and, in the caller's batch, its rows.
 */
#include "base/map.h"
#include "member/rows.h"
#include "member/table.h"

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
    if (table_look(table, member->id)) {
        return ERR(MEMBER_EXIST);
    }
    if (is_url_taken(table, member, &learners)) {
        return ERR(PEER_URL_EXIST);
    }
    if (member->is_learner && learners >= table->learners_max) {
        return ERR(TOO_MANY_LEARNERS);
    }
    table_hold(table, member);
    rows_put_member(table_look(table, member->id), batch);
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
    struct member *member = table_look(table, id);
    if (!member) {
        err = ERR(MEMBER_NOT_FOUND);
    } else if (!member->is_learner) {
        err = ERR(MEMBER_NOT_LEARNER);
    } else {
        member->is_learner = false;
        table_note_self(table, id, false);
        rows_put_member(member, batch);
    }
    pthread_mutex_unlock(&table->mutex);
    return err;
}

struct err member_remove(struct member_table *table, uint64_t id, struct backend_batch *batch)
{
    struct err err = OK;
    pthread_mutex_lock(&table->mutex);
    if (!table_look(table, id)) {
        err = ERR(MEMBER_NOT_FOUND);
    } else {
        table_forget(table, id);
        rows_put_removed(id, batch);
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
    struct member *member = table_look(table, update->id);
    if (!member) {
        err = ERR(MEMBER_NOT_FOUND);
    } else if (is_url_taken(table, update, &learners)) {
        err = ERR(PEER_URL_EXIST);
    } else {
        struct member fresh = *member;
        fresh.peer_urls = update->peer_urls;
        fresh.peer_urls_count = update->peer_urls_count;
        table_hold(table, &fresh);
        rows_put_member(table_look(table, update->id), batch);
    }
    pthread_mutex_unlock(&table->mutex);
    return err;
}

void member_set_attributes(struct member_table *table, uint64_t id, const struct member *attributes,
    struct backend_batch *batch)
{
    pthread_mutex_lock(&table->mutex);
    struct member *member = table_look(table, id);
    if (member) {
        struct member fresh = *member;
        fresh.name = attributes->name;
        fresh.client_urls = attributes->client_urls;
        fresh.client_urls_count = attributes->client_urls_count;
        table_hold(table, &fresh);
        rows_put_member(table_look(table, id), batch);
    }
    pthread_mutex_unlock(&table->mutex);
}

void member_set_cluster_version(
    struct member_table *table, const char *version, struct backend_batch *batch)
{
    pthread_mutex_lock(&table->mutex);
    table_set_version(table, version);
    rows_put_version(version, batch);
    pthread_mutex_unlock(&table->mutex);
}

void member_set_downgrade(struct member_table *table, const struct member_downgrade *downgrade,
    struct backend_batch *batch)
{
    pthread_mutex_lock(&table->mutex);
    table->downgrade = *downgrade;
    if (!downgrade->is_enabled) {
        table->downgrade.target[0] = '\0';
    }
    rows_put_downgrade(table->downgrade.target, batch);
    pthread_mutex_unlock(&table->mutex);
}
