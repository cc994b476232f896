/* SPDX-License-Identifier: Apache-2.0
 *
 * The store's rows on their way to another member that keeps them as this one does:
 *   repeated { u64 length, u64 CRC-32C of the block, block }, big-endian; zeros: the end
 *   block: repeated { varint, key, varint, value }
 * Keys ascend. What concerns one member alone is left out.
 */
#ifndef SNAPSHOT_DUMP_H
#define SNAPSHOT_DUMP_H

#include "backend/backend.h"

enum {
    DUMP_HEAD = 16,
    DUMP_BLOCK = 256 * 1024, /* a block ends with the row that passes this */
    DUMP_BLOCK_MAX = 1024 * 1024 * 1024,
};

struct dump;

/* Takes over the view. */
struct dump *dump_new(struct backend *backend, struct backend_snapshot *view);
void dump_free(struct dump *dump);
/* *out_got 0: that was all. */
MUST struct err dump_read(
    struct dump *dump, void *out, size_t size, size_t *out_got, struct why *why);
/* Rows that are not another member's business. */
bool dump_is_own(struct slice key);

#endif
