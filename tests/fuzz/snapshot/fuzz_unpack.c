/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as another member's files; the first says in what pieces they come. Checksums that fit
 * are put in, or the fuzzer would never get past them: the second byte says around how much. */
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "snapshot/snapshot.h"
#include "tests/shared/folder.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CRC_AT = 40, HEAD = 48 };

static char dir[FOLDER_PATH_MAX];

static void remove_dir(void)
{
    folder_remove(dir);
}

static struct err take(
    struct snapshot_unpack *unpack, const uint8_t *bytes, size_t size, size_t step)
{
    for (size_t at = 0; at < size; at += step) {
        size_t len = size - at < step ? size - at : step;
        TRY(snapshot_unpack_take(unpack, slice_of(bytes + at, len), NULL));
    }
    return OK;
}

/* A head with the name of a file that a store could have, then the bytes, then their sum. */
static struct err take_file(
    struct snapshot_unpack *unpack, const uint8_t *bytes, size_t size, size_t step)
{
    static const char *const names[] = {"CURRENT", "MANIFEST-000001", "000002.sst", "000003.blob"};
    uint8_t head[HEAD] = {0};
    uint8_t foot[8];
    const char *name = names[step % COUNT_OF(names)];
    put_be64(head, size);
    memcpy(head + 8, name, strlen(name));
    put_be64(head + CRC_AT, crc32c(0, slice_of(head, CRC_AT)));
    put_be64(foot, crc32c(0, slice_of(bytes, size)));
    TRY(take(unpack, head, sizeof(head), step));
    TRY(take(unpack, bytes, size, step));
    return take(unpack, foot, sizeof(foot), step);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct raft_snapshot_meta meta = {.index = 1, .term = 1};
    uint8_t end[HEAD] = {0};
    if (size < 2) {
        return 0;
    }
    if (!dir[0]) {
        folder_make(dir);
        atexit(remove_dir);
    }
    size_t step = (size_t)data[0] + 1;
    struct snapshot_unpack *unpack = snapshot_unpack_new(disk_real(), dir, &meta);
    struct err err = data[1] % 2 ? take_file(unpack, data + 2, size - 2, step)
                                 : take(unpack, data + 2, size - 2, step);
    put_be64(end + CRC_AT, crc32c(0, slice_of(end, CRC_AT)));
    if (!err_is(err)) {
        err = take(unpack, end, sizeof(end), step);
    }
    if (!err_is(err)) {
        err = snapshot_unpack_end(unpack, &(struct snapshot_check){0}, NULL);
    }
    snapshot_unpack_free(unpack, true);
    return 0;
}
