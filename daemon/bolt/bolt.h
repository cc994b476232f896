/* SPDX-License-Identifier: Apache-2.0
 *
 * bbolt files, the format of etcd's database and of its snapshots: a reader for files of any
 * origin, and a writer that bulk-loads a new file from sorted keys with constant memory. Every
 * number in a file is outside input: offsets, lengths, depth and the number of pages visited are
 * bounded. Any thread, one at a time a handle.
 */
#ifndef BOLT_BOLT_H
#define BOLT_BOLT_H

#include "base/err.h"
#include "base/slice.h"
#include "disk/disk.h"

enum {
    BOLT_PAGE_SIZE = 4096,
    BOLT_KEY_MAX = 32768,
    BOLT_DEPTH_MAX = 32,
    BOLT_NODE_MAX = 256 * 1024 * 1024, /* bytes of one page with its overflow */
};

/* Reading. */

struct bolt;
struct bolt_cursor;

struct bolt_info {
    uint32_t page_size;
    uint64_t pages; /* the high water mark; times page_size: what etcd calls the size */
    uint64_t txid;
};

/* Opens the newest valid state. Errors: BAD_FORMAT (not a bbolt file, both meta pages damaged),
 * TORN (shorter than its pages), and disk's. */
MUST struct err bolt_open(struct disk *disk, const char *path, struct bolt **out, struct why *why);
void bolt_close(struct bolt *bolt);
struct bolt_info bolt_info(const struct bolt *bolt);

/* A cursor before the first key of the root (whose keys are the buckets' names), or of one bucket
 * in it; *out NULL when there is no such bucket. Close before the bolt. Errors: BAD_FORMAT, IO. */
MUST struct err bolt_root(struct bolt *bolt, struct bolt_cursor **out, struct why *why);
MUST struct err bolt_bucket(
    struct bolt *bolt, struct slice name, struct bolt_cursor **out, struct why *why);
void bolt_cursor_close(struct bolt_cursor *cursor);

struct bolt_item {
    struct slice key; /* lent until the next call on the cursor */
    struct slice value;
    bool is_bucket; /* a bucket's name; value is not for the caller */
    bool is_end;    /* no more; key and value are empty */
};

/* The next in key order. Errors: BAD_FORMAT (also keys that are not ascending), TOO_BIG, IO. */
MUST struct err bolt_next(struct bolt_cursor *cursor, struct bolt_item *out, struct why *why);

/* Walks all of it: every page below the high water mark is reached once or free, every key is in
 * order, every node lies between its parent's keys. Errors: BAD_FORMAT, IO. */
MUST struct err bolt_check(struct bolt *bolt, struct why *why);

/* Writing. */

struct bolt_writer;

/* Writes into an empty file, which stays the caller's. Pages of BOLT_PAGE_SIZE, no freelist. */
struct bolt_writer *bolt_writer_new(struct disk_file *file);
void bolt_writer_free(struct bolt_writer *writer);
/* Begins the next bucket; names ascending. Errors: BAD_INPUT (order, length), disk's. */
MUST struct err bolt_writer_bucket(struct bolt_writer *writer, struct slice name, struct why *why);
/* Into the bucket at hand; keys ascending, not empty, at most BOLT_KEY_MAX. Errors: as above. */
MUST struct err bolt_writer_put(
    struct bolt_writer *writer, struct slice key, struct slice value, struct why *why);
/* Finishes the file; it is not synced. *out_bytes: its length, a multiple of the page size. */
MUST struct err bolt_writer_end(struct bolt_writer *writer, uint64_t *out_bytes, struct why *why);

#endif
