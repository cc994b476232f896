/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as the one segment of a log: read, opened (which may repair it), opened again. */
#include "base/err.h"
#include "disk/faulty.h"
#include "wal/wal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void open_once(struct disk *disk, bool must_open)
{
    struct wal_options options = {.disk = disk, .dir = "/w", .segment_bytes = 4096};
    struct wal_log log;
    struct wal *wal;
    struct why why;
    struct err e = wal_open(&options, 0, 0, &wal, &log, &why);
    check(!must_open || !err_is(e));
    if (!err_is(e)) {
        wal_log_fini(&log);
        wal_close(wal);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct disk *disk = disk_faulty_new(1);
    struct wal_snapshots snapshots;
    struct wal_log log;
    struct err e = disk_mkdir(disk, "/w", 0700, NULL);
    check(!err_is(e));
    e = disk_write_file(
        disk, "/w/0000000000000000-0000000000000000.wal", slice_of(data, size), 0600, NULL);
    check(!err_is(e));
    if (!err_is(wal_snapshots_read(disk, "/w", &snapshots, NULL))) {
        wal_snapshots_fini(&snapshots);
    }
    bool is_good = !err_is(wal_read(disk, "/w", 0, 0, &log, NULL));
    if (is_good) {
        wal_log_fini(&log);
    }
    open_once(disk, is_good);
    open_once(disk, is_good);
    disk_faulty_free(disk);
    return 0;
}
