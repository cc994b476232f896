/* SPDX-License-Identifier: Apache-2.0
 *
 * A disk in memory for tests: it forgets what was not synced when told to crash, tears writes at
 * sectors, and fails the N-th operation that changes something. Contents and names are kept twice,
 * as seen and as safe. One thread.
 */
#ifndef DISK_FAULTY_H
#define DISK_FAULTY_H

#include "disk/disk.h"

enum disk_crash {
    DISK_CRASH_LOSE, /* everything that was not synced is gone */
    DISK_CRASH_TEAR, /* each unsynced sector and folder is lost or kept by a toss */
    DISK_CRASH_KEEP, /* the process died, the machine did not */
};

/* The root folder "/" is there; paths are absolute. The seed decides the tosses. */
struct disk *disk_faulty_new(uint64_t seed);
void disk_faulty_free(struct disk *base);

/* Operations so far that change something: open with CREATE or TRUNCATE, write, sync, truncate,
 * allocate, rename, remove, mkdir, sync_folder. */
uint64_t disk_faulty_ops(const struct disk *base);
/* The op-th of them from now (1: the next) fails with error, having done a part of a write; and all
 * after it when is_lasting. 0: none. */
void disk_faulty_fail(struct disk *base, uint64_t op, struct err error, bool is_lasting);
/* Every open file only fails and closes from now on; contents and names go back to what is safe. */
void disk_faulty_crash(struct disk *base, enum disk_crash how);
/* Changes bytes of a file behind everybody's back, seen and safe. */
void disk_faulty_poke(struct disk *base, const char *path, uint64_t offset, struct slice bytes);

#endif
