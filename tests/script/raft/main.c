/* SPDX-License-Identifier: Apache-2.0
 *
 * raft_scenarios PATH...: replays scenario files, all *.txt below a folder. Exits 1 when one comes
 * out differently, 77 when there is nothing to replay.
 */
#include "base/mem.h"
#include "group.h"
#include "sums.h"

#include <fts.h>
#include <stdlib.h>

struct world {
    struct group group;
    struct conf_world conf;
};

static void handle(void *ctx, const struct script_case *c, struct buf *out)
{
    struct world *world = ctx;
    if (!group_handle(&world->group, c, out) && !conf_handle(&world->conf, c, out) &&
        !quorum_handle(c, out)) {
        script_die(c, "unknown command");
    }
}

static bool run_file(const char *path)
{
    struct world *world = mem_new(sizeof(*world));
    group_init(&world->group);
    conf_world_init(&world->conf);
    bool is_good = script_run(path, handle, world);
    group_fini(&world->group);
    tracker_fini(&world->conf.tracker);
    free(world);
    printf("%s %s\n", is_good ? "ok  " : "FAIL", path);
    return is_good;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_scenario(const FTSENT *entry)
{
    size_t len = strlen(entry->fts_name);
    return entry->fts_info == FTS_F && len > 4 && strcmp(entry->fts_name + len - 4, ".txt") == 0 &&
           strcmp(entry->fts_name, "CMakeLists.txt") != 0;
}

int main(int argc, char **argv)
{
    int files = 0;
    int failures = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: raft_scenarios PATH...\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    FTS *walk = fts_open(argv + 1, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    for (FTSENT *entry; walk && (entry = fts_read(walk));) {
        if (is_scenario(entry)) {
            files++;
            failures += !run_file(entry->fts_path);
        }
    }
    fts_close(walk);
    if (files == 0) {
        printf("skipped: no scenario files below %s\n", argv[1]);
        return 77;
    }
    printf("%d of %d files as expected\n", files - failures, files);
    return failures ? 1 : 0;
}
