/* SPDX-License-Identifier: Apache-2.0
 *
 * The small rows of a member's store, as their rooms write them, on their way into etcd's buckets;
 * apply_import_row is the way back. The members are not among them: etcd wants these in two forms.
 *
 *   mlease/be64(id) -> leasepb.Lease      malarm/be64(member)be64(alarm)
 *   mauth_user/NAME, mauth_role/NAME -> authpb
 *   mauth_revision -> be64                mauth_enabled -> one byte
 *   mconsistent_index -> be64(index) be64(term)
 *   mscheduledCompactRev, mfinishedCompactRev -> be64(revision)
 */
#include "base/codec.h"
#include "snapshot/inner.h"

struct copying {
    struct snapshot_export *export;
    int64_t scheduled; /* -1: none */
    int64_t finished;
    bool is_auth_enabled;
    uint64_t auth_revision;
};

static void add_auth_row(struct copying *c, struct slice key, struct slice value)
{
    struct slice name = slice_of(key.data + 11, key.len > 11 ? key.len - 11 : 0);
    if (slice_has_prefix(key, SLICE("mauth_user/"))) {
        snapshot_export_row(c->export, SNAPSHOT_AUTH_USERS, name, value);
    } else if (slice_has_prefix(key, SLICE("mauth_role/"))) {
        snapshot_export_row(c->export, SNAPSHOT_AUTH_ROLES, name, value);
    } else if (slice_eq(key, SLICE("mauth_revision")) && value.len == 8) {
        c->auth_revision = get_be64(value.data);
    } else if (slice_eq(key, SLICE("mauth_enabled")) && value.len == 1) {
        c->is_auth_enabled = value.data[0];
    }
}

static void add_row(struct copying *c, struct slice key, struct slice value)
{
    if (slice_has_prefix(key, SLICE("mlease/")) && key.len == 15) {
        snapshot_export_row(c->export, SNAPSHOT_LEASE, slice_of(key.data + 7, 8), value);
    } else if (slice_has_prefix(key, SLICE("malarm/")) && key.len == 23) {
        snapshot_export_alarm(c->export, get_be64(key.data + 7), (int32_t)get_be64(key.data + 15));
    } else if (slice_has_prefix(key, SLICE("mauth_"))) {
        add_auth_row(c, key, value);
    } else if (slice_eq(key, SLICE("mconsistent_index")) && value.len == 16) {
        snapshot_export_index(c->export, get_be64(value.data), get_be64(value.data + 8));
    } else if (slice_eq(key, SLICE("mscheduledCompactRev")) && value.len == 8) {
        c->scheduled = (int64_t)get_be64(value.data);
    } else if (slice_eq(key, SLICE("mfinishedCompactRev")) && value.len == 8) {
        c->finished = (int64_t)get_be64(value.data);
    }
}

struct err snapshot_export_store(struct snapshot_export *export, struct backend *backend,
    struct backend_snapshot *view, struct why *why)
{
    struct copying c = {.export = export, .scheduled = -1, .finished = -1};
    struct slice key;
    struct slice value;
    struct backend_iter *iter = backend_iter_open(backend, view, SLICE("m"), SLICE("n"));
    while (backend_iter_next(iter, &key, &value)) {
        add_row(&c, key, value);
    }
    struct err err = backend_iter_err(iter, why);
    backend_iter_close(iter);
    if (!err_is(err)) {
        /* As the rows of the same view say it: while a compaction is under way, what it has still
         * to drop is in the file, and whoever restores it has to know. */
        snapshot_export_compacted(export, c.scheduled, c.finished);
        snapshot_export_auth(export, c.is_auth_enabled, c.auth_revision);
    }
    return err;
}
