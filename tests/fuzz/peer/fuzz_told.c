/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as the body of what a member asks or is told. The first byte says as what. Keys lie
 * within the body, and there are no more of them than fit it. */
#include "base/mem.h"
#include "peer/told.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_lease(struct slice body)
{
    struct peer_lease lease = {0};
    struct err err = told_lease(body, &lease);
    check(lease.keys_count <= body.len / 2);
    for (size_t i = 0; i < lease.keys_count; i++) {
        const struct slice *key = &lease.keys[i];
        check(key->len <= body.len);
        check(
            !key->len || (key->data >= body.data && key->data + key->len <= body.data + body.len));
    }
    (void)err;
    free((void *)(uintptr_t)lease.keys);
}

static void take_hash(struct slice body)
{
    struct peer_hash hash = {0};
    struct err err = told_hash(body, &hash);
    check(!err_is(err) || (!hash.hash && !hash.revision));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t id = 0;
    int64_t number = 0;
    bool with_keys = false;
    struct err err = OK;
    if (size < 1) {
        return 0;
    }
    struct slice body = slice_of(data + 1, size - 1);
    switch (data[0] % 6) {
    case 0:
        err = told_renewed(body, &id, &number);
        break;
    case 1:
        take_lease(body);
        break;
    case 2:
        take_hash(body);
        break;
    case 3:
        (void)asked_hash(body, &number);
        break;
    case 4:
        err = asked_lease(body, &id, &with_keys);
        break;
    default:
        err = asked_lease_internal(body, &id, &with_keys);
        break;
    }
    (void)err;
    return 0;
}
