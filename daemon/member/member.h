/* SPDX-License-Identifier: Apache-2.0
 *
 * Who belongs to the cluster: members, learners, removed ids, the cluster version, a downgrade; ids
 * by etcd's hashes. What must survive goes into the caller's batch (rows "mmember/" be64(id) ->
 * membershippb.Member, "mremoved/" be64(id), "mcluster_version", "mdowngrade").
 *
 * Threads: what takes a batch on the apply thread (or at start); reads on any thread. One mutex
 * inside.
 */
#ifndef MEMBER_MEMBER_H
#define MEMBER_MEMBER_H

#include "backend/backend.h"
#include "base/arena.h"

struct member_table;

/* A plain view; strings and arrays are lent by the arena or the caller. */
struct member {
    uint64_t id;
    bool is_learner;
    const char *name; /* "" until the member has published itself */
    const char *const *peer_urls;
    size_t peer_urls_count;
    const char *const *client_urls;
    size_t client_urls_count;
};

/* etcd's ids: the first 8 bytes, big-endian, of SHA-1 over the sorted peer URLs and the token (and,
 * for a member added at run time, the seconds since 1970 in decimal; 0: none). Cluster: over the
 * ascending member ids. */
uint64_t member_id_hash(
    const char *const *peer_urls, size_t count, const char *token, int64_t added_s);
uint64_t member_cluster_id_hash(const uint64_t *ids, size_t count);

struct member_table *member_table_new(uint64_t cluster_id, uint64_t self_id);
void member_table_free(struct member_table *table);
/* How many learners there may be at a time; 1 unless said. */
void member_limit_learners(struct member_table *table, size_t max);
/* Replaces what is in memory by what the store says. Errors: IO, BAD_FORMAT; then the table is as
 * far as it came. */
MUST struct err member_load(struct member_table *table, struct backend *backend, struct why *why);

uint64_t member_cluster_id(const struct member_table *table);
uint64_t member_self_id(const struct member_table *table);

/* The JSON that a conf change entry carries:
 * {"id":…,"peerURLs":[…],"isLearner":…,"name":…,"clientURLs":[…], "isPromote":…}. Ids are 64-bit
 * numbers. Errors: BAD_FORMAT. */
MUST struct err member_from_json(
    struct slice json, struct arena *arena, struct member *out, bool *out_is_promote);
/* The list that GET /members answers. Errors: BAD_FORMAT, TOO_BIG. */
MUST struct err member_list_from_json(
    struct slice json, struct arena *arena, struct member **out, size_t *out_count);
/* The text as etcd writes it, in the arena. */
struct slice member_to_json(const struct member *member, struct arena *arena);
/* Name and client URLs alone, as a v2 request sets them. */
struct slice member_attributes_to_json(const struct member *member, struct arena *arena);

/* Conf changes, when applied. Errors: MEMBER_EXIST, PEER_URL_EXIST, MEMBER_NOT_FOUND,
 * MEMBER_NOT_LEARNER, TOO_MANY_LEARNERS. */
MUST struct err member_add(
    struct member_table *table, const struct member *member, struct backend_batch *batch);
MUST struct err member_promote(
    struct member_table *table, uint64_t id, struct backend_batch *batch);
MUST struct err member_remove(struct member_table *table, uint64_t id, struct backend_batch *batch);
MUST struct err member_update_peers(
    struct member_table *table, const struct member *member, struct backend_batch *batch);
/* What a member says of itself; unknown ids are passed over. */
void member_set_attributes(struct member_table *table, uint64_t id, const struct member *attributes,
    struct backend_batch *batch);
void member_set_cluster_version(
    struct member_table *table, const char *version, struct backend_batch *batch);

/* A downgrade that is under way leads to the target, "3.5.0". */
struct member_downgrade {
    bool is_enabled;
    char target[32]; /* "" when it is off */
};
void member_set_downgrade(struct member_table *table, const struct member_downgrade *downgrade,
    struct backend_batch *batch);
void member_downgrade_get(struct member_table *table, struct member_downgrade *out);

/* Ascending ids; everything in the arena. */
size_t member_list(struct member_table *table, struct arena *arena, struct member **out);
/* False when there is none. */
bool member_find(struct member_table *table, uint64_t id, struct arena *arena, struct member *out);
bool member_is_removed(struct member_table *table, uint64_t id);
/* Whether this member is a learner. Cheap enough for every call. */
bool member_self_is_learner(const struct member_table *table);
/* Ids of those that were removed, in no order; in the arena. */
size_t member_removed(struct member_table *table, struct arena *arena, uint64_t **out);
/* "3.6.0"; "not_decided" before one was set. Lent until the table is freed. */
const char *member_cluster_version(struct member_table *table);
/* How etcd would say that its store is laid out: the cluster version, from 3.5 on. NULL before one
 * was set. Lent as that. */
const char *member_storage_version(struct member_table *table);
/* The same as a row of a database that tells: from 3.6 on, else NULL. */
const char *member_storage_row(struct member_table *table);

/* etcd's strict checks: whether a majority of the voters has started (has published its name)
 * after one more voter, without this one, with a learner promoted. */
bool member_can_add_voter(struct member_table *table);
bool member_can_remove_voter(struct member_table *table, uint64_t id);
bool member_can_promote(struct member_table *table);

/* A row of the buckets "cluster" or "members_removed" of etcd's database, as a row of the store;
 * other buckets give none. Errors: BAD_FORMAT. */
MUST struct err member_import_row(
    const char *bucket, struct slice key, struct slice value, struct backend_batch *batch);
void member_import_removed(uint64_t id, struct backend_batch *batch);

/* "3.6.14", "3.6": major and minor. False: it is not a version. */
struct member_version {
    unsigned major;
    unsigned minor;
};
bool member_version_parse(const char *text, struct member_version *out);
int member_version_cmp(struct member_version a, struct member_version b);
/* What a leader makes of the members' server versions (NULL in the list: one is not known): the
 * cluster version that should be set now, or false to leave it. current NULL: none was set yet. */
bool member_version_decide(const struct member_version *current, const char *const *versions,
    size_t count, const struct member_downgrade *downgrade, struct member_version *out);

#endif
