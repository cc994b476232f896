/* SPDX-License-Identifier: Apache-2.0
 * The next segment, written with zeros beforehand. */
#include "base/mem.h"
#include "wal/inner.h"

enum { STEP = 1024 * 1024, SYNC_EVERY = 4 * STEP, SPACE_FOR = 4 };

struct wal_spare {
    struct disk *disk;
    char *path;
    uint64_t bytes;
    uint64_t at;
    struct disk_file *file;
    bool is_whole;
};

static bool is_worth_it(struct wal *wal)
{
    uint64_t after = wal->segment_bytes / 64;
    uint64_t space = 0;
    after = after < WAL_SPARE_AFTER ? after : WAL_SPARE_AFTER;
    if (wal->next || wal->is_spare_out || wal->is_spare_refused || wal->is_unsafe_no_sync ||
        err_is(wal->failed) || wal->grown < after) {
        return false;
    }
    wal->is_spare_refused = err_is(disk_free_bytes(wal->disk, wal->dir, &space, NULL)) ||
                            space / SPACE_FOR < wal->segment_bytes;
    return !wal->is_spare_refused;
}

struct wal_spare *wal_spare_begin(struct wal *wal)
{
    if (!is_worth_it(wal)) {
        return NULL;
    }
    struct wal_spare *spare = mem_new(sizeof(*spare));
    spare->disk = wal->disk;
    spare->path = mem_printf("%s/spare.tmp", wal->dir);
    spare->bytes = wal->segment_bytes;
    wal->is_spare_out = true;
    return spare;
}

static struct err fill(struct wal_spare *spare, struct why *why)
{
    static const uint8_t zeros[STEP / 64];
    uint64_t end = spare->at + STEP < spare->bytes ? spare->at + STEP : spare->bytes;
    while (spare->at < end) {
        uint64_t left = end - spare->at;
        size_t len = left < sizeof(zeros) ? (size_t)left : sizeof(zeros);
        TRY(disk_write(spare->file, spare->at, slice_of(zeros, len), why));
        spare->at += len;
    }
    /* Little at a time, so that nobody's sync finds all of it on its way to the disk. */
    return spare->at % SYNC_EVERY && spare->at < spare->bytes ? OK : disk_sync(spare->file, why);
}

struct err wal_spare_step(struct wal_spare *spare, bool *out_is_more, struct why *why)
{
    if (spare->file) {
        TRY(fill(spare, why));
    } else {
        TRY(segment_make(spare->disk, spare->path, spare->bytes, &spare->file, why));
    }
    spare->is_whole = spare->at == spare->bytes;
    *out_is_more = !spare->is_whole;
    return OK;
}

void wal_spare_end(struct wal *wal, struct wal_spare *spare)
{
    wal->is_spare_out = false;
    if (spare->is_whole && !err_is(wal->failed)) {
        wal->next = spare->file;
        wal->next_path = spare->path;
        wal->is_next_written = true;
        free(spare);
        return;
    }
    wal->is_spare_refused = true;
    if (disk_exists(spare->disk, spare->path)) {
        struct err e = disk_remove(spare->disk, spare->path, NULL);
        (void)e; /* the next one begins by emptying it */
    }
    disk_close(spare->file);
    free(spare->path);
    free(spare);
}
