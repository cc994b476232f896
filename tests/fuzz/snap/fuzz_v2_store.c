/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as the v2 store of a snapshot. What is taken from them can be written and read again.
 */
#include "base/err.h"
#include "base/slice.h"
#include "snap/snap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snap_cluster cluster;
    struct snap_cluster again;
    struct why why = {""};
    struct arena *arena = arena_new(0);
    if (!err_is(snap_v2_parse(slice_of(data, size), arena, &cluster, &why))) {
        struct buf out;
        buf_init(&out, SNAP_FILE_MAX);
        snap_v2_json(&cluster, &out);
        check(!err_is(snap_v2_parse(buf_slice(&out), arena, &again, &why)));
        check(again.removed_count <= cluster.removed_count);
        check(again.members_count <= cluster.members_count);
        buf_fini(&out);
    }
    arena_free(arena);
    return 0;
}
