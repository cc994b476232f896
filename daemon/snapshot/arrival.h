/* SPDX-License-Identifier: Apache-2.0
 * One file of a store on its way in. It is written, looked through and synced by a thread of its
 * own; a small one is held in memory until then and never read again, and the page cache stays as
 * it is. */
#ifndef SNAPSHOT_ARRIVAL_H
#define SNAPSHOT_ARRIVAL_H

#include "base/slice.h"
#include "disk/disk.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

enum { ARRIVAL_HELD_MAX = 12 << 20 /* a file of rows is some 8 MiB (backend) */ };

/* A place that takes one file after the other. */
struct arrival {
    sem_t *ended;
    struct disk_file *file; /* NULL: none is under way */
    char *path;
    uint64_t bytes;
    uint64_t came;
    uint8_t *held; /* kept for the next file */
    size_t held_size;
    bool is_held;
    bool has_thread;
    atomic_bool has_ended; /* its thread has */
    pthread_t thread;
    struct err err;
    struct why why;
};

/* ended: posted whenever a file has been kept, or could not be. */
void arrival_init(struct arrival *arrival, sem_t *ended);
/* Takes path, also on failure. None may be under way. */
MUST struct err arrival_begin(
    struct arrival *arrival, struct disk *disk, char *path, uint64_t bytes, struct why *why);
/* No more than are left. */
MUST struct err arrival_take(struct arrival *arrival, struct slice bytes, struct why *why);
/* All came. */
MUST struct err arrival_end(struct arrival *arrival, struct why *why);
/* The end of what arrival_end began, or of what was broken off before; OK where there is none. */
MUST struct err arrival_await(struct arrival *arrival, struct why *why);
void arrival_fini(struct arrival *arrival);

#endif
