/* SPDX-License-Identifier: Apache-2.0
 * Rows of any bytes, of another etcd's database (which are taken in as at boot) or as a member may
 * find them in its own store: refused, or loaded and used without harm; and what loads, loads again
 * the same.
 *
 * Input: rows, each a byte (the kind), a byte of key length, be16 of value length, key, value. */
#include "base/codec.h"
#include "base/log.h"
#include "base/mem.h"
#include "snapshot/snapshot.h"
#include "tests/shared/memory_backend.h"
#include "tests/shared/store.h"

#include <inttypes.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROW_HEAD = 4, PICTURE_MAX = 16 << 20, LATER_MS = 3600 * 1000 };

/* Buckets, and how keys begin in the store. */
static const char *const buckets[] = {
    "lease", "alarm", "cluster", "auth", "authRoles", "authUsers", "members_removed"};
static const char *const prefixes[] = {"mlease/", "malarm/", "mauth_user/", "mauth_role/",
    "mauth_enabled", "mauth_revision", "mmember/", "mremoved/", "mcluster_version", "mdowngrade",
    "mconsistent_index", "l", "d"};
enum { MEMBERS = COUNT_OF(buckets), KEYS, IMPORTED, KINDS = IMPORTED + COUNT_OF(prefixes) };

struct given {
    struct slice key;
    struct slice value;
    unsigned kind;
};

struct taking {
    struct backend *backend;
    struct backend_batch *batch;
    struct member_table *members; /* only to write their rows */
    struct mvcc_import *rows;
    struct arena *arena;
};

static bool next_row(struct slice *rest, struct given *out)
{
    if (rest->len < ROW_HEAD) {
        return false;
    }
    size_t left = rest->len - ROW_HEAD;
    size_t key_len = rest->data[1] < left ? rest->data[1] : left;
    size_t value_len = (size_t)rest->data[2] << 8 | rest->data[3];
    value_len = value_len < left - key_len ? value_len : left - key_len;
    out->kind = rest->data[0] % KINDS;
    out->key = slice_of(rest->data + ROW_HEAD, key_len);
    out->value = slice_of(out->key.data + key_len, value_len);
    *rest = slice_of(out->value.data + value_len, left - key_len - value_len);
    return true;
}

static struct err take_member(struct taking *taking, struct slice json)
{
    struct member member;
    bool is_promote;
    TRY(member_from_json(json, taking->arena, &member, &is_promote));
    return member_add(taking->members, &member, taking->batch);
}

static struct err take_key(struct taking *taking, const struct given *given)
{
    struct snapshot_key row;
    TRY(snapshot_key_parse(given->key, given->value, &row));
    struct mvcc_kv kv = {row.key, row.value, row.create, row.mod, row.version, row.lease};
    return row.key.len
               ? mvcc_import_row(taking->rows, row.main, row.sub, row.is_tombstone, &kv, NULL)
               : OK;
}

static struct err take_row(struct taking *taking, const struct given *given)
{
    if (given->kind < MEMBERS) {
        return apply_import_row(buckets[given->kind], given->key, given->value, taking->batch);
    }
    if (given->kind == MEMBERS) {
        return take_member(taking, given->value);
    }
    if (given->kind == KEYS) {
        return take_key(taking, given);
    }
    const char *prefix = prefixes[given->kind - IMPORTED];
    char *key = mem_alloc(strlen(prefix) + given->key.len);
    memcpy(key, prefix, strlen(prefix));
    memcpy(key + strlen(prefix), given->key.data, given->key.len);
    backend_batch_put(taking->batch, slice_of(key, strlen(prefix) + given->key.len), given->value);
    free(key);
    return OK;
}

/* False: there is no such member. */
static bool fill(const char *path, struct slice rest)
{
    struct taking taking = {.arena = arena_new(0)};
    struct backend_options options = {.path = path};
    struct given given;
    struct err err = backend_open(&options, &taking.backend, NULL);
    check(!err_is(err));
    taking.batch = backend_batch_new();
    taking.rows = mvcc_import_new(taking.backend);
    taking.members = member_table_new(0, 0);
    member_limit_learners(taking.members, SIZE_MAX);
    while (!err_is(err) && next_row(&rest, &given)) {
        err = take_row(&taking, &given);
    }
    if (!err_is(err)) {
        err = mvcc_import_end(taking.rows, -1, -1, NULL);
    }
    if (!err_is(err)) {
        err = backend_write(taking.backend, taking.batch, NULL);
    }
    if (!err_is(err)) {
        err = backend_flush(taking.backend, NULL);
    }
    mvcc_import_free(taking.rows);
    member_table_free(taking.members);
    backend_batch_free(taking.batch);
    arena_free(taking.arena);
    backend_close(taking.backend);
    return !err_is(err);
}

/* As store_open, but rows may be malformed. */
static bool load(struct store *store)
{
    struct apply_options *o = &store->options;
    struct backend_options backend = {.path = store->path};
    struct err err = backend_open(&backend, &o->backend, NULL);
    check(!err_is(err));
    o->leases = lease_table_new(1);
    o->members = member_table_new(STORE_CLUSTER_ID, STORE_MEMBER_ID);
    o->auth = auth_table_new();
    struct mvcc_options mvcc = {.backend = o->backend};
    err = lease_load(o->leases, o->backend, NULL);
    err = err_is(err) ? err : auth_load(o->auth, o->backend, NULL);
    err = err_is(err) ? err : member_load(o->members, o->backend, NULL);
    err = err_is(err) ? err : mvcc_open(&mvcc, &o->mvcc, NULL);
    err = err_is(err) ? err : auth_tokens_new("simple", 0, &o->tokens, NULL);
    if (err_is(err)) {
        return false;
    }
    o->hub = watch_hub_new(o->mvcc, 0, 1);
    return !err_is(apply_open(o, &store->apply, NULL));
}

static void unload(struct store *store)
{
    apply_close(store->apply);
    if (store->options.hub) {
        watch_hub_free(store->options.hub);
    }
    auth_tokens_free(store->options.tokens);
    auth_table_free(store->options.auth);
    member_table_free(store->options.members);
    lease_table_free(store->options.leases);
    mvcc_close(store->options.mvcc);
    backend_close(store->options.backend);
}

static void draw_users(struct auth_table *auth, struct arena *arena, struct buf *out)
{
    struct auth_names names;
    struct auth_names roles;
    buf_printf(out, "auth %d %" PRIu64 "\n", auth_is_enabled(auth), auth_revision(auth));
    auth_users(auth, arena, &names);
    for (size_t i = 0; i < names.count; i++) {
        const char *hash = NULL;
        uint64_t rev;
        struct auth_caller caller = {names.items[i], auth_revision(auth)};
        struct err err = auth_user_roles(auth, names.items[i], arena, &roles);
        check(!err_is(err));
        err = auth_password(auth, names.items[i], arena, &hash, &rev);
        buf_printf(out, "user %s %d %s:", names.items[i], (int)err.code, hash ? hash : "");
        for (size_t j = 0; j < roles.count; j++) {
            buf_printf(out, " %s", roles.items[j]);
        }
        err = auth_may_read(auth, &caller, SLICE("k"), (struct slice){0});
        struct err write = auth_may_write(auth, &caller, SLICE("k"), slice_of("", 1));
        struct err all = auth_may_administer(auth, &caller);
        buf_printf(out, " %d %d %d\n", (int)err.code, (int)write.code, (int)all.code);
    }
}

static void draw_roles(struct auth_table *auth, struct arena *arena, struct buf *out)
{
    struct auth_names names;
    auth_roles(auth, arena, &names);
    for (size_t i = 0; i < names.count; i++) {
        Authpb__Permission **list;
        size_t count;
        struct err err = auth_role_permissions(auth, names.items[i], arena, &list, &count);
        check(!err_is(err));
        buf_printf(out, "role %s:", names.items[i]);
        for (size_t j = 0; j < count; j++) {
            buf_printf(out, " %d ", (int)list[j]->permtype);
            buf_add(out, list[j]->key.data, list[j]->key.len);
            buf_add_str(out, " to ");
            buf_add(out, list[j]->range_end.data, list[j]->range_end.len);
        }
        buf_add_str(out, "\n");
    }
}

static void draw_members(struct member_table *members, struct arena *arena, struct buf *out)
{
    struct member *list;
    uint64_t *removed;
    struct member_downgrade downgrade;
    size_t count = member_list(members, arena, &list);
    for (size_t i = 0; i < count; i++) {
        buf_add_slice(out, member_to_json(&list[i], arena));
    }
    count = member_removed(members, arena, &removed);
    for (size_t i = 0; i < count; i++) {
        check(member_is_removed(members, removed[i]));
    }
    member_downgrade_get(members, &downgrade);
    buf_printf(out, "members %zu removed, %s, %d to %s, %d %d %d\n", count,
        member_cluster_version(members), downgrade.is_enabled, downgrade.target,
        member_self_is_learner(members), member_can_add_voter(members),
        member_can_promote(members));
}

/* As a leader has them. */
static void draw_leases(struct lease_table *leases, struct arena *arena, struct buf *out)
{
    struct lease_info *list;
    struct lease_remains due[8];
    int64_t ids[8];
    lease_promote(leases, 0, 1000);
    size_t count = lease_list(leases, arena, &list);
    for (size_t i = 0; i < count; i++) {
        int64_t ttl_s = 0;
        struct err err = lease_renew(leases, list[i].id, 1, &ttl_s);
        buf_printf(out, "lease %" PRIx64 " %" PRId64 " %" PRId64 " %d\n", list[i].id,
            list[i].granted_s, ttl_s, (int)err.code);
    }
    buf_printf(out, "due %zu %zu\n", lease_checkpoints_due(leases, LATER_MS, due, COUNT_OF(due)),
        lease_expired(leases, LATER_MS, 1000, ids, COUNT_OF(ids)));
}

static void draw(struct store *store, struct buf *out)
{
    struct apply_alarm alarms[APPLY_ALARMS_MAX];
    struct arena *arena = arena_new(0);
    struct mvcc_hash hash = {0};
    size_t count = apply_alarms(store->apply, alarms);
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "alarm %" PRIx64 " %d\n", alarms[i].member_id, (int)alarms[i].type);
    }
    draw_users(store->options.auth, arena, out);
    draw_roles(store->options.auth, arena, out);
    draw_members(store->options.members, arena, out);
    draw_leases(store->options.leases, arena, out);
    struct err err = mvcc_hash_kv(store->options.mvcc, 0, &hash, NULL);
    buf_printf(out, "at %" PRIu64 " %" PRIu64 ", %" PRId64 " %d %x\n", apply_index(store->apply),
        apply_term(store->apply), mvcc_revision(store->options.mvcc), (int)err.code, hash.hash);
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf pictures[2];
    struct slice rest = slice_of(data, size);
    bool is_good = true;
    log_level_set(LOG_LEVEL_FATAL);
    if (fill("/s", rest)) {
        for (size_t i = 0; i < COUNT_OF(pictures); i++) {
            struct store store = {.path = "/s"};
            buf_init(&pictures[i], PICTURE_MAX);
            bool is_loaded = load(&store);
            check(i == 0 || is_loaded == is_good);
            is_good = is_loaded;
            if (is_loaded) {
                draw(&store, &pictures[i]);
            }
            unload(&store);
        }
        check(slice_eq(buf_slice(&pictures[0]), buf_slice(&pictures[1])));
        buf_fini(&pictures[0]);
        buf_fini(&pictures[1]);
    }
    memory_backend_forget();
    return 0;
}
