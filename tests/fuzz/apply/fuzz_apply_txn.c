/* SPDX-License-Identifier: Apache-2.0
 * A TxnRequest of any bytes: checked without harm, and alike each time. */
#include "apply/apply.h"

#include "base/mem.h"
#include "base/pb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Etcdserverpb__TxnRequest *request;
    struct arena *arena = arena_new(16 * 1024 * 1024);
    struct err err = pb_unpack(
        &etcdserverpb__txn_request__descriptor, arena, slice_of(data, size), &request);
    if (!err_is(err)) {
        struct err first = apply_check_txn(request, 128);
        struct err again = apply_check_txn(request, 128);
        check(err_is(first) == err_is(again));
        if (apply_txn_is_read_only(request)) {
            apply_txn_is_serializable(request);
        }
    }
    arena_free(arena);
    return 0;
}
