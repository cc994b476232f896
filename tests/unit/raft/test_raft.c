/* SPDX-License-Identifier: Apache-2.0 */
#include "test_raft.h"

struct raft_options test_options(uint64_t id)
{
    return (struct raft_options){
        .id = id,
        .election_ticks = 10,
        .heartbeat_ticks = 1,
        .seed = id,
        .message_bytes_max = UINT64_MAX,
        .inflight_messages_max = 256,
    };
}

struct raft_snapshot_meta test_meta(uint64_t index, size_t count)
{
    struct raft_snapshot_meta meta = {.index = index, .term = 1};
    for (size_t i = 0; i < count; i++) {
        meta.conf.voters.ids[i] = i + 1;
    }
    meta.conf.voters.count = count;
    return meta;
}

struct raft *test_new(const struct raft_options *options)
{
    struct raft *raft = NULL;
    struct why why;
    if (err_is(raft_new(options, &raft, &why))) {
        fail_msg("%s", why.text);
    }
    return raft;
}

void test_step(struct raft *raft, struct raft_event event)
{
    assert_int_equal(raft_step(raft, &event).code, ERR_OK);
}

void test_propose(struct raft *raft, const char *text)
{
    struct raft_entry entry = {.data = blob_new(slice_str(text))};
    test_step(
        raft, (struct raft_event){.type = RAFT_PROPOSE, .entries = &entry, .entries_count = 1});
    blob_unref(entry.data);
}

void test_turn(struct raft *raft, struct raft_update *update)
{
    raft_take_update(raft, update);
    if (update->needs_persist) {
        test_step(raft, (struct raft_event){.type = RAFT_PERSISTED, .ticket = &update->ticket});
    }
    if (update->committed_count) {
        uint64_t index = update->committed[update->committed_count - 1].index;
        test_step(raft, (struct raft_event){.type = RAFT_APPLIED, .index = index});
    }
}

int main(void)
{
    int failures = 0;
    failures += run_log();
    failures += run_progress();
    failures += run_conf();
    failures += run_single();
    failures += run_peers();
    failures += run_hostile();
    failures += run_chaos();
    return failures;
}
