/* SPDX-License-Identifier: Apache-2.0
 * The data of a conf change entry from any bytes: refused, or the same when written and read
 * again. The first byte picks the version. */
#include "base/mem.h"
#include "raft/raft.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct raft_conf_change *a, const struct raft_conf_change *b)
{
    check(a->is_v1 == b->is_v1 && a->id == b->id && a->transition == b->transition);
    check(a->changes_count == b->changes_count && slice_eq(a->context, b->context));
    for (size_t i = 0; i < a->changes_count; i++) {
        check(a->changes[i].type == b->changes[i].type);
        check(a->changes[i].node_id == b->changes[i].node_id);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct raft_conf_change change = {0};
    struct raft_conf_change again = {0};
    struct buf bytes;
    if (size < 1) {
        return 0;
    }
    enum raft_entry_type type = data[0] & 1 ? RAFT_ENTRY_CONF_CHANGE_V2 : RAFT_ENTRY_CONF_CHANGE;
    if (err_is(raft_conf_change_decode(type, slice_of(data + 1, size - 1), &change))) {
        return 0;
    }
    check(change.changes_count <= RAFT_MEMBERS_MAX);
    buf_init(&bytes, size + 4096);
    raft_conf_change_encode(&change, &bytes);
    check(!err_is(raft_conf_change_decode(type, buf_slice(&bytes), &again)));
    check_same(&change, &again);
    buf_fini(&bytes);
    return 0;
}
