/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as another member's rows; the first says in what pieces they come. A checksum that
 * fits is put in, or the fuzzer would never get past it. */
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "snapshot/snapshot.h"
#include "tests/shared/folder.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[FOLDER_PATH_MAX];

static void remove_dir(void)
{
    folder_remove(dir);
}

static struct err take(
    struct snapshot_refill *refill, const uint8_t *bytes, size_t size, size_t step)
{
    for (size_t at = 0; at < size; at += step) {
        size_t len = size - at < step ? size - at : step;
        TRY(snapshot_refill_take(refill, slice_of(bytes + at, len), NULL));
    }
    return snapshot_refill_end(refill, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t head[16];
    if (size < 2) {
        return 0;
    }
    if (!dir[0]) {
        folder_make(dir);
        atexit(remove_dir);
    }
    size_t step = (size_t)data[0] + 1;
    struct snapshot_refill *refill = snapshot_refill_new(disk_real(), dir, 1, NULL);
    struct err err = OK;
    if (data[1] % 2) { /* one block around what follows */
        put_be64(head, size - 2);
        put_be64(head + 8, crc32c(0, slice_of(data + 2, size - 2)));
        err = snapshot_refill_take(refill, slice_of(head, sizeof(head)), NULL);
    }
    if (!err_is(err)) {
        err = take(refill, data + 2, size - 2, step);
    }
    snapshot_refill_free(refill, true);
    return 0;
}
