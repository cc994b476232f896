/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "raft/raft.h"

struct raft_snapshot *raft_snapshot_new(const struct raft_snapshot_meta *meta, struct blob *data)
{
    struct raft_snapshot *snapshot = mem_alloc(sizeof(*snapshot));
    atomic_init(&snapshot->refs, 1);
    snapshot->meta = *meta;
    snapshot->data = blob_ref(data);
    return snapshot;
}

struct raft_snapshot *raft_snapshot_ref(struct raft_snapshot *snapshot)
{
    if (snapshot) {
        atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
    }
    return snapshot;
}

void raft_snapshot_unref(struct raft_snapshot *snapshot)
{
    if (snapshot && atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) == 1) {
        blob_unref(snapshot->data);
        free(snapshot);
    }
}

void raft_message_fini(struct raft_message *message)
{
    for (size_t i = 0; i < message->entries_count; i++) {
        blob_unref(message->entries[i].data);
    }
    free(message->entries);
    blob_unref(message->context);
    raft_snapshot_unref(message->snapshot);
    *message = (struct raft_message){0};
}

void raft_update_init(struct raft_update *update)
{
    *update = (struct raft_update){0};
}

static void drop_entries(struct raft_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        blob_unref(entries[i].data);
    }
}

static void drop_messages(struct raft_message *messages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        raft_message_fini(&messages[i]);
    }
}

static void drop_content(struct raft_update *update)
{
    drop_entries(update->entries, update->entries_count);
    drop_entries(update->committed, update->committed_count);
    drop_messages(update->messages, update->messages_count);
    drop_messages(update->after, update->after_count);
    for (size_t i = 0; i < update->reads_count; i++) {
        blob_unref(update->reads[i].context);
    }
    raft_snapshot_unref(update->snapshot);
}

void raft_update_reset(struct raft_update *update)
{
    drop_content(update);
    struct raft_update empty = {
        .entries = update->entries,
        .committed = update->committed,
        .messages = update->messages,
        .after = update->after,
        .reads = update->reads,
    };
    memcpy(empty.caps, update->caps, sizeof(empty.caps));
    *update = empty;
}

void raft_update_fini(struct raft_update *update)
{
    drop_content(update);
    free(update->entries);
    free(update->committed);
    free(update->messages);
    free(update->after);
    free(update->reads);
    *update = (struct raft_update){0};
}
