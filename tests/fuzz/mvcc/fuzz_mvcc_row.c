/* SPDX-License-Identifier: Apache-2.0
 * Rows of any bytes: refused, or sound and the same when written and read again. */
#include "mvcc/row.h"

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct row row;
    struct row again;
    if (size < ROW_KEY_BYTES) {
        return 0;
    }
    struct slice key = slice_of(data, ROW_KEY_BYTES);
    struct slice value = slice_of(data + ROW_KEY_BYTES, size - ROW_KEY_BYTES);
    if (err_is(row_take(key, value, &row, NULL))) {
        return 0;
    }
    check(row.key.len > 0 && row.main > 0 && row.link_main <= row.main && row.link_main >= 0);
    check(row.is_tombstone || (row.create > 0 && row.create <= row.main && row.version > 0));
    uint8_t *bytes = mem_alloc(ROW_HEAD_MAX + row.key.len);
    size_t len = row_head(&row, bytes);
    check(len <= ROW_HEAD_MAX);
    memcpy(bytes + len, row.key.data, row.key.len);
    check(!err_is(row_read(row.main, row.sub, slice_of(bytes, len + row.key.len), &again)));
    check(again.link_main == row.link_main && again.link_sub == row.link_sub);
    check(again.create == row.create && again.version == row.version);
    check(again.lease == row.lease && slice_eq(again.key, row.key));
    free(bytes);
    return 0;
}
