/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a snapshot file, as the raft snapshot inside of one, and as a row of the key bucket.
 */
#include "base/err.h"
#include "snap/snap.h"
#include "snapshot/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct raft_snapshot_meta meta;
    struct slice inner;
    struct snapshot_key key;
    struct slice all = slice_of(data, size);
    if (!err_is(snap_decode_file(all, &meta, &inner))) {
        check(meta.conf.voters.count <= RAFT_MEMBERS_MAX);
    }
    if (!err_is(snap_decode(all, &meta, &inner))) {
        struct buf out;
        struct raft_snapshot_meta again;
        buf_init(&out, SNAP_FILE_MAX);
        snap_encode(&meta, inner, &out);
        struct err e = snap_decode(buf_slice(&out), &again, &inner);
        check(!err_is(e) && again.index == meta.index && again.term == meta.term);
        buf_fini(&out);
    }
    size_t head = size < 18 ? size : (size_t)17 + data[0] % 2;
    if (!err_is(
            snapshot_key_parse(slice_of(data, head), slice_of(data + head, size - head), &key))) {
        check(key.main >= 0 && key.key.len <= size);
    }
    return 0;
}
