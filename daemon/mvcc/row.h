/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of the backend. Key: one byte ('l' or 'd'), be64(main), be64(sub). The value of a 'd' row is
 * the bytes stored; the value of an 'l' row, with v() a varint: put       1  link  v(main - create)
 * v(version) v(lease)  key tombstone 2  link  key link      v(0): the key was not known; else
 * v(main - its main + 1) v(its sub): the version or tombstone replaced 'm' rows of ours:
 * mscheduledCompactRev and mfinishedCompactRev, be64. RocksDB's block checksums cover them all.
 *
 * 'd' rows have files of their own, in which they only ever follow each other. 'd' sorts before 'l'
 * and 'm' since the time when all shared their files: stores and dumps of that time are read.
 */
#ifndef MVCC_ROW_H
#define MVCC_ROW_H

#include "mvcc/mvcc.h"

enum { ROW_KEY_BYTES = 17, ROW_HEAD_MAX = 64 };

#define ROW_SCHEDULED SLICE("mscheduledCompactRev")
#define ROW_FINISHED SLICE("mfinishedCompactRev")

struct row {
    revision main;
    int64_t sub;
    bool is_tombstone;
    revision link_main; /* 0: none */
    int64_t link_sub;
    revision create; /* of a put, as the next two */
    int64_t version;
    lease_id lease;
    struct slice key;
};

struct row_key {
    uint8_t bytes[ROW_KEY_BYTES];
};

struct row_key row_key(char prefix, revision main, int64_t sub);
static inline struct slice row_key_slice(const struct row_key *key)
{
    return slice_of(key->bytes, ROW_KEY_BYTES);
}
/* Errors: BAD_FORMAT. */
MUST struct err row_key_read(struct slice bytes, char prefix, revision *out_main, int64_t *out_sub);

/* Writes what stands before the key; returns its length. */
size_t row_head(const struct row *row, uint8_t out[ROW_HEAD_MAX]);
/* main and sub are the row key's; out->key is lent by bytes. Errors: BAD_FORMAT. */
MUST struct err row_read(revision main, int64_t sub, struct slice bytes, struct row *out);
/* Both in one. */
MUST struct err row_take(struct slice key, struct slice value, struct row *out, struct why *why);
void row_put(struct backend_batch *batch, const struct row *row);

/* *out -1 when absent. */
MUST struct err row_rev_get(
    struct backend *backend, struct slice name, revision *out, struct why *why);
void row_rev_put(struct backend_batch *batch, struct slice name, revision rev);

#endif
