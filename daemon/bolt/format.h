/* SPDX-License-Identifier: Apache-2.0
 *
 * The file format, little-endian:
 *   page    u64 id, u16 flags, u16 count, u32 overflow (the page spans overflow + 1 pages), then
 * its contents meta    (pages 0 and 1) u32 magic, u32 version, u32 page size, u32 flags, bucket
 * root {u64 page, u64 sequence}, u64 freelist page (all ones: none), u64 high water mark, u64 txid,
 * u64 FNV-1a of the 56 bytes before leaf    count elements {u32 flags (1: bucket), u32 pos, u32 key
 * bytes, u32 value bytes}; pos counts from the element itself to its key, the value follows the key
 *   branch  count elements {u32 pos, u32 key bytes, u64 page}
 *   bucket  (the value of a leaf element with flag 1) {u64 root page, u64 sequence}; root 0: a leaf
 * page follows inline free    u64 page ids; count 0xffff: the first u64 is the count
 */
#ifndef BOLT_FORMAT_H
#define BOLT_FORMAT_H

#include "base/codec.h"
#include "bolt/bolt.h"

enum {
    PAGE_BRANCH = 0x01,
    PAGE_LEAF = 0x02,
    PAGE_META = 0x04,
    PAGE_FREE = 0x10,
    PAGE_HEAD = 16,
    ELEMENT = 16,
    BUCKET_HEAD = 16,
    META = 64,
    LEAF_BUCKET = 1,
};

#define BOLT_MAGIC UINT32_C(0xED0CDAED)
#define BOLT_VERSION 2
#define NO_FREELIST UINT64_MAX

struct meta {
    uint32_t page_size;
    uint64_t root;
    uint64_t freelist;
    uint64_t pages;
    uint64_t txid;
};

/* data: META bytes behind a page's head. False when it is no valid meta. */
bool meta_parse(const uint8_t *data, struct meta *out);
void meta_put(uint8_t *data, const struct meta *meta);
void page_head_put(uint8_t *data, uint64_t id, uint16_t flags, uint16_t count, uint32_t overflow);

/* A page in memory, with its overflow, or a bucket's inline page. */
struct page {
    uint8_t *data;
    size_t len;
    uint64_t id;
    uint16_t flags;
    uint32_t count;
    uint32_t overflow;
};

struct element {
    struct slice key;
    struct slice value; /* leaf */
    uint64_t child;     /* branch */
    bool is_bucket;
};

/* Reads the page's head out of its bytes. Errors: BAD_FORMAT. */
MUST struct err page_parse(struct page *page);
/* Element i of a leaf or branch page, inside the page's bytes. Errors: BAD_FORMAT. */
MUST struct err page_element(const struct page *page, uint32_t i, struct element *out);

struct bolt {
    struct disk_file *file;
    char *path;
    struct meta meta;
};

/* Page id with its overflow; page->data is new memory. Errors: BAD_FORMAT, TOO_BIG, IO. */
MUST struct err page_load(struct bolt *bolt, uint64_t id, struct page *out, struct why *why);
struct err bolt_why(const struct bolt *bolt, uint64_t page, struct why *why, const char *what);
/* A cursor over the tree under root, or over the inline page behind a bucket's head. */
MUST struct err cursor_open(
    struct bolt *bolt, struct slice bucket, struct bolt_cursor **out, struct why *why);

#endif
