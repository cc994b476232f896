/* SPDX-License-Identifier: Apache-2.0
 *
 * What clients asked of a cluster and were told, and whether a correct etcd could have told them
 * that. Every write has a revision, so the acknowledged ones order themselves; those without an
 * answer are placed by what was seen of them; then everything is played again, and each answer,
 * each watch and real time are held against it. Linear in size. README.md says what is checked.
 *
 *   struct history *history = history_new();
 *   history_add_call(history, &call);            in any order
 *   history_add_watch(history, &watch);          before its responses
 *   history_add_response(history, &response);    a watch's in the order they came
 *   size_t wrongs = history_check(history, report);
 *   history_free(history);
 *
 * Everything given is borrowed for the call and copied. One thread at a time.
 */
#ifndef TEST_HISTORY_H
#define TEST_HISTORY_H

#include "base/buf.h"
#include "base/err.h"

struct history;

enum history_kind {
    HISTORY_RANGE,
    HISTORY_PUT,
    HISTORY_DELETE,
    HISTORY_TXN,
    HISTORY_COMPACT,
    HISTORY_LEASE_GRANT,
    HISTORY_LEASE_REVOKE,
    HISTORY_LEASE_KEEPALIVE,
    HISTORY_DUMP, /* all keys of one member once the faults are over: nothing may lack */
    HISTORY_LEASE_LOOK,
    HISTORY_AUTH_ENABLE,
    HISTORY_AUTH_DISABLE,
    HISTORY_AUTH_STATUS,
    HISTORY_USER_ADD,
    HISTORY_USER_DELETE,
    HISTORY_USER_GRANT, /* a role to a user */
    HISTORY_USER_REVOKE,
    HISTORY_USER_LOOK,
    HISTORY_ROLE_ADD,
    HISTORY_ROLE_DELETE,
    HISTORY_ROLE_GRANT, /* a range of keys to a role */
    HISTORY_ROLE_REVOKE,
    HISTORY_ROLE_LOOK,
    HISTORY_KINDS
};

enum history_outcome {
    HISTORY_OK,      /* answered: the result is there */
    HISTORY_FAILED,  /* refused: it surely did not happen and never will */
    HISTORY_UNKNOWN, /* no answer: it may have happened, at any time after it was invoked, or not */
};

/* As etcd's Compare has them. */
enum history_target {
    HISTORY_VERSION,
    HISTORY_CREATE,
    HISTORY_MOD,
    HISTORY_VALUE,
    HISTORY_LEASE,
};

enum history_relation {
    HISTORY_EQUAL,
    HISTORY_GREATER,
    HISTORY_LESS,
    HISTORY_NOT_EQUAL,
};

enum history_order {
    HISTORY_UNSORTED,
    HISTORY_ASCENDING,
    HISTORY_DESCENDING,
};

enum history_sort {
    HISTORY_BY_KEY,
    HISTORY_BY_VERSION,
    HISTORY_BY_CREATE,
    HISTORY_BY_MOD,
    HISTORY_BY_VALUE,
};

enum history_permission {
    HISTORY_NO_PERMISSION,
    HISTORY_READ,
    HISTORY_WRITE,
    HISTORY_READWRITE,
};

struct history_compare {
    struct slice key, end;
    enum history_target target;
    enum history_relation relation;
    int64_t number;
    struct slice value;
};

/* end: as etcd's range_end, {NULL, 0} one key, "\0" all from key on. */
struct history_op {
    enum history_kind kind;
    struct slice key, end, value;
    int64_t lease;    /* put; the lease calls */
    int64_t ttl_s;    /* lease grant, as asked */
    int64_t revision; /* range: 0 the newest; compact */
    int64_t limit;
    bool is_serializable, is_keys_only, is_count_only; /* lease look: serializable, it may be old */
    enum history_order order;                          /* range */
    enum history_sort sort;
    bool wants_keys;         /* lease look */
    struct slice user, role; /* of the calls about access; role grant and revoke: key and end too */
    enum history_permission permission;
    bool wants_prev;                        /* put, delete */
    bool keeps_value, keeps_lease;          /* put: ignore_value, ignore_lease */
    const struct history_compare *compares; /* txn, and all below */
    size_t compares_count;
    const struct history_op *then_ops, *else_ops;
    size_t then_count, else_count;
};

struct history_kv {
    struct slice key, value;
    int64_t create, mod, version, lease;
};

/* What a role may do with a range of keys. */
struct history_grant {
    struct slice key, end;
    enum history_permission permission;
};

struct history_result {
    int64_t revision; /* of the header; ignored inside a transaction */
    const struct history_kv
        *kvs; /* range, dump: what was found; put, delete: what was there before */
    size_t kvs_count;
    int64_t count; /* range: of all there are; delete: of those deleted */
    bool has_more;
    bool is_succeeded; /* txn: and the results of that side's operations */
    const struct history_result *results;
    size_t results_count;
    int64_t ttl_s;     /* lease grant and keepalive; 0 of a keepalive: no such lease; look: -1 */
    int64_t granted_s; /* lease look */
    const struct slice *names; /* lease look: the keys; user look: the roles */
    size_t names_count;
    const struct history_grant *grants; /* role look */
    size_t grants_count;
    bool is_enabled; /* auth status */
    int64_t auth_revision;
};

struct history_call {
    int64_t invoked_ns, returned_ns; /* one clock for the whole run; returned: not for UNKNOWN */
    uint64_t client, member;         /* for reports */
    struct history_op op;            /* a lease grant's lease: what was asked for or answered */
    bool has_user;                   /* who asks is known: */
    struct slice user;               /* empty: nobody */
    enum history_outcome outcome;
    /* FAILED: "compacted", "future", "lease", "denied" (a permission lacks), "unnamed" (nobody
     * asks), "missing" (no such user or role), "present" (there is one), or anything else */
    struct slice error;
    struct history_result result;
};

struct history_watch {
    uint64_t watch; /* no other of the run has it; a watch taken up again is another */
    uint64_t client, member;
    int64_t created_ns; /* when the answer to its creation came */
    int64_t revision;   /* of that answer's header */
    struct slice key, end;
    int64_t start; /* 0: from what comes after the creation's revision */
    bool no_put, no_delete, wants_prev, is_fragmented;
};

struct history_event {
    bool is_delete;
    bool has_prev;
    struct history_kv kv, prev; /* of a deletion only key and mod */
};

struct history_response {
    uint64_t watch;
    int64_t came_ns;
    int64_t revision; /* of the header */
    const struct history_event *events;
    size_t events_count; /* 0 and not canceled: progress */
    bool is_fragment;    /* more of this response follows */
    bool is_canceled;
    int64_t compact; /* canceled for that compaction */
};

struct history_hash {
    uint64_t member;
    int64_t revision, compact;
    uint32_t hash;
};

/* What is true of the run as a whole, and what the store held before it. All zero: an empty store
 * at revision 1. */
struct history_run {
    bool has_sane_clocks; /* no member's clock jumped or stood still: leases last their time */
    int64_t slack_ns;     /* how much earlier a lease may end all the same */
    bool has_others; /* clients that are not recorded write to keys that no recorded one uses */
    int64_t revision, compact;
    const struct history_kv *kvs;
    size_t kvs_count;
    const int64_t *leases;
    size_t leases_count;
};

/* What can be wrong, each with the name that a report begins with; see wrong.def. */
enum history_wrong {
#define HISTORY_WRONG(name, text, meaning) HISTORY_WRONG_##name,
#include "wrong.def"
#undef HISTORY_WRONG
    HISTORY_WRONGS
};

struct history *history_new(void);
void history_free(struct history *history);

/* At most once. */
void history_set_run(struct history *history, const struct history_run *run);
void history_add_call(struct history *history, const struct history_call *call);
void history_add_watch(struct history *history, const struct history_watch *watch);
void history_add_response(struct history *history, const struct history_response *response);
void history_add_hash(struct history *history, const struct history_hash *hash);
/* Adds what a line of the format in README.md says. Errors: BAD_INPUT. */
MUST struct err history_add_line(struct history *history, struct slice line, struct why *why);

/* How much was added, for figures. */
size_t history_calls(const struct history *history);
size_t history_events(const struct history *history);

/* Returns how much is wrong (it stops looking after some), and writes a paragraph about each to
 * report: its name, what is wrong, and the lines that show it. Once. */
size_t history_check(struct history *history, struct buf *report);
/* The first thing found wrong by the last check; HISTORY_WRONGS: nothing. */
enum history_wrong history_first_wrong(const struct history *history);
const char *history_wrong_name(enum history_wrong wrong);

#endif
