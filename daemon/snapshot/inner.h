/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SNAPSHOT_INNER_H
#define SNAPSHOT_INNER_H

#include "base/mem.h"
#include "snapshot/snapshot.h"

enum { REV_MAX = 18 };

/* How the note that names a folder of files begins. */
#define SNAPSHOT_FILES_NOTE "ketcd files\n"

/* What takes a received database's place at path. Two receivers of one index, one of them about to
 * fail, take turns. */
MUST struct err note_write(
    struct disk *disk, const char *path, struct slice bytes, struct why *why);

/* A revision as the key bucket's keys and the compaction marks have it. Returns 17, or 18 for a
 * tombstone. */
size_t rev_put(int64_t main, int64_t sub, bool is_tombstone, uint8_t out[REV_MAX]);
/* mvccpb.KeyValue as etcd stores it: HashKV is over these bytes. */
void kv_encode(const struct snapshot_key *key, struct buf *out);

#endif
