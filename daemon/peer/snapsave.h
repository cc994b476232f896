/* SPDX-License-Identifier: Apache-2.0
 *
 * What a snapshot that comes in becomes on disk: a database beside the others, or what snapshot
 * makes of rows and of files.
 */
#ifndef PEER_SNAPSAVE_H
#define PEER_SNAPSAVE_H

#include "peer/peer.h"
#include "peer/snapbox.h"
#include "peer/snapspace.h"

struct snapsave {
    const struct peer *peer;
    enum snapshot_form form;
    struct snapbox *box;                  /* borrowed, as is the next */
    const struct raft_snapshot *snapshot; /* whose database it is */
    struct disk_file *file;               /* a database's */
    struct snapshot_refill *refill;       /* of rows */
    struct snapshot_unpack *unpack;       /* of files */
    char *temp_path;
    char *path; /* where it will lie; NULL before it begins */
    uint64_t bytes;
    struct snapspace space;
};

void snapsave_init(
    struct snapsave *save, const struct peer *peer, enum snapshot_form form, struct snapbox *box);
void snapsave_fini(struct snapsave *save);
/* announced 0: nobody knows how much will come. Errors: NO_DISK. */
MUST struct err snapsave_begin(struct snapsave *save, const struct raft_snapshot *snapshot,
    uint64_t announced, struct why *why);
/* A thread of its own: all that comes through the box. With OK it is whole, synced and named;
 * without, nothing of it is left. Errors: TORN, NO_DISK, IO, those of the form. */
MUST struct err snapsave_run(struct snapsave *save, struct why *why);

#endif
