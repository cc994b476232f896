/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a bbolt file: every bucket walked, all of it checked. The meta pages' checksums are
 * made right first, so that mutations get past them. */
#include "base/mem.h"
#include "bolt/format.h"
#include "disk/faulty.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(struct bolt *bolt)
{
    struct bolt_cursor *root;
    struct bolt_item item = {0};
    if (err_is(bolt_root(bolt, &root, NULL))) {
        return;
    }
    for (int i = 0; i < 100 && !err_is(bolt_next(root, &item, NULL)) && !item.is_end; i++) {
        struct bolt_cursor *cursor = NULL;
        struct bolt_item inner = {0};
        if (err_is(bolt_bucket(bolt, item.key, &cursor, NULL))) {
            continue;
        }
        while (cursor && !err_is(bolt_next(cursor, &inner, NULL)) && !inner.is_end) {
        }
        bolt_cursor_close(cursor);
    }
    bolt_cursor_close(root);
}

static void fix_meta(uint8_t *page)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < META - 8; i++) {
        hash = (hash ^ page[PAGE_HEAD + i]) * UINT64_C(0x100000001b3);
    }
    put_le64(page + PAGE_HEAD + META - 8, hash);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct disk *disk = disk_faulty_new(1);
    struct bolt *bolt;
    uint8_t *copy = mem_dup(data, size);
    if (size >= PAGE_HEAD + META) {
        fix_meta(copy);
    }
    struct err e = disk_write_file(disk, "/db", slice_of(copy, size), 0600, NULL);
    check(!err_is(e));
    if (!err_is(bolt_open(disk, "/db", &bolt, NULL))) {
        walk(bolt);
        e = bolt_check(bolt, NULL);
        (void)e;
        bolt_close(bolt);
    }
    free(copy);
    disk_faulty_free(disk);
    return 0;
}
