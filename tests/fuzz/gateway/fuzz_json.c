/* SPDX-License-Identifier: Apache-2.0
 * JSON into a packed message and back. The first byte picks the message. What was taken must
 * unpack, and its JSON must decode to the same message again. */
#include "base/err.h"
#include "base/mem.h"
#include "gateway/decode.h"
#include "gateway/encode.h"
#include "gateway/scan.h"

#include <rpc.pb-c.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES_MAX = 1 << 20 };

static void round_trip(
    const ProtobufCMessageDescriptor *type, struct slice value, struct arena *arena)
{
    struct buf packed;
    struct buf again;
    struct buf text;
    struct buf text_again;
    struct json json;
    const char *error = NULL;
    buf_init(&packed, BYTES_MAX);
    buf_init(&again, BYTES_MAX);
    buf_init(&text, 8 * BYTES_MAX);
    buf_init(&text_again, 8 * BYTES_MAX);
    struct err e = decode_json(type, value, arena, &packed, &error);
    check(!IS(e, BAD_INPUT) || error);
    json_init(&json, &text, JSON_SPACED);
    /* deeper than protobuf's limit is refused, anything else that decoded must encode */
    if (!err_is(e) && !err_is(encode_json(type, buf_slice(&packed), arena, &json))) {
        check(!err_is(decode_json(type, buf_slice(&text), arena, &again, &error)));
        json_init(&json, &text_again, JSON_SPACED);
        check(!err_is(encode_json(type, buf_slice(&again), arena, &json)));
        check(slice_eq(buf_slice(&text), buf_slice(&text_again)));
    }
    buf_fini(&packed);
    buf_fini(&again);
    buf_fini(&text);
    buf_fini(&text_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ProtobufCMessageDescriptor *const types[] = {&etcdserverpb__range_request__descriptor,
        &etcdserverpb__txn_request__descriptor, &etcdserverpb__watch_request__descriptor,
        &etcdserverpb__auth_user_add_request__descriptor,
        &etcdserverpb__member_add_request__descriptor,
        &etcdserverpb__lease_grant_request__descriptor,
        &etcdserverpb__auth_role_grant_permission_request__descriptor};
    if (size < 1) {
        return 0;
    }
    const ProtobufCMessageDescriptor *type = types[data[0] % COUNT_OF(types)];
    struct slice rest = slice_of(data + 1, size - 1);
    while (rest.len) {
        struct scan scan;
        size_t taken = 0;
        scan_init(&scan);
        enum scan_result result = scan_feed(&scan, rest, &taken);
        result = result == SCAN_MORE ? scan_end(&scan) : result;
        if (result != SCAN_VALUE) {
            break;
        }
        struct arena *arena = arena_new(0);
        round_trip(type, slice_of(rest.data, taken), arena);
        arena_free(arena);
        rest = slice_of(rest.data + taken, rest.len - taken);
    }
    return 0;
}
