/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/arrival.h"

#include "backend/backend.h"
#include "base/mem.h"

#include <sys/prctl.h>

void arrival_init(struct arrival *arrival, sem_t *ended)
{
    *arrival = (struct arrival){.ended = ended};
}

/* Room for the bytes, begun and ended as the disk wants it. */
static void hold(struct arrival *arrival)
{
    size_t size = (size_t)(arrival->bytes + DISK_BLOCK - 1) / DISK_BLOCK * DISK_BLOCK;
    if (size > arrival->held_size) {
        void *held = NULL;
        free(arrival->held);
        check(posix_memalign(&held, DISK_BLOCK, size) == 0);
        arrival->held = held;
        arrival->held_size = size;
    }
}

struct err arrival_begin(
    struct arrival *arrival, struct disk *disk, char *path, uint64_t bytes, struct why *why)
{
    unsigned flags = DISK_WRITE | DISK_CREATE;
    bool is_held = bytes > 0 && bytes <= ARRIVAL_HELD_MAX;
    check(!arrival->file);
    struct disk_file *file;
    struct err err = disk_open(disk, path, is_held ? flags | DISK_DIRECT : flags, 0600, &file, why);
    if (err_is(err)) {
        free(path);
        return err;
    }
    arrival->file = file;
    arrival->path = path;
    arrival->bytes = bytes;
    arrival->came = 0;
    arrival->is_held = is_held;
    if (is_held) {
        hold(arrival);
    }
    return OK;
}

struct err arrival_take(struct arrival *arrival, struct slice bytes, struct why *why)
{
    check(bytes.len <= arrival->bytes - arrival->came);
    if (arrival->is_held) {
        memcpy(arrival->held + arrival->came, bytes.data, bytes.len);
    } else {
        TRY(disk_write(arrival->file, arrival->came, bytes, why));
    }
    arrival->came += bytes.len;
    return OK;
}

static struct err keep(struct arrival *arrival, struct why *why)
{
    struct slice bytes = {0};
    if (arrival->is_held) {
        bytes = slice_of(arrival->held, (size_t)arrival->bytes);
        TRY(disk_write(arrival->file, 0, bytes, why));
    }
    disk_begin_sync(arrival->file); /* the disk works while this looks */
    TRY(backend_check_file(arrival->path, bytes, why));
    return disk_sync(arrival->file, why);
}

static void *run(void *arg)
{
    struct arrival *arrival = arg;
    prctl(PR_SET_NAME, "unpack");
    arrival->err = keep(arrival, &arrival->why);
    atomic_store(&arrival->has_ended, true);
    sem_post(arrival->ended);
    return NULL;
}

struct err arrival_end(struct arrival *arrival, struct why *why)
{
    check(arrival->came == arrival->bytes);
    atomic_store(&arrival->has_ended, false);
    arrival->has_thread = pthread_create(&arrival->thread, NULL, run, arrival) == 0;
    return arrival->has_thread ? OK : why_set(why, ERR(IO), "no thread to end a file");
}

struct err arrival_await(struct arrival *arrival, struct why *why)
{
    struct err err = OK;
    if (arrival->has_thread) {
        check(pthread_join(arrival->thread, NULL) == 0);
        arrival->has_thread = false;
        err = err_is(arrival->err) ? why_set(why, arrival->err, "%s", arrival->why.text) : OK;
    }
    disk_close(arrival->file);
    free(arrival->path);
    arrival->file = NULL;
    arrival->path = NULL;
    return err;
}

void arrival_fini(struct arrival *arrival)
{
    struct err err = arrival_await(arrival, NULL);
    (void)err; /* who has not waited does not want it */
    free(arrival->held);
}
