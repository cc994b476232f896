/* SPDX-License-Identifier: Apache-2.0
 *
 * member/snap/<term>-<index>.snap, both as 16 hex digits: snappb.snapshot {1: crc (varint), 2:
 * data}, crc being CRC-32C of data; data is raftpb.Snapshot {1: the v2 store's JSON, 2: {1:
 * ConfState, 2: index, 3: term}}.
 */
#include "snap/metrics.h"
#include "snap/snap.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "wal/wal.h"

enum { META_MAX = 8192, NAME_SIZE = 64 };

void snap_encode(const struct raft_snapshot_meta *meta, struct slice data, struct buf *out)
{
    struct buf conf;
    struct buf head;
    buf_init(&conf, META_MAX);
    buf_init(&head, META_MAX);
    wal_conf_encode(&meta->conf, &conf);
    wire_add_bytes(&head, 1, buf_slice(&conf));
    wire_add_varint(&head, 2, meta->index);
    wire_add_varint(&head, 3, meta->term);
    check(!head.is_full && !conf.is_full);
    if (data.data) {
        wire_add_bytes(out, 1, data);
    }
    wire_add_bytes(out, 2, buf_slice(&head));
    buf_fini(&conf);
    buf_fini(&head);
}

static struct err decode_meta(struct slice bytes, struct raft_snapshot_meta *meta)
{
    struct wire wire;
    struct wire_field field;
    wire_init(&wire, bytes);
    while (wire_more(&wire)) {
        TRY(wire_next(&wire, &field));
        if (field.number == 1 && field.type == WIRE_BYTES) {
            TRY(wal_conf_decode(field.bytes, &meta->conf));
        } else if (field.number == 2 && field.type == WIRE_VARINT) {
            meta->index = field.value;
        } else if (field.number == 3 && field.type == WIRE_VARINT) {
            meta->term = field.value;
        }
    }
    return OK;
}

struct err snap_decode(
    struct slice bytes, struct raft_snapshot_meta *out_meta, struct slice *out_data)
{
    struct wire wire;
    struct wire_field field;
    struct raft_snapshot_meta meta = {0};
    struct slice data = {0};
    wire_init(&wire, bytes);
    while (wire_more(&wire)) {
        TRY(wire_next(&wire, &field));
        if (field.number == 1 && field.type == WIRE_BYTES) {
            data = field.bytes;
        } else if (field.number == 2 && field.type == WIRE_BYTES) {
            TRY(decode_meta(field.bytes, &meta));
        }
    }
    *out_meta = meta;
    *out_data = data;
    return OK;
}

struct err snap_decode_file(
    struct slice bytes, struct raft_snapshot_meta *out_meta, struct slice *out_data)
{
    struct wire wire;
    struct wire_field field;
    struct slice data = {0};
    uint64_t crc = 0;
    wire_init(&wire, bytes);
    while (wire_more(&wire)) {
        TRY(wire_next(&wire, &field));
        if (field.number == 1 && field.type == WIRE_VARINT) {
            crc = field.value;
        } else if (field.number == 2 && field.type == WIRE_BYTES) {
            data = field.bytes;
        }
    }
    if (!data.len || !crc) {
        return ERR(BAD_FORMAT);
    }
    if (crc32c(0, data) != crc) {
        return ERR(BAD_CRC);
    }
    return snap_decode(data, out_meta, out_data);
}

static void name_of(const struct raft_snapshot_meta *meta, char out[NAME_SIZE])
{
    snprintf(out, NAME_SIZE, "%016llx-%016llx.snap", (unsigned long long)meta->term,
        (unsigned long long)meta->index);
}

struct err snap_save(struct disk *disk, const char *dir, const struct raft_snapshot_meta *meta,
    struct slice data, struct why *why)
{
    struct buf body;
    struct buf file;
    char name[NAME_SIZE];
    const struct snap_metrics *metrics = snap_metrics();
    int64_t began_ns = clock_mono_ns();
    buf_init(&body, SNAP_FILE_MAX);
    buf_init(&file, SNAP_FILE_MAX);
    name_of(meta, name);
    char *path = disk_path(dir, name);
    snap_encode(meta, data, &body);
    wire_add_varint(&file, 1, crc32c(0, buf_slice(&body)));
    wire_add_bytes(&file, 2, buf_slice(&body));
    int64_t marshalled_ns = clock_mono_ns();
    struct err e = body.is_full || file.is_full
                       ? why_set(why, ERR(TOO_BIG), "%s: more than %d bytes", path, SNAP_FILE_MAX)
                       : disk_write_file(disk, path, buf_slice(&file), 0600, why);
    int64_t end_ns = clock_mono_ns();
    metric_observe(metrics->marshalling, (double)(marshalled_ns - began_ns) / 1e9);
    metric_observe(metrics->sync, (double)(end_ns - marshalled_ns) / 1e9);
    metric_observe(metrics->save, (double)(end_ns - began_ns) / 1e9);
    buf_fini(&body);
    buf_fini(&file);
    free(path);
    return e;
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t len = strlen(name);
    size_t end = strlen(suffix);
    return len >= end && strcmp(name + len - end, suffix) == 0;
}

static struct err read_snap(
    struct disk *disk, const char *path, struct snap_file *out, struct why *why)
{
    uint8_t *bytes;
    size_t len;
    struct slice data;
    struct snap_file file;
    TRY(disk_read_file(disk, path, SNAP_FILE_MAX, &bytes, &len, why));
    struct err e = snap_decode_file(slice_of(bytes, len), &file.meta, &data);
    if (err_is(e)) {
        e = why_set(why, e, "%s: %s", path, err_text(e));
    } else {
        file.data = mem_dup(data.data, data.len);
        file.data_len = data.len;
        *out = file;
    }
    free(bytes);
    return e;
}

static bool is_known(
    const struct raft_snapshot_meta *meta, const struct snap_point *points, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (points[i].index == meta->index && points[i].term == meta->term) {
            return true;
        }
    }
    return false;
}

/* One candidate. ABSENT: not this one. */
static struct err try_snap(struct disk *disk, const char *path, const struct snap_point *points,
    size_t count, struct snap_file *out, struct why *why)
{
    struct snap_file file;
    struct err e = read_snap(disk, path, &file, why);
    if (IS(e, BAD_FORMAT) || IS(e, BAD_CRC) || IS(e, TOO_BIG)) {
        char *broken = mem_printf("%s.broken", path);
        e = disk_rename(disk, path, broken, why);
        free(broken);
        return err_is(e) ? e : ERR(ABSENT);
    }
    if (err_is(e)) {
        return e;
    }
    if (!is_known(&file.meta, points, count)) {
        snap_file_fini(&file);
        return ERR(ABSENT);
    }
    *out = file;
    return OK;
}

struct err snap_load(struct disk *disk, const char *dir, const struct snap_point *points,
    size_t count, struct snap_file *out, struct why *why)
{
    struct disk_names names;
    struct err e = ERR(ABSENT);
    TRY(disk_list(disk, dir, &names, why));
    for (size_t i = names.count; i > 0 && IS(e, ABSENT); i--) {
        if (has_suffix(names.names[i - 1], ".snap")) {
            char *path = disk_path(dir, names.names[i - 1]);
            e = try_snap(disk, path, points, count, out, why);
            free(path);
        }
    }
    disk_names_fini(&names);
    return IS(e, ABSENT) ? why_set(why, e, "no usable snapshot file in %s", dir) : e;
}

void snap_file_fini(struct snap_file *file)
{
    free(file->data);
    *file = (struct snap_file){0};
}

static struct err rename_in(struct disk *disk, const char *dir, const char *name, struct why *why)
{
    char *path = disk_path(dir, name);
    char *to = mem_printf("%s.void", path);
    struct err e = disk_rename(disk, path, to, why);
    free(to);
    free(path);
    return e;
}

struct err snap_set_aside(struct disk *disk, const char *dir,
    const struct raft_snapshot_meta *newest, size_t *out_count, struct why *why)
{
    struct disk_names names;
    char last[NAME_SIZE];
    size_t count = 0;
    struct err e = OK;
    name_of(newest, last);
    TRY(disk_list(disk, dir, &names, why));
    for (size_t i = 0; i < names.count && !err_is(e); i++) {
        if (has_suffix(names.names[i], ".snap") && strcmp(names.names[i], last) > 0) {
            e = rename_in(disk, dir, names.names[i], why);
            count++;
        }
    }
    disk_names_fini(&names);
    if (!err_is(e)) {
        *out_count = count;
    }
    return e;
}

/* <index>.snap.db: a database that a peer sent, the list of the files <index>.rows.*, or the name
 * of a folder <index>.files.* */
static bool is_old_database(const char *name, uint64_t index)
{
    char *end;
    unsigned long long of = strtoull(name, &end, 16);
    bool is_received = strcmp(end, ".snap.db") == 0 || strncmp(end, ".rows.", 6) == 0 ||
                       strncmp(end, ".files.", 7) == 0;
    return end != name && is_received && of < index;
}

static bool is_old_void(const char *name, uint64_t index)
{
    const char *dash = strchr(name, '-');
    return has_suffix(name, ".snap.void") && dash && strtoull(dash + 1, NULL, 16) < index;
}

struct err snap_load_known(
    struct disk *disk, const char *dir, const char *wal_dir, struct snap_file *out, struct why *why)
{
    struct wal_snapshots known = {0};
    TRY(wal_snapshots_read(disk, wal_dir, &known, why));
    struct snap_point *points = mem_alloc(known.count * sizeof(*points));
    for (size_t i = 0; i < known.count; i++) {
        points[i] = (struct snap_point){known.items[i].index, known.items[i].term};
    }
    struct err err = snap_load(disk, dir, points, known.count, out, why);
    free(points);
    wal_snapshots_fini(&known);
    return IS(err, ABSENT) ? OK : err;
}

char *snap_received_path(const char *dir, uint64_t index)
{
    return mem_printf("%s/%016llx.snap.db", dir, (unsigned long long)index);
}

/* Gone already is gone: two may tidy up at once. */
static struct err remove_in(struct disk *disk, const char *dir, const char *name, struct why *why)
{
    char *path = disk_path(dir, name);
    struct err e = disk_remove_all(disk, path, why);
    free(path);
    return IS(e, ABSENT) ? OK : e;
}

/* Whoever receives it may still be writing. The next purge or start meets it again. */
static void remove_old(struct disk *disk, const char *dir, const char *name)
{
    struct why why = {""};
    struct err e = remove_in(disk, dir, name, &why);
    if (err_is(e) && !IS(e, EXISTS)) {
        LOG_WARN(
            "failed to remove an old received snapshot", LOG_STR("name", name), LOG_ERR(why.text));
    }
}

struct err snap_purge(
    struct disk *disk, const char *dir, size_t files_max, uint64_t index, struct why *why)
{
    struct disk_names names;
    size_t snaps = 0;
    struct err e = OK;
    TRY(disk_list(disk, dir, &names, why));
    for (size_t i = 0; i < names.count; i++) {
        snaps += has_suffix(names.names[i], ".snap");
    }
    for (size_t i = 0; i < names.count && !err_is(e); i++) {
        const char *name = names.names[i];
        if (has_suffix(name, ".snap") && files_max && snaps > files_max) {
            e = remove_in(disk, dir, name, why);
            snaps--;
        } else if (is_old_database(name, index) || is_old_void(name, index)) {
            remove_old(disk, dir, name);
        }
    }
    disk_names_fini(&names);
    return e;
}

static bool is_left(const char *name, bool is_etcds, uint64_t kept)
{
    char *end;
    bool is_kept = kept && strtoull(name, &end, 16) == kept && *end == '.';
    bool is_temporary = strncmp(name, "tmp", 3) == 0 || has_suffix(name, ".snap.db.tmp") ||
                        strcmp(name, "db.export") == 0 || strcmp(name, "db.new") == 0;
    if (is_kept && !is_temporary) {
        return false;
    }
    return is_temporary || strstr(name, ".rows.") || strstr(name, ".files.") ||
           (has_suffix(name, ".snap.db") && !is_etcds);
}

struct err snap_sweep(struct disk *disk, const char *dir, uint64_t kept, struct why *why)
{
    struct disk_names names;
    struct err e = OK;
    bool is_etcds = false;
    TRY(disk_list(disk, dir, &names, why));
    for (size_t i = 0; i < names.count; i++) {
        is_etcds |= strcmp(names.names[i], "db") == 0 || strcmp(names.names[i], "db.etcd") == 0;
    }
    for (size_t i = 0; i < names.count && !err_is(e); i++) {
        if (is_left(names.names[i], is_etcds, kept)) {
            e = remove_in(disk, dir, names.names[i], why);
        }
    }
    disk_names_fini(&names);
    return e;
}
