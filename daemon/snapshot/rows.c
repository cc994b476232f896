/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows as etcd's buckets hold them:
 *   key              be64(main) '_' be64(sub) ['t' for a tombstone] -> mvccpb.KeyValue, ascending
 * fields, zeros left out lease            be64(id) -> leasepb.Lease {1: id, 2: TTL, 3: remaining}
 *   alarm            etcdserverpb.AlarmMember {1: member, 2: alarm} -> nothing
 *   cluster          clusterVersion -> "3.6.0"; downgrade ->
 * {"target-version":"3.5.0","enabled":true}
 *   members          hex id -> JSON; members_removed: hex id -> "removed"
 *   auth             authEnabled -> one byte, authRevision -> be64; authUsers, authRoles: name ->
 * authpb meta             consistent_index, term -> be64; confState -> JSON; scheduledCompactRev,
 * finishedCompactRev -> be64(rev) '_' be64(0); storageVersion -> "3.6.0"
 */
#include "base/codec.h"
#include "base/json.h"
#include "snap/snap.h"
#include "snapshot/inner.h"

static const char *const bucket_names[SNAPSHOT_BUCKETS] = {"alarm", "auth", "authRoles",
    "authUsers", "cluster", "key", "lease", "members", "members_removed", "meta"};

const char *snapshot_bucket_name(enum snapshot_bucket bucket)
{
    return bucket_names[bucket];
}

size_t rev_put(int64_t main, int64_t sub, bool is_tombstone, uint8_t out[REV_MAX])
{
    put_be64(out, (uint64_t)main);
    out[8] = '_';
    put_be64(out + 9, (uint64_t)sub);
    out[17] = 't';
    return is_tombstone ? 18 : 17;
}

void kv_encode(const struct snapshot_key *key, struct buf *out)
{
    wire_add_bytes_nz(out, 1, key->key);
    wire_add_varint_nz(out, 2, (uint64_t)key->create);
    wire_add_varint_nz(out, 3, (uint64_t)key->mod);
    wire_add_varint_nz(out, 4, (uint64_t)key->version);
    wire_add_bytes_nz(out, 5, key->value);
    wire_add_varint_nz(out, 6, (uint64_t)key->lease);
}

static struct err kv_field(const struct wire_field *field, struct snapshot_key *out)
{
    int64_t *const numbers[] = {
        NULL, NULL, &out->create, &out->mod, &out->version, NULL, &out->lease};
    struct slice *const runs[] = {NULL, &out->key, NULL, NULL, NULL, &out->value, NULL};
    if (field->number >= COUNT_OF(numbers)) {
        return OK;
    }
    if (numbers[field->number] && field->type == WIRE_VARINT) {
        *numbers[field->number] = (int64_t)field->value;
        return OK;
    }
    if (runs[field->number] && field->type == WIRE_BYTES) {
        *runs[field->number] = field->bytes;
        return OK;
    }
    return ERR(BAD_FORMAT);
}

struct err snapshot_key_parse(struct slice key, struct slice value, struct snapshot_key *out)
{
    struct wire wire;
    struct wire_field field;
    if ((key.len != 17 && key.len != 18) || key.data[8] != '_' ||
        (key.len == 18 && key.data[17] != 't')) {
        return ERR(BAD_FORMAT);
    }
    struct snapshot_key row = {
        .main = (int64_t)get_be64(key.data),
        .sub = (int64_t)get_be64(key.data + 9),
        .is_tombstone = key.len == 18,
    };
    if (row.main < 0 || row.sub < 0) {
        return ERR(BAD_FORMAT);
    }
    wire_init(&wire, value);
    while (wire_more(&wire)) {
        TRY(wire_next(&wire, &field));
        TRY(kv_field(&field, &row));
    }
    *out = row;
    return OK;
}

static void add_be64(
    struct snapshot_export *export, enum snapshot_bucket bucket, const char *name, uint64_t number)
{
    uint8_t raw[8];
    put_be64(raw, number);
    snapshot_export_row(export, bucket, slice_str(name), slice_of(raw, sizeof(raw)));
}

void snapshot_export_index(struct snapshot_export *export, uint64_t index, uint64_t term)
{
    add_be64(export, SNAPSHOT_META, "consistent_index", index);
    add_be64(export, SNAPSHOT_META, "term", term);
}

static void add_ids(struct json *json, const char *name, const struct raft_ids *ids)
{
    if (!ids->count) {
        return;
    }
    json_add_key(json, name);
    json_open(json, '[');
    for (size_t i = 0; i < ids->count; i++) {
        json_add_uint(json, ids->ids[i]);
    }
    json_close(json, ']');
}

void snapshot_export_conf(struct snapshot_export *export, const struct raft_conf_state *conf)
{
    struct buf out;
    struct json json;
    buf_init(&out, 16384);
    json_init(&json, &out, JSON_PLAIN);
    json_open(&json, '{');
    add_ids(&json, "voters", &conf->voters);
    add_ids(&json, "learners", &conf->learners);
    add_ids(&json, "voters_outgoing", &conf->voters_outgoing);
    add_ids(&json, "learners_next", &conf->learners_next);
    json_add_key(&json, "auto_leave");
    json_add_bool(&json, conf->auto_leave);
    json_close(&json, '}');
    snapshot_export_row(export, SNAPSHOT_META, SLICE("confState"), buf_slice(&out));
    buf_fini(&out);
}

static void add_rev(struct snapshot_export *export, struct slice name, int64_t rev)
{
    uint8_t raw[REV_MAX];
    if (rev >= 0) {
        size_t len = rev_put(rev, 0, false, raw);
        snapshot_export_row(export, SNAPSHOT_META, name, slice_of(raw, len));
    }
}

void snapshot_export_compacted(struct snapshot_export *export, int64_t scheduled, int64_t finished)
{
    add_rev(export, SLICE("scheduledCompactRev"), scheduled);
    add_rev(export, SLICE("finishedCompactRev"), finished);
}

void snapshot_export_storage_version(struct snapshot_export *export, const char *version)
{
    snapshot_export_row(export, SNAPSHOT_META, SLICE("storageVersion"), slice_str(version));
}

void snapshot_export_lease(
    struct snapshot_export *export, int64_t id, int64_t ttl, int64_t remaining)
{
    uint8_t raw[8];
    struct buf value;
    buf_init(&value, 64);
    put_be64(raw, (uint64_t)id);
    wire_add_varint_nz(&value, 1, (uint64_t)id);
    wire_add_varint_nz(&value, 2, (uint64_t)ttl);
    wire_add_varint_nz(&value, 3, (uint64_t)remaining);
    snapshot_export_row(export, SNAPSHOT_LEASE, slice_of(raw, sizeof(raw)), buf_slice(&value));
    buf_fini(&value);
}

void snapshot_export_alarm(struct snapshot_export *export, uint64_t member_id, int32_t alarm)
{
    struct buf key;
    buf_init(&key, 64);
    wire_add_varint_nz(&key, 1, member_id);
    wire_add_varint_nz(&key, 2, (uint64_t)alarm);
    snapshot_export_row(export, SNAPSHOT_ALARM, buf_slice(&key), (struct slice){0});
    buf_fini(&key);
}

void snapshot_export_auth(struct snapshot_export *export, bool is_enabled, uint64_t rev)
{
    uint8_t flag = is_enabled;
    snapshot_export_row(export, SNAPSHOT_AUTH, SLICE("authEnabled"), slice_of(&flag, 1));
    add_be64(export, SNAPSHOT_AUTH, "authRevision", rev);
}

static struct slice hex_id(uint64_t id, char out[24])
{
    return slice_of(out, (size_t)snprintf(out, 24, "%llx", (unsigned long long)id));
}

void snapshot_export_cluster(struct snapshot_export *export, const struct snap_cluster *cluster)
{
    char id[24];
    struct buf json;
    buf_init(&json, SIZE_MAX);
    for (size_t i = 0; i < cluster->members_count; i++) {
        buf_reset(&json);
        snap_member_json(&cluster->members[i], &json);
        struct slice key = hex_id(cluster->members[i].id, id);
        snapshot_export_row(export, SNAPSHOT_MEMBERS, key, buf_slice(&json));
    }
    for (size_t i = 0; i < cluster->removed_count; i++) {
        struct slice key = hex_id(cluster->removed[i], id);
        snapshot_export_row(export, SNAPSHOT_MEMBERS_REMOVED, key, SLICE("removed"));
    }
    if (cluster->version) {
        struct slice version = slice_str(cluster->version);
        snapshot_export_row(export, SNAPSHOT_CLUSTER, SLICE("clusterVersion"), version);
    }
    if (cluster->downgrade) {
        buf_reset(&json);
        buf_printf(&json, "{\"target-version\":\"%s\",\"enabled\":true}", cluster->downgrade);
        snapshot_export_row(export, SNAPSHOT_CLUSTER, SLICE("downgrade"), buf_slice(&json));
    }
    buf_fini(&json);
}
