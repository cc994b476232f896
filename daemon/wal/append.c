/* SPDX-License-Identifier: Apache-2.0
 * Writing: one buffer, one write, one sync; segments cut and prepared; old ones let go. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/mutation.h"
#include "wal/inner.h"

/* What is longer goes in several writes. A buffer that one huge entry has grown past BUFFER_KEEP is
 * given back. */
enum { WRITE_MAX = 15 * 1024 * 1024, BUFFER_KEEP = 16 * 1024 * 1024, PAGE = 4096 };
#define BATCH_MAX ((size_t)1 << 30)

struct wal *wal_new(const struct wal_options *options)
{
    struct wal *wal = mem_new(sizeof(*wal));
    wal->disk = options->disk;
    wal->dir = mem_strdup(options->dir);
    wal->segment_bytes = options->segment_bytes ? options->segment_bytes : WAL_SEGMENT_BYTES;
    wal->is_unsafe_no_sync = options->is_unsafe_no_sync;
    buf_init(&wal->out, BATCH_MAX);
    return wal;
}

static struct segment *tail_of(struct wal *wal)
{
    return &wal->segments.items[wal->segments.count - 1];
}

static struct err poison(struct wal *wal, struct err e, struct why *why)
{
    if (err_is(e) && !err_is(wal->failed)) {
        wal->failed = e;
        wal->failed_why = why ? *why : (struct why){"a write to the log failed"};
    }
    return e;
}

static struct err check_poison(const struct wal *wal, struct why *why)
{
    return err_is(wal->failed) ? why_set(why, wal->failed, "%s", wal->failed_why.text) : OK;
}

/* In space that holds zeros a page that is not in memory would be read before a part of it is
 * written; whole ones are not. */
static void fill_page(struct wal *wal)
{
    static const uint8_t zeros[PAGE];
    size_t rest = (PAGE - (wal->offset + wal->out.len) % PAGE) % PAGE;
    if (wal->is_written && wal->offset + wal->out.len + rest <= wal->segment_bytes) {
        buf_add(&wal->out, zeros, rest);
    }
}

static struct err flush(struct wal *wal, struct why *why)
{
    size_t len = wal->out.len;
    fill_page(wal);
    if (wal->out.is_full) {
        return why_set(why, ERR(TOO_BIG), "more than %zu bytes in one write", BATCH_MAX);
    }
    TRY(disk_write(tail_of(wal)->file, wal->offset, buf_slice(&wal->out), why));
    wal->offset += len;
    wal->grown += len;
    wal->is_dirty = true;
    if (wal->out.cap > BUFFER_KEEP) {
        buf_fini(&wal->out);
    }
    buf_reset(&wal->out);
    return OK;
}

static struct err sync_tail(struct wal *wal, struct why *why)
{
    if (!wal->is_unsafe_no_sync) {
        TRY(disk_sync_data(tail_of(wal)->file, why));
    }
    wal->is_dirty = false;
    return OK;
}

/* The next segment when no spare one is there. Two names in turn, as etcd's: the one before may
 * still be on its way to its real name. */
static struct err prepare(struct wal *wal, struct why *why)
{
    if (wal->next) {
        return OK;
    }
    char *path = mem_printf("%s/%u.tmp", wal->dir, wal->next_count % 2);
    struct err e = segment_make(wal->disk, path, wal->segment_bytes, &wal->next, why);
    if (err_is(e)) {
        free(path);
        return e;
    }
    wal->next_path = path;
    wal->is_next_written = false;
    wal->next_count++;
    return OK;
}

static struct err begin_write(struct wal *wal, struct why *why)
{
    struct segment segment = {
        .seq = wal->segments.count ? tail_of(wal)->seq + 1 : 0,
        .index = wal->segments.count ? wal->last_index + 1 : 0,
        .file = wal->next,
    };
    segment.path = segment_path(wal->dir, segment.seq, segment.index);
    segments_push(&wal->segments, segment);
    wal->next = NULL;
    wal->is_written = wal->is_next_written;
    wal->is_spare_refused = false;
    wal->offset = 0;
    wal->grown = 0;
    TRY(flush(wal, why));
    TRY(sync_tail(wal, why));
    TRY(disk_rename(wal->disk, wal->next_path, segment.path, why));
    return wal->is_unsafe_no_sync ? OK : disk_sync_folder(wal->disk, wal->dir, why);
}

struct err wal_begin_segment(struct wal *wal, struct why *why)
{
    bool is_first = wal->segments.count == 0;
    struct wal_snapshot none = {0};
    TRY(prepare(wal, why));
    buf_reset(&wal->out);
    record_add_crc(&wal->out, wal->crc);
    record_add_identity(&wal->out, &wal->crc, &wal->identity);
    if (is_first) {
        record_add_snapshot(&wal->out, &wal->crc, &none);
    } else if (!raft_hard_state_is_empty(&wal->hard)) {
        record_add_state(&wal->out, &wal->crc, &wal->hard);
    }
    struct err e = begin_write(wal, why);
    free(wal->next_path);
    wal->next_path = NULL;
    return e;
}

static struct err cut(struct wal *wal, struct why *why)
{
    TRY(disk_truncate(tail_of(wal)->file, wal->offset, why));
    TRY(sync_tail(wal, why));
    return wal_begin_segment(wal, why);
}

struct err wal_create(const struct wal_options *options, const struct wal_identity *identity,
    struct wal **out, struct why *why)
{
    if (wal_exists(options->disk, options->dir)) {
        return why_set(why, ERR(EXISTS), "%s already holds a write-ahead log", options->dir);
    }
    TRY(disk_mkdir_all(options->disk, options->dir, 0700, why));
    struct wal *wal = wal_new(options);
    wal->identity = *identity;
    struct err e = wal_begin_segment(wal, why);
    if (err_is(e)) {
        wal->failed = e;
        wal_close(wal);
        return e;
    }
    *out = wal;
    return OK;
}

/* A segment whose space was only allocated is left as soon as a better one is there. */
static bool is_cut_due(const struct wal *wal)
{
    return wal->offset >= wal->segment_bytes || (wal->next && !wal->is_written);
}

static bool is_state(const struct raft_hard_state *hard)
{
    return hard && !raft_hard_state_is_empty(hard);
}

static void encode_state(struct wal *wal, const struct raft_hard_state *hard)
{
    struct raft_hard_state written = *hard;
    written.vote = MUTATE(VOTE_FORGOTTEN) ? 0 : written.vote;
    record_add_state(&wal->out, &wal->crc, &written);
    wal->hard = *hard;
    wal->has_late = false;
}

/* How far is committed the group tells again after a crash, so that goes with the next write. */
static bool is_commit_only(const struct wal *wal, const struct wal_batch *batch)
{
    const struct raft_hard_state *hard = batch->hard;
    return hard && !batch->must_sync && batch->entries_count == 0 && hard->commit &&
           hard->term == wal->hard.term && hard->vote == wal->hard.vote;
}

static struct err write_out(struct wal *wal, struct wal_cost *cost, struct why *why)
{
    int64_t start = clock_mono_ns();
    cost->bytes += wal->out.len;
    TRY(flush(wal, why));
    cost->write_ns += clock_mono_ns() - start;
    return OK;
}

/* The last of it, with the hard state, stays in the buffer: what stands for all that was promised
 * is never on the disk without the rest. */
static struct err encode(
    struct wal *wal, const struct wal_batch *batch, struct wal_cost *cost, struct why *why)
{
    for (size_t i = 0; i < batch->entries_count; i++) {
        if (wal->out.len >= WRITE_MAX) {
            TRY(write_out(wal, cost, why));
        }
        record_add_entry(&wal->out, &wal->crc, &batch->entries[i]);
        wal->last_index = batch->entries[i].index;
    }
    if (is_state(batch->hard)) {
        encode_state(wal, batch->hard);
    } else if (wal->has_late) {
        encode_state(wal, &wal->late);
    }
    return OK;
}

static struct err append(struct wal *wal, bool must_sync, struct wal_cost *cost, struct why *why)
{
    TRY(write_out(wal, cost, why));
    int64_t written = clock_mono_ns();
    if (is_cut_due(wal)) {
        TRY(cut(wal, why));
    } else if (must_sync && !MUTATE(SKIP_SYNC)) {
        TRY(sync_tail(wal, why));
    } else {
        return OK;
    }
    cost->sync_ns = clock_mono_ns() - written;
    return OK;
}

struct err wal_append(
    struct wal *wal, const struct wal_batch *batch, struct wal_cost *out_cost, struct why *why)
{
    struct wal_cost cost = {0};
    TRY(check_poison(wal, why));
    buf_reset(&wal->out);
    if (is_commit_only(wal, batch)) {
        wal->late = *batch->hard;
        wal->has_late = true;
    } else {
        TRY(poison(wal, encode(wal, batch, &cost, why), why));
    }
    if (wal->out.len || wal->out.is_full || (batch->must_sync && wal->is_dirty)) {
        TRY(poison(wal, append(wal, batch->must_sync, &cost, why), why));
    }
    if (out_cost) {
        *out_cost = cost;
    }
    return OK;
}

struct err wal_save_snapshot(struct wal *wal, const struct wal_snapshot *snapshot, struct why *why)
{
    check(snapshot->index == 0 || snapshot->has_conf);
    TRY(check_poison(wal, why));
    buf_reset(&wal->out);
    if (wal->has_late) {
        encode_state(wal, &wal->late); /* etcd believes in a snapshot only up to the commit */
    }
    record_add_snapshot(&wal->out, &wal->crc, snapshot);
    if (wal->last_index < snapshot->index) {
        wal->last_index = snapshot->index;
    }
    wal->snapshot_index = snapshot->index;
    TRY(poison(wal, flush(wal, why), why));
    return poison(wal, sync_tail(wal, why), why);
}

/* A snapshot ahead of the last hard state does not count when the log is read again: until the
 * commit that covers it is written too, the log starts from the snapshot before. */
void wal_release_to(struct wal *wal, uint64_t index)
{
    size_t keep = 0;
    if (wal->hard.commit < wal->snapshot_index) {
        return;
    }
    while (keep < wal->segments.count && wal->segments.items[keep].index < index) {
        keep++;
    }
    if (keep > 1) {
        segments_drop(&wal->segments, keep - 1);
    }
}

uint64_t wal_held_from(const struct wal *wal)
{
    return wal->segments.items[0].seq;
}

struct err wal_purge(
    struct wal *wal, uint64_t held_from, size_t files_max, size_t *out_removed, struct why *why)
{
    struct segments all;
    size_t removed = 0;
    struct err e = OK;
    TRY(segments_list(wal->disk, wal->dir, &all, why));
    while (!err_is(e) && files_max && all.count - removed > files_max &&
           all.items[removed].seq < held_from) {
        e = disk_remove(wal->disk, all.items[removed].path, why);
        removed += !err_is(e);
    }
    if (removed && !err_is(e)) {
        e = disk_sync_folder(wal->disk, wal->dir, why);
    }
    segments_fini(&all);
    if (!err_is(e)) {
        *out_removed = removed;
    }
    return e;
}

static struct err close_tail(struct wal *wal)
{
    buf_reset(&wal->out);
    if (wal->has_late) {
        encode_state(wal, &wal->late);
        TRY(flush(wal, NULL));
    }
    return sync_tail(wal, NULL);
}

void wal_close(struct wal *wal)
{
    if (!wal) {
        return;
    }
    check(!wal->is_spare_out);
    if ((wal->is_dirty || wal->has_late) && !err_is(wal->failed)) {
        /* Nothing that was acknowledged depends on it. */
        struct err e = close_tail(wal);
        (void)e;
    }
    if (wal->next) {
        disk_close(wal->next);
        struct err e = disk_remove(wal->disk, wal->next_path, NULL);
        (void)e;
    }
    free(wal->next_path);
    segments_fini(&wal->segments);
    buf_fini(&wal->out);
    free(wal->dir);
    free(wal);
}
