/* SPDX-License-Identifier: Apache-2.0
 * Reading a log back: which snapshots it knows, what comes after one of them, and the repair of a
 * torn tail. */
#include "base/mem.h"
#include "base/mutation.h"
#include "wal/inner.h"

enum { COPY = 1024 * 1024 };

struct reader {
    struct scan scan;
    uint64_t start_index;
    uint64_t start_term;
    bool has_identity;
    bool has_start; /* the snapshot record was met */
    uint64_t last_index;
    size_t cap;
    struct wal_log log;
};

bool wal_exists(struct disk *disk, const char *dir)
{
    struct segments segments;
    if (err_is(segments_list(disk, dir, &segments, NULL))) {
        return false;
    }
    segments_fini(&segments);
    return true;
}

static void entries_cut(struct wal_log *log, size_t count)
{
    while (log->entries_count > count) {
        blob_unref(log->entries[--log->entries_count].data);
    }
}

void wal_log_fini(struct wal_log *log)
{
    entries_cut(log, 0);
    free(log->entries);
    *log = (struct wal_log){0};
}

/* A new leader may replace what was not committed; one term never has two entries at one index. */
static bool may_replace(
    const struct wal_log *log, const struct raft_entry *old, const struct raft_entry *entry)
{
    if (old->term == entry->term) {
        return old->type == entry->type && slice_eq(blob_slice(old->data), blob_slice(entry->data));
    }
    return entry->index > log->hard.commit;
}

static struct err keep_entry(
    struct reader *reader, const struct raft_entry *entry, const char **out_what)
{
    struct wal_log *log = &reader->log;
    uint64_t offset = entry->index - reader->start_index - 1;
    if (offset > log->entries_count) {
        *out_what = "a hole in the entries";
        return ERR(BAD_FORMAT);
    }
    if (offset < log->entries_count && !may_replace(log, &log->entries[offset], entry)) {
        *out_what = "an entry is written over against raft's rules";
        return ERR(BAD_FORMAT);
    }
    if (offset && entry->term < log->entries[offset - 1].term) {
        *out_what = "an entry's term is lower than its predecessor's";
        return ERR(BAD_FORMAT);
    }
    entries_cut(log, (size_t)offset);
    if (log->entries_count == reader->cap) {
        reader->cap = reader->cap ? reader->cap * 2 : 64;
        log->entries = mem_grow(log->entries, reader->cap * sizeof(*log->entries));
    }
    log->entries[log->entries_count++] = *entry;
    return OK;
}

static struct err read_entry(struct reader *reader, struct slice data, const char **out_what)
{
    struct raft_entry entry;
    *out_what = "not an entry";
    TRY(record_entry(data, &entry));
    reader->last_index = entry.index;
    struct err e = OK;
    if (entry.index > reader->start_index) {
        e = keep_entry(reader, &entry, out_what);
        if (!err_is(e)) {
            return OK;
        }
    }
    blob_unref(entry.data);
    return e;
}

static struct err read_identity(struct reader *reader, struct slice data, const char **out_what)
{
    struct wal_identity identity;
    *out_what = "not an identity";
    TRY(record_identity(data, &identity));
    bool is_same = identity.node_id == reader->log.identity.node_id &&
                   identity.cluster_id == reader->log.identity.cluster_id;
    if (reader->has_identity && !is_same) {
        *out_what = "another member's identity";
        return ERR(BAD_FORMAT);
    }
    reader->has_identity = true;
    reader->log.identity = identity;
    return OK;
}

static struct err read_state(struct reader *reader, struct slice data, const char **out_what)
{
    struct raft_hard_state hard;
    *out_what = "not a hard state";
    TRY(record_state(data, &hard));
    if (hard.term < reader->log.hard.term) {
        *out_what = "the term goes back";
        return ERR(BAD_FORMAT);
    }
    reader->log.hard = hard;
    return OK;
}

static struct err read_snapshot(struct reader *reader, struct slice data, const char **out_what)
{
    struct wal_snapshot snapshot;
    *out_what = "not a snapshot record";
    TRY(record_snapshot(data, &snapshot));
    if (reader->last_index < snapshot.index) {
        reader->last_index = snapshot.index;
    }
    if (snapshot.index == reader->start_index) {
        if (snapshot.term != reader->start_term) {
            *out_what = "the snapshot's term is not its file's";
            return ERR(BAD_FORMAT);
        }
        reader->has_start = true;
    }
    return OK;
}

static struct err read_record(struct reader *reader, const struct record *record, struct why *why)
{
    const char *what = "";
    struct err e = OK;
    switch (record->type) {
    case RECORD_METADATA:
        e = read_identity(reader, record->data, &what);
        break;
    case RECORD_ENTRY:
        e = read_entry(reader, record->data, &what);
        break;
    case RECORD_STATE:
        e = read_state(reader, record->data, &what);
        break;
    case RECORD_SNAPSHOT:
        e = read_snapshot(reader, record->data, &what);
        break;
    case RECORD_CRC:
        break;
    }
    return err_is(e) ? wal_scan_why(&reader->scan, e, why, what) : OK;
}

/* Everything up to the end or to a torn tail, which is no error here: the scan stands before it. */
static struct err read_all(struct reader *reader, struct why *why)
{
    struct record record;
    struct scan *scan = &reader->scan;
    struct why torn;
    for (;;) {
        struct err e = wal_scan_next(scan, &record, why ? why : &torn);
        if (IS(e, TORN)) {
            reader->log.torn_bytes = scan->bytes - scan->offset;
            break;
        }
        if (err_is(e)) {
            return e;
        }
        if (scan->is_end) {
            break;
        }
        TRY(read_record(reader, &record, why));
    }
    reader->log.tail_offset = scan->offset;
    if (!reader->has_identity) {
        return wal_scan_why(scan, ERR(BAD_FORMAT), why, "the log does not say whose it is");
    }
    if (reader->log.hard.commit > reader->last_index) {
        return wal_scan_why(scan, ERR(BAD_FORMAT), why, "committed entries are missing");
    }
    if (!reader->has_start) {
        return why_set(why, ERR(ABSENT), "%s: no record of the snapshot at index %llu",
            scan->segments->items[0].path, (unsigned long long)reader->start_index);
    }
    return OK;
}

static struct err reader_run(struct reader *reader, const struct segments *segments, uint64_t index,
    uint64_t term, struct why *why)
{
    *reader = (struct reader){.start_index = index, .start_term = term, .last_index = index};
    struct err e = wal_scan_init(&reader->scan, segments, why);
    if (!err_is(e)) {
        e = read_all(reader, why);
    }
    wal_scan_fini(&reader->scan);
    if (err_is(e)) {
        wal_log_fini(&reader->log);
    }
    return e;
}

static struct err segments_ready(struct disk *disk, const char *dir, uint64_t index, bool is_locked,
    struct segments *out, struct why *why)
{
    struct segments segments;
    TRY(segments_list(disk, dir, &segments, why));
    struct err e = segments_select(&segments, index, why);
    if (!err_is(e)) {
        e = segments_open(&segments, disk, is_locked, why);
    }
    if (err_is(e)) {
        segments_fini(&segments);
        return e;
    }
    *out = segments;
    return OK;
}

struct err wal_read(struct disk *disk, const char *dir, uint64_t index, uint64_t term,
    struct wal_log *out_log, struct why *why)
{
    struct segments segments;
    struct reader reader;
    TRY(segments_ready(disk, dir, index, false, &segments, why));
    struct err e = reader_run(&reader, &segments, index, term, why);
    if (!err_is(e)) {
        *out_log = reader.log;
    }
    segments_fini(&segments);
    return e;
}

/* Keeps the damaged segment beside it for whoever wants to look. */
static struct err copy_broken(struct disk *disk, const struct segment *segment, struct why *why)
{
    struct disk_file *copy = NULL;
    uint8_t *block = mem_alloc(COPY);
    char *path = mem_printf("%s.broken", segment->path);
    size_t got = COPY;
    unsigned flags = DISK_WRITE | DISK_CREATE | DISK_TRUNCATE;
    struct err e = disk_open(disk, path, flags, 0600, &copy, why);
    for (uint64_t at = 0; !err_is(e) && got == COPY; at += got) {
        e = disk_read(segment->file, at, block, COPY, &got, why);
        if (!err_is(e) && got) {
            e = disk_write(copy, at, slice_of(block, got), why);
        }
    }
    disk_close(copy);
    free(path);
    free(block);
    return e;
}

/* Behind the last good record there may be bytes that a crash left; new records over some of them
 * would look damaged. Cuts them off, takes the segment's space again, and makes sure that what was
 * read is on the disk. */
static struct err clean_tail(struct wal *wal, const struct wal_log *log, struct why *why)
{
    struct segment *tail = &wal->segments.items[wal->segments.count - 1];
    if (log->torn_bytes) {
        TRY(copy_broken(wal->disk, tail, why));
    }
    TRY(disk_truncate(tail->file, log->tail_offset, why));
    TRY(disk_allocate(tail->file,
        log->tail_offset > wal->segment_bytes ? log->tail_offset : wal->segment_bytes, why));
    if (wal->is_unsafe_no_sync || MUTATE(OPEN_UNSYNCED)) {
        return OK;
    }
    /* A killed process may have left the segment's name unsynced as well. */
    TRY(disk_sync(tail->file, why));
    return disk_sync_folder(wal->disk, wal->dir, why);
}

struct err wal_open(const struct wal_options *options, uint64_t index, uint64_t term,
    struct wal **out, struct wal_log *out_log, struct why *why)
{
    struct reader reader;
    struct wal *wal = wal_new(options);
    struct err e = segments_ready(wal->disk, wal->dir, index, true, &wal->segments, why);
    if (!err_is(e)) {
        e = reader_run(&reader, &wal->segments, index, term, why);
    }
    if (err_is(e)) {
        goto out;
    }
    e = clean_tail(wal, &reader.log, why);
    if (err_is(e)) {
        wal_log_fini(&reader.log);
        goto out;
    }
    wal->identity = reader.log.identity;
    wal->hard = reader.log.hard;
    wal->last_index = reader.last_index;
    wal->crc = reader.scan.crc;
    wal->offset = reader.log.tail_offset;
    *out_log = reader.log;
    *out = wal;
    wal = NULL;
out:
    wal_close(wal);
    return e;
}

static void snapshots_add(struct wal_snapshots *snapshots, const struct wal_snapshot *snapshot)
{
    size_t bytes = (snapshots->count + 1) * sizeof(*snapshots->items);
    snapshots->items = mem_grow(snapshots->items, bytes);
    snapshots->items[snapshots->count++] = *snapshot;
}

void wal_snapshots_fini(struct wal_snapshots *snapshots)
{
    free(snapshots->items);
    *snapshots = (struct wal_snapshots){0};
}

static void drop_above(struct wal_snapshots *snapshots, uint64_t index)
{
    size_t kept = 0;
    for (size_t i = 0; i < snapshots->count; i++) {
        if (snapshots->items[i].index <= index) {
            snapshots->items[kept++] = snapshots->items[i];
        }
    }
    snapshots->count = kept;
}

/* One that was received counts by the hard state behind its record. Where a crash took that, the
 * log goes on from before the snapshot, with entries that it covers: their commit passes it, but
 * what was received with it is gone by then. */
static struct err collect_record(const struct record *record, struct wal_snapshots *out,
    struct raft_hard_state *hard, const char **out_what)
{
    struct wal_snapshot snapshot;
    uint64_t index;
    if (record->type == RECORD_SNAPSHOT) {
        *out_what = "not a snapshot record";
        TRY(record_snapshot(record->data, &snapshot));
        snapshots_add(out, &snapshot);
    } else if (record->type == RECORD_ENTRY) {
        *out_what = "not an entry";
        TRY(record_entry_index(record->data, &index));
        drop_above(out, index - 1);
    } else if (record->type == RECORD_STATE) {
        *out_what = "not a hard state";
        TRY(record_state(record->data, hard));
    }
    return OK;
}

static struct err collect(struct scan *scan, struct wal_snapshots *out, struct why *why)
{
    struct record record;
    struct raft_hard_state hard = {0};
    const char *what = "";
    struct err e = OK;
    while (!err_is(e) && !scan->is_end) {
        e = wal_scan_next(scan, &record, why);
        if (IS(e, TORN) || (!err_is(e) && scan->is_end)) {
            e = OK;
            break;
        }
        TRY(e);
        e = collect_record(&record, out, &hard, &what);
        if (err_is(e)) {
            return wal_scan_why(scan, e, why, what);
        }
    }
    drop_above(out, hard.commit);
    return e;
}

struct err wal_snapshots_read(
    struct disk *disk, const char *dir, struct wal_snapshots *out, struct why *why)
{
    struct scan scan = {0};
    struct segments segments;
    struct wal_snapshots snapshots = {0};
    TRY(segments_list(disk, dir, &segments, why));
    struct err e = segments_open(&segments, disk, false, why);
    if (!err_is(e)) {
        e = wal_scan_init(&scan, &segments, why);
    }
    if (!err_is(e)) {
        e = collect(&scan, &snapshots, why);
    }
    if (!err_is(e)) {
        *out = snapshots;
    } else {
        wal_snapshots_fini(&snapshots);
    }
    wal_scan_fini(&scan);
    segments_fini(&segments);
    return e;
}
