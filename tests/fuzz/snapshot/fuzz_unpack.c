/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as another member's files; the first says in what pieces they come, the second how:
 * 0 as they are; 1 as one file, with the checksums of its way; 2 also with those within it; 3 as a
 * list of such files (take_next), so that they meet. The fuzzer would never get past the checksums.
 * Within tables and manifests they stay as they come: whoever lies there and makes them fit meets
 * assertions of RocksDB's. What opens can be read. */
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "snapshot/snapshot.h"
#include "tests/shared/folder.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CRC_AT = 40, HEAD = 48, FILE_NAME_MAX = 32 };
enum kind { CURRENT, MANIFEST, TABLE, VALUES, KINDS };
enum how { AS_IT_IS, ONE_FILE, ONE_MENDED, SEVERAL, HOWS };

struct sending {
    struct snapshot_unpack *unpack;
    size_t step;
};

static char dir[FOLDER_PATH_MAX];

static void remove_dir(void)
{
    folder_remove(dir);
}

static struct err take(const struct sending *sending, struct slice bytes)
{
    for (size_t at = 0; at < bytes.len; at += sending->step) {
        size_t len = bytes.len - at < sending->step ? bytes.len - at : sending->step;
        TRY(snapshot_unpack_take(sending->unpack, slice_of(bytes.data + at, len), NULL));
    }
    return OK;
}

/* A head with the name, then the bytes, then their sum. */
static struct err take_file(const struct sending *sending, const char *name, struct slice bytes)
{
    uint8_t head[HEAD] = {0};
    uint8_t foot[8];
    put_be64(head, bytes.len);
    memcpy(head + 8, name, strlen(name));
    put_be64(head + CRC_AT, crc32c(0, slice_of(head, CRC_AT)));
    put_be64(foot, crc32c(0, bytes));
    TRY(take(sending, slice_of(head, sizeof(head))));
    TRY(take(sending, bytes));
    return take(sending, slice_of(foot, sizeof(foot)));
}

/* RocksDB's, turned and shifted. */
static void put_crc(uint8_t *at, struct slice bytes)
{
    uint32_t crc = crc32c(0, bytes);
    put_le32(at, (crc >> 15 | crc << 17) + 0xa282ead8U);
}

/* Head 30; records: two lengths, an expiration, two sums; foot 32 (daemon/backend/blobfile.c). */
static void mend_values(uint8_t *bytes, size_t size)
{
    enum { FILE_HEAD = 30, RECORD = 32, FOOT = 32 };
    if (size < FILE_HEAD + FOOT) {
        return;
    }
    size_t end = size - FOOT;
    for (size_t at = FILE_HEAD; end - at >= RECORD;) {
        uint64_t left = end - at - RECORD;
        uint64_t key_len = get_le64(bytes + at);
        uint64_t value_len = get_le64(bytes + at + 8);
        put_crc(bytes + at + 24, slice_of(bytes + at, 24));
        if (key_len > left || value_len > left - key_len) {
            break;
        }
        size_t len = (size_t)(key_len + value_len);
        put_crc(bytes + at + 28, slice_of(bytes + at + RECORD, len));
        at += RECORD + len;
    }
    put_crc(bytes + end + 28, slice_of(bytes + end, 28));
}

static struct err take_mended(
    const struct sending *sending, enum kind kind, const char *name, struct slice bytes)
{
    uint8_t *copy = mem_dup(bytes.data ? bytes.data : (const uint8_t *)"", bytes.len);
    if (kind == VALUES) {
        mend_values(copy, bytes.len);
    }
    struct err err = take_file(sending, name, slice_of(copy, bytes.len));
    free(copy);
    return err;
}

/* Of name[FILE_NAME_MAX]. */
static void name_file(enum kind kind, unsigned number, char *name)
{
    static const char *const ends[KINDS] = {"", "", ".sst", ".blob"};
    if (kind == CURRENT) {
        snprintf(name, FILE_NAME_MAX, "CURRENT");
    } else {
        snprintf(name, FILE_NAME_MAX, "%s%06u%s", kind == MANIFEST ? "MANIFEST-" : "", number,
            ends[kind]);
    }
}

/* A byte: the kind in two bits, a number in six; two bytes of length; the bytes. */
static struct err take_next(const struct sending *sending, struct slice *rest)
{
    char name[FILE_NAME_MAX];
    enum kind kind = rest->data[0] % KINDS;
    size_t left = rest->len - 3;
    size_t len = (size_t)rest->data[1] | (size_t)rest->data[2] << 8;
    len = len < left ? len : left;
    struct slice bytes = slice_of(rest->data + 3, len);
    name_file(kind, rest->data[0] / KINDS, name);
    *rest = slice_of(bytes.data + len, left - len);
    return take_mended(sending, kind, name, bytes);
}

static struct err take_as(const struct sending *sending, enum how how, struct slice bytes)
{
    char name[FILE_NAME_MAX];
    enum kind kind = sending->step % KINDS;
    name_file(kind, kind == VALUES ? 3 : kind, name);
    switch (how) {
    case ONE_FILE:
        return take_file(sending, name, bytes);
    case ONE_MENDED:
        return take_mended(sending, kind, name, bytes);
    case SEVERAL:
        while (bytes.len >= 3) {
            TRY(take_next(sending, &bytes));
        }
        return OK;
    case AS_IT_IS:
    case HOWS:
        break;
    }
    return take(sending, bytes);
}

/* Nothing is left for whoever asks later to find. */
static struct err read_all(void *arg, struct backend *store, struct why *why)
{
    struct slice key;
    struct slice value;
    struct slice bounds[][2] = {{SLICE("d"), SLICE("e")}, {SLICE("l"), SLICE("n")}};
    (void)arg;
    for (size_t i = 0; i < COUNT_OF(bounds); i++) {
        struct backend_iter *iter = backend_iter_open(store, NULL, bounds[i][0], bounds[i][1]);
        while (backend_iter_next(iter, &key, &value)) {
            struct blob *again = NULL;
            struct err err = backend_get(store, NULL, key, &again, why);
            check(!err_is(err) && again && slice_eq(blob_slice(again), value));
            blob_unref(again);
        }
        struct err err = backend_iter_err(iter, why);
        check(!err_is(err));
        backend_iter_close(iter);
    }
    return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct raft_snapshot_meta meta = {.index = 1, .term = 1};
    static const struct snapshot_check check = {read_all, NULL};
    uint8_t end[HEAD] = {0};
    if (size < 2) {
        return 0;
    }
    if (!dir[0]) {
        folder_make(dir);
        atexit(remove_dir);
        log_level_set(LOG_LEVEL_FATAL);
    }
    struct sending sending = {snapshot_unpack_new(disk_real(), dir, &meta), (size_t)data[0] + 1};
    put_be64(end + CRC_AT, crc32c(0, slice_of(end, CRC_AT)));
    struct err err = take_as(&sending, data[1] % HOWS, slice_of(data + 2, size - 2));
    if (!err_is(err)) {
        err = take(&sending, slice_of(end, sizeof(end)));
    }
    if (!err_is(err)) {
        err = snapshot_unpack_end(sending.unpack, &check, NULL);
    }
    snapshot_unpack_free(sending.unpack, true);
    return 0;
}
