/* SPDX-License-Identifier: Apache-2.0
 * Logs on the faulty disk for tests. */
#ifndef TESTS_WAL_FIXTURE_H
#define TESTS_WAL_FIXTURE_H

#include "base/mem.h"
#include "disk/faulty.h"
#include "wal/wal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define DIR "/wal"
#define FIRST "/wal/0000000000000000-0000000000000000.wal"

static inline void expect_err(struct err e, enum err_code code, const char *why)
{
    if (e.code != code) {
        print_message("%s: %s\n", err_name(e), why);
    }
    assert_string_equal(err_name(e), err_name((struct err){code}));
}

static inline struct wal_options options_of(struct disk *disk, uint64_t segment_bytes)
{
    return (struct wal_options){.disk = disk, .dir = DIR, .segment_bytes = segment_bytes};
}

static inline struct wal *create(struct disk *disk, uint64_t segment_bytes)
{
    struct wal_options options = options_of(disk, segment_bytes);
    struct wal_identity identity = {0xa759d8e1c4eeb940, 0x65ab6007cf6ff544};
    struct wal *wal;
    struct why why = {""};
    expect_err(wal_create(&options, &identity, &wal, &why), ERR_OK, why.text);
    return wal;
}

/* An entry whose data is made of its index. */
static inline struct raft_entry entry_of(uint64_t index, uint64_t term, size_t len)
{
    struct blob *data = len ? blob_new_size(len) : NULL;
    for (size_t i = 0; i < len; i++) {
        data->data[i] = (uint8_t)(index * 31 + i % 251 + 1);
    }
    return (struct raft_entry){.term = term, .index = index, .data = data};
}

static inline struct err append_one(struct wal *wal, uint64_t index, uint64_t term, size_t len)
{
    struct raft_entry entry = entry_of(index, term, len);
    struct raft_hard_state hard = {term, 1, index - 1};
    struct wal_batch batch = {&hard, &entry, 1, true};
    struct err e = wal_append(wal, &batch, NULL, NULL);
    blob_unref(entry.data);
    return e;
}

/* As the member's thread for it does; without a failure when it is not wanted now. */
static inline struct err fill_spare(struct wal *wal)
{
    struct wal_spare *spare = wal_spare_begin(wal);
    struct err e = OK;
    bool is_more = spare != NULL;
    while (is_more && !err_is(e)) {
        e = wal_spare_step(spare, &is_more, NULL);
    }
    if (spare) {
        wal_spare_end(wal, spare);
    }
    return e;
}

/* Whether the log holds the entries of entry_of from first on. */
static inline void expect_entries(
    const struct wal_log *log, uint64_t first, size_t count, size_t len)
{
    assert_int_equal(log->entries_count, count);
    for (size_t i = 0; i < count; i++) {
        struct raft_entry want = entry_of(first + i, 1, len);
        assert_int_equal(log->entries[i].index, want.index);
        assert_true(slice_eq(blob_slice(log->entries[i].data), blob_slice(want.data)));
        blob_unref(want.data);
    }
}

#endif
