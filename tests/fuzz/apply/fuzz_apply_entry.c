/* SPDX-License-Identifier: Apache-2.0
 * Committed entries of any bytes, applied to two members that differ in what they keep in memory:
 * neither falls over, both answer alike and come to the same state, and so does a member that is
 * opened again.
 *
 * Input: entries, each a byte (low two bits: the type; bit 2: commit here; bit 3: compact the rows)
 * and be16 length and that many bytes. */
#include "base/codec.h"
#include "base/mem.h"
#include "base/pb.h"
#include "tests/shared/memory_backend.h"
#include "tests/shared/store.h"

enum { MEMBERS = 2, ENTRIES_MAX = 64, COMMIT_BIT = 4, COMPACT_BIT = 8 };

struct side {
    struct store store;
    struct watch_stream *watches;
    struct arena *arena;
    struct apply_result result;
    bool is_done;
    int confs;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct apply_result *find(void *arg, uint64_t request_id)
{
    struct side *side = arg;
    return request_id % 2 ? NULL : &side->result; /* somebody waits for half of them */
}

static void done(void *arg, struct apply_result *result)
{
    struct side *side = arg;
    check(result == &side->result && !side->is_done);
    check(err_is(result->err) || !result->response || result->response->descriptor);
    side->is_done = true;
}

static void conf(void *arg, uint64_t index, const struct raft_conf_change *change, bool is_void)
{
    (void)index;
    (void)change;
    ((struct side *)arg)->confs += is_void ? 1000 : 1;
}

static void wake(void *arg)
{
    (void)arg;
}

static void watch_all(struct side *side)
{
    struct watch_spec spec = {
        .key = slice_of("\0", 1), .end = slice_of("\0", 1), .is_prev_wanted = true};
    side->watches = watch_stream_new(side->store.options.hub, wake, NULL);
    watch_create(side->watches, &spec);
}

/* What the watcher was told, as a checksum. */
static uint64_t drain(struct side *side)
{
    uint64_t sum = 0;
    struct watch_item item;
    while (watch_sync(side->store.options.hub)) {
    }
    while (watch_stream_next(side->watches, &item)) {
        sum = sum * 31 + (uint64_t)item.rev;
        for (size_t i = 0; i < item.events_count; i++) {
            struct blob *event;
            struct err err =
                watch_event_encoded(item.events[i], side->store.options.mvcc, true, &event);
            check(!err_is(err));
            for (size_t at = 0; at < event->len; at++) {
                sum = sum * 31 + event->data[at];
            }
        }
        watch_item_fini(&item);
    }
    return sum;
}

static void side_open(struct side *side, const char *path, size_t cache_bytes)
{
    *side = (struct side){
        .store = {
            .path = path, .value_cache_bytes = cache_bytes, .options = {.quota_bytes = 1 << 20}}};
    store_open(&side->store);
    lease_promote(side->store.options.leases, 0, 0);
    watch_all(side);
}

static void side_close(struct side *side)
{
    watch_stream_free(side->watches);
    store_close(&side->store);
    arena_free(side->arena);
}

static struct err side_apply(struct side *side, const struct raft_entry *entry, bool is_commit)
{
    struct apply_sink sink = {find, done, conf, side, NULL};
    struct why why = {""};
    arena_free(side->arena);
    side->arena = arena_new(16 << 20);
    side->result = (struct apply_result){.arena = side->arena};
    side->is_done = false;
    TRY(apply_entry(side->store.apply, entry, &sink, &why));
    return is_commit ? apply_commit(side->store.apply, &why) : OK;
}

static void same_result(struct side *sides)
{
    check(sides[0].is_done == sides[1].is_done && sides[0].confs == sides[1].confs);
    if (!sides[0].is_done) {
        return;
    }
    check(sides[0].result.err.code == sides[1].result.err.code);
    check(!sides[0].result.response == !sides[1].result.response);
    if (sides[0].result.response) {
        check(slice_eq(pb_pack_arena(sides[0].result.response, sides[0].arena),
            pb_pack_arena(sides[1].result.response, sides[1].arena)));
    }
}

static void compact(struct store *store)
{
    struct why why = {""};
    check(!err_is(apply_commit(store->apply, &why)));
    bool is_finished = false;
    while (!is_finished) {
        check(!err_is(mvcc_compact_step(store->options.mvcc, 3, &is_finished, &why)));
    }
}

static void same_state(struct side *sides)
{
    struct why why = {""};
    for (int i = 0; i < MEMBERS; i++) {
        check(!err_is(apply_commit(sides[i].store.apply, &why)));
    }
    uint32_t hash = store_hash(&sides[0].store);
    revision rev = mvcc_revision(sides[0].store.options.mvcc);
    /* HashKV then differs, from the end of the compaction to the next start: so does the
     * reference's. */
    bool is_compacted_at_zero = mvcc_compact_revision(sides[0].store.options.mvcc) == 0;
    check(is_compacted_at_zero || hash == store_hash(&sides[1].store));
    size_t leases = lease_count(sides[0].store.options.leases);
    check(leases == lease_count(sides[1].store.options.leases));
    watch_stream_free(sides[1].watches);
    store_restart(&sides[1].store);
    watch_all(&sides[1]);
    check(is_compacted_at_zero || hash == store_hash(&sides[1].store));
    check(rev == mvcc_revision(sides[1].store.options.mvcc));
    check(leases == lease_count(sides[1].store.options.leases));
    check(apply_index(sides[0].store.apply) == apply_index(sides[1].store.apply));
}

/* False: nothing more to apply. */
static bool next_entry(struct slice *rest, struct raft_entry *out, uint8_t *out_head)
{
    static const enum raft_entry_type types[] = {
        RAFT_ENTRY_NORMAL, RAFT_ENTRY_NORMAL, RAFT_ENTRY_CONF_CHANGE, RAFT_ENTRY_CONF_CHANGE_V2};
    if (rest->len < 3) {
        return false;
    }
    size_t len = (size_t)rest->data[1] << 8 | rest->data[2];
    len = len < rest->len - 3 ? len : rest->len - 3;
    *out_head = rest->data[0];
    out->type = types[*out_head % 4];
    out->data = blob_new(slice_of(rest->data + 3, len));
    *rest = slice_of(rest->data + 3 + len, rest->len - 3 - len);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct side sides[MEMBERS];
    struct raft_entry entry = {.term = 1};
    struct slice rest = slice_of(data, size);
    uint8_t head;
    side_open(&sides[0], "/a", 0);
    side_open(&sides[1], "/b", 1 << 20);
    while (entry.index < ENTRIES_MAX && next_entry(&rest, &entry, &head)) {
        entry.index++;
        struct err first = side_apply(&sides[0], &entry, head & COMMIT_BIT);
        struct err second = side_apply(&sides[1], &entry, head & COMMIT_BIT);
        blob_unref(entry.data);
        check(first.code == second.code);
        if (err_is(first)) {
            break; /* the member would stop */
        }
        same_result(sides);
        check(drain(&sides[0]) == drain(&sides[1]));
        if (head & COMPACT_BIT) {
            compact(&sides[head & 16 ? 0 : 1].store);
        }
    }
    same_state(sides);
    side_close(&sides[0]);
    side_close(&sides[1]);
    memory_backend_forget();
    return 0;
}
