/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands and what they share. One thread. */
#ifndef ETCDUTL_COMMAND_H
#define ETCDUTL_COMMAND_H

#include "ctl/lib/ctl.h"
#include "snapshot/snapshot.h"

extern const struct cmd cmd_defrag;
extern const struct cmd cmd_backup;
extern const struct cmd cmd_check;
extern const struct cmd cmd_migrate;
extern const struct cmd cmd_hashkv;
extern const struct cmd cmd_snapshot;
extern const struct cmd cmd_snapshot_restore;
extern const struct cmd cmd_snapshot_status;
extern const struct cmd cmd_utl_completion;
extern const struct cmd cmd_utl_help;
extern const struct cmd cmd_version;

/* cobra's own usage text, which etcdutl prints where etcdctl has one of its own. */
void usage_print(const struct cmd_run *run, FILE *out);

/* As for a command that lacks these flags, '"a", "b"'. Gives the exit code. */
int fail_required(const struct cmd_run *run, const char *flags);

/* One row in the formats of -w. json is the whole line, fields the lines; NULL titles end the
 * table. */
struct report {
    const char *const *titles;
    const char *const *cells;
    size_t columns;
    const char *json;
    const char *fields;
};

/* Looks at -w first: an unknown format is an error whatever the file holds. Exit code, CMD_EXIT_OK
 * to go on. */
int report_check(const struct cmd_run *run);
int report_print(const struct cmd_run *run, const struct report *report);

/* Whether the file is there; else the error as Go words it is in why. */
MUST struct err file_check(const char *path, struct why *why);

/* Newest revision at or below a limit of each key: what a compaction there leaves. */
struct newest;
struct newest *newest_new(void);
void newest_free(struct newest *newest);
void newest_add(struct newest *newest, const struct snapshot_key *row);
/* Whether the row is the newest of its key, and how many keys there are whose newest is no
 * tombstone. */
bool newest_has(const struct newest *newest, const struct snapshot_key *row);
size_t newest_alive(const struct newest *newest);

#endif
