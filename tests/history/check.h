/* SPDX-License-Identifier: Apache-2.0
 *
 * A check under way. The steps, in order: order_* (what was known when), place_* (which call made
 * which revision), replay_* (the store, revision by revision, against each answer), lease_*,
 * watch_*. Each reports through wrong().
 */
#ifndef TEST_HISTORY_CHECK_H
#define TEST_HISTORY_CHECK_H

#include "state.h"

enum { WRONGS_MAX = 10, SPAN_MAX = 1 << 26 };

/* What a revision did to a key. */
struct change {
    struct change *next;
    uint32_t rank;
    bool is_delete, had_prev, is_prev_unsure, is_maybe; /* maybe: it was perhaps not there */
    struct entry now, prev;
};

/* Something seen of a revision whose writer gave no answer. */
struct evidence {
    struct evidence *next;
    bool is_delete;
    struct history_kv kv;
    size_t number;
};

struct slot {
    struct call *writer;       /* acknowledged, or found by its value */
    struct evidence *evidence; /* while no acknowledged writer is known */
    struct call *revokes;      /* acknowledged ones that were answered with this revision */
    struct call *reads;        /* what was answered at this revision */
    struct call *looks;        /* at leases, asked for when this was the newest known */
    struct change *changes, **changes_end;
    int64_t known_ns; /* when it was known to be there, at the latest */
    size_t known_by;
    bool is_watched;            /* a watch of everything passed it */
    bool is_hole, is_unordered; /* nothing is known of it; in which order its changes came */
    struct call **candidates;   /* unknown deletions that could be what happened */
    size_t candidates_count;
};

struct compaction {
    int64_t revision, invoked_ns;
};

struct doubt;

struct deleter {
    struct deleter *next;
    struct call *call;
};

struct checker {
    struct history *history;
    int64_t base, last; /* revisions: before the recording, the newest seen */
    struct slot *slots; /* of base to last */
    struct state state;
    struct compaction *compactions; /* by revision; invoked: of this or a higher one, the first */
    size_t compactions_count;
    struct deleter **deleters; /* unknown calls that may delete a key, by its rank */
    struct deleter *range_deleters;
    struct doubt *doubts;
    bool has_unknown_keeper; /* an unknown put that keeps the value */
    int64_t at;              /* the revision that is replayed */
    struct call *now;        /* the call that is held against it */
};

static inline struct slot *slot_at(struct checker *checker, int64_t revision)
{
    return &checker->slots[revision - checker->base];
}

/* Keys from *from up to *to. */
void check_ranks(const struct checker *checker, struct slice key, struct slice end, uint32_t *from,
    uint32_t *to);

void order_find_floors(struct checker *checker);
/* Whether a compaction above revision was asked for before that time. */
bool order_was_compacted(const struct checker *checker, int64_t above, int64_t before_ns);
void place_calls(struct checker *checker);
void replay(struct checker *checker);
/* Keys of leases, as they were answered: at each revision, and at the end. */
void look_replay(struct checker *checker, const struct slot *slot);
void look_check(struct checker *checker);
void lease_prepare(struct checker *checker);
void lease_check(struct checker *checker);
void auth_check(struct checker *checker);
void watch_mark(struct checker *checker);
void watch_check(struct checker *checker);

#endif
