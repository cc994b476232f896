/* SPDX-License-Identifier: Apache-2.0
 *
 * The table in memory, as the files that load and change it see it. The caller has the mutex; who
 * changes something writes its row, too (rows.h).
 */
#ifndef MEMBER_TABLE_H
#define MEMBER_TABLE_H

#include "member/member.h"

#include <pthread.h>
#include <stdatomic.h>

struct version;

struct member_table {
    pthread_mutex_t mutex;
    uint64_t cluster_id;
    uint64_t self_id;
    size_t learners_max;
    atomic_bool is_learner; /* self */
    struct member_downgrade downgrade;
    struct map *members;      /* id -> struct held */
    struct map *removed;      /* id -> itself, anything but NULL */
    struct version *versions; /* every one ever shown stays valid; each is there once */
    _Atomic(const char *) version;
};

/* A member and the arena that holds its strings. */
struct held {
    struct member member;
    struct arena *arena;
};

/* Back to nobody; versions that were shown stay. */
void table_clear(struct member_table *table);
/* Replaces what the table holds under that id, which may lend what comes. */
void table_hold(struct member_table *table, const struct member *member);
/* NULL when there is none. Lent until it is replaced or forgotten. */
struct member *table_look(struct member_table *table, uint64_t id);
/* Takes a member out; its id is a removed one from here on. */
void table_forget(struct member_table *table, uint64_t id);
/* What member_self_is_learner says, when the id is this member's. */
void table_note_self(struct member_table *table, uint64_t id, bool is_learner);
void table_set_version(struct member_table *table, const char *text);

#endif
