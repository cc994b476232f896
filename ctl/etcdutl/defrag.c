/* SPDX-License-Identifier: Apache-2.0
 * defrag: a member's store rewritten while no member runs on it. */
#include "backend/backend.h"
#include "base/clock.h"
#include "base/log.h"
#include "ctl/etcdutl/command.h"
#include "disk/disk.h"

#include <time.h>

enum { LOCK_TRY_MS = 100, LOCK_TELL_MS = 1000, NS_A_MS = 1000000 };

struct defrag {
    struct disk *disk;
    const char *dir;
    const char *store;
    struct disk_file *lock;
    struct backend *backend;
};

/* A member of this kind has member/store; one of etcd's own has member/snap/db. */
static int look(struct cmd_run *run, struct defrag *defrag)
{
    const char *foreign = arena_printf(run->arena, "%s/member/snap/db", defrag->dir);
    if (disk_exists(defrag->disk, defrag->store)) {
        return CMD_EXIT_OK;
    }
    if (disk_exists(defrag->disk, foreign)) {
        return cmd_fail(CMD_EXIT_BAD_FEATURE,
            "Failed to defragment etcd data[%s] (it is etcd's own: %s is not touched; use etcd's "
            "etcdutl)",
            defrag->dir, foreign);
    }
    return cmd_fail(CMD_EXIT_ERROR,
        "Failed to defragment etcd data[%s] (open %s: no such file or directory)", defrag->dir,
        defrag->store);
}

/* For as long as a member holds it. */
static struct err wait_lock(struct cmd_run *run, struct defrag *defrag, struct why *why)
{
    static const struct timespec pause = {0, LOCK_TRY_MS * NS_A_MS};
    const char *path = arena_printf(run->arena, "%s/member/lock", defrag->dir);
    TRY(disk_open(defrag->disk, path, DISK_WRITE | DISK_CREATE, 0600, &defrag->lock, why));
    int64_t start = clock_mono_ns();
    bool is_told = false;
    struct err e = disk_lock(defrag->lock, why);
    while (IS(e, LOCKED)) {
        if (!is_told && clock_mono_ns() - start > (int64_t)LOCK_TELL_MS * NS_A_MS) {
            fprintf(stderr,
                "waiting for etcd to close and release its lock on \"%s\". To defrag a running "
                "etcd instance, use `etcdctl defrag` instead.\n",
                defrag->store);
            is_told = true;
        }
        (void)nanosleep(&pause, NULL);
        e = disk_lock(defrag->lock, why);
    }
    return e;
}

static struct err rewrite(struct defrag *defrag, struct why *why)
{
    struct backend_options options = {.path = defrag->store};
    TRY(backend_open(&options, &defrag->backend, why));
    uint64_t before = backend_disk_bytes(defrag->backend);
    char text[GOTEXT_SIZE];
    int64_t start = clock_mono_ns();
    LOG_INFO("defragmenting", LOG_STR("path", defrag->store),
        LOG_UINT("current-db-size-bytes", before),
        LOG_STR("current-db-size", gotext_bytes(before, text)));
    TRY(backend_compact_files(defrag->backend, why));
    uint64_t after = backend_disk_bytes(defrag->backend);
    LOG_INFO("finished defragmenting directory", LOG_STR("path", defrag->store),
        LOG_INT("current-db-size-bytes-diff", (int64_t)(after - before)),
        LOG_UINT("current-db-size-bytes", after),
        LOG_STR("current-db-size", gotext_bytes(after, text)),
        LOG_NS("took", clock_mono_ns() - start));
    return OK;
}

static int defrag_run(struct cmd_run *run)
{
    struct defrag defrag = {.disk = disk_real(), .dir = cmd_text(run, "data-dir")};
    struct why why = {""};
    if (!*defrag.dir) {
        return fail_required(run, "\"data-dir\"");
    }
    defrag.store = arena_printf(run->arena, "%s/member/store", defrag.dir);
    int code = look(run, &defrag);
    if (code != CMD_EXIT_OK) {
        return code;
    }
    struct err e = wait_lock(run, &defrag, &why);
    if (!err_is(e)) {
        e = rewrite(&defrag, &why);
    }
    backend_close(defrag.backend);
    disk_close(defrag.lock);
    if (err_is(e)) {
        return cmd_fail(
            CMD_EXIT_ERROR, "Failed to defragment etcd data[%s] (%s)", defrag.dir, why.text);
    }
    return CMD_EXIT_OK;
}

static const struct cmd_option options[] = {
    {"data-dir", CMD_STRING, "", "Required. Defragments a data directory not in use by etcd.", 0,
        false},
    {0},
};

const struct cmd cmd_defrag = {
    .use = "defrag",
    .brief = "Defragments the storage of the etcd",
    .options = options,
    .run = defrag_run,
};
