/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "group.h"
#include "raft/describe.h"

#include <inttypes.h>
#include <stdarg.h>

static const uint64_t append_thread = UINT64_MAX;
static const uint64_t apply_thread = UINT64_MAX - 1;

void group_print(struct group *group, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (!group->is_quiet) {
        buf_add_str(group->out, text);
    }
}

void group_print_message(struct group *group, const struct raft_message *message, int indent)
{
    if (!group->is_quiet) {
        describe_message(group->out, message, indent);
    }
}

void group_queue(struct group *group, struct raft_message message)
{
    if (group->messages_count == group->messages_cap) {
        group->messages_cap = group->messages_cap ? group->messages_cap * 2 : 64;
        group->messages = mem_grow(group->messages, group->messages_cap * sizeof(*group->messages));
    }
    group->messages[group->messages_count++] = message;
}

void group_indented(
    struct group *group, void (*body)(struct group *group, struct node *node), struct node *node)
{
    struct buf *outer = group->out;
    struct buf inner;
    buf_init(&inner, UINT32_MAX);
    group->out = &inner;
    body(group, node);
    group->out = outer;
    char *at = (char *)(uintptr_t)buf_text(&inner);
    for (char *line; (line = strsep(&at, "\n"));) {
        if (at || *line) {
            buf_printf(outer, "  %s\n", line);
        }
    }
    buf_fini(&inner);
}

static struct raft_entry *copy_entries(const struct raft_entry *entries, size_t count)
{
    struct raft_entry *copy = count ? mem_dup(entries, count * sizeof(*entries)) : NULL;
    for (size_t i = 0; i < count; i++) {
        blob_ref(copy[i].data);
    }
    return copy;
}

static void work_fini(struct work *work)
{
    raft_message_fini(&work->head);
    for (size_t i = 0; i < work->answers_count; i++) {
        raft_message_fini(&work->answers[i]);
    }
    free(work->answers);
}

void node_fini(struct node *node)
{
    for (size_t i = 0; i < node->append.count; i++) {
        work_fini(&node->append.items[i]);
    }
    for (size_t i = 0; i < node->apply.count; i++) {
        work_fini(&node->apply.items[i]);
    }
    raft_log_fini(&node->disk);
    raft_free(node->raft);
}

static void write_disk(struct node *node, struct raft_snapshot *snapshot,
    const struct raft_entry *entries, size_t count)
{
    if (snapshot) {
        raft_log_restore(&node->disk, snapshot);
    }
    while (count > 0 && entries->index <= node->disk.base_index) {
        entries++;
        count--;
    }
    raft_log_append(&node->disk, entries, count);
}

static void print_work(struct group *group, const struct work *work)
{
    group_print_message(group, &work->head, 0);
    if (work->answers_count) {
        group_print(group, " Responses:[");
        for (size_t i = 0; i < work->answers_count; i++) {
            group_print(group, "\n  ");
            group_print_message(group, &work->answers[i], 2);
        }
        group_print(group, "\n]");
    }
    group_print(group, "\n");
}

static void print_entries(
    struct group *group, const char *title, const struct raft_entry *entries, size_t count)
{
    if (count == 0 || group->is_quiet) {
        return;
    }
    buf_printf(group->out, "%s:\n", title);
    for (size_t i = 0; i < count; i++) {
        describe_entry(group->out, &entries[i]);
        buf_add_byte(group->out, '\n');
    }
}

static void print_states(struct group *group, const struct raft_update *update)
{
    struct buf *out = group->out;
    if (group->is_quiet) {
        return;
    }
    if (update->has_soft_state) {
        buf_printf(out, "Lead:%" PRIu64 " State:%s\n", update->soft_state.lead,
            raft_role_name(update->soft_state.role));
    }
    if (update->has_hard_state) {
        buf_add_str(out, "HardState ");
        describe_hard_state(out, &update->hard_state);
        buf_add_byte(out, '\n');
    }
    for (size_t i = 0; i < update->reads_count; i++) {
        struct slice context = blob_slice(update->reads[i].context);
        buf_printf(out, "Read %" PRIu64 " %.*s\n", update->reads[i].index, (int)context.len,
            (const char *)context.data);
    }
    print_entries(group, "Entries", update->entries, update->entries_count);
    if (update->snapshot) {
        buf_add_str(out, "Snapshot ");
        describe_snapshot(out, update->snapshot);
        buf_add_byte(out, '\n');
    }
    print_entries(group, "CommittedEntries", update->committed, update->committed_count);
}

static struct work make_append(struct node *node, struct raft_update *update)
{
    struct work work = {.head = {.type = RAFT_MSG_STORAGE_APPEND,
                            .to = append_thread,
                            .from = node->options.id,
                            .entries = copy_entries(update->entries, update->entries_count),
                            .entries_count = update->entries_count,
                            .snapshot = raft_snapshot_ref(update->snapshot)}};
    if (update->has_hard_state) {
        work.head.term = update->hard_state.term;
        work.head.vote = update->hard_state.vote;
        work.head.commit = update->hard_state.commit;
    }
    work.answers = mem_alloc((update->after_count + 1) * sizeof(*work.answers));
    work.answers_count = update->after_count;
    for (size_t i = 0; i < update->after_count; i++) {
        work.answers[i] = update->after[i];
    }
    update->after_count = 0;
    const struct raft_ticket *ticket = &update->ticket;
    if (ticket->index || ticket->snapshot_index) {
        work.answers[work.answers_count++] =
            (struct raft_message){.type = RAFT_MSG_STORAGE_APPEND_RESP,
                .to = node->options.id,
                .from = append_thread,
                .term = ticket->term,
                .index = ticket->index,
                .log_term = ticket->log_term,
                .snapshot = raft_snapshot_ref(update->snapshot)};
    }
    return work;
}

static struct work make_apply(struct node *node, const struct raft_update *update)
{
    struct work work = {.head = {.type = RAFT_MSG_STORAGE_APPLY,
                            .to = apply_thread,
                            .from = node->options.id,
                            .entries = copy_entries(update->committed, update->committed_count),
                            .entries_count = update->committed_count}};
    work.answers = mem_alloc(sizeof(*work.answers));
    work.answers_count = 1;
    work.answers[0] = (struct raft_message){.type = RAFT_MSG_STORAGE_APPLY_RESP,
        .to = node->options.id,
        .from = apply_thread,
        .entries = copy_entries(update->committed, update->committed_count),
        .entries_count = update->committed_count};
    return work;
}

static void push_work(struct group *group, struct work_queue *queue, struct work work)
{
    if (queue->count == COUNT_OF(queue->items)) {
        script_die(group->c, "too much work lies about");
    }
    print_work(group, &work);
    queue->items[queue->count++] = work;
}

static void apply_entries(
    struct group *group, struct node *node, const struct raft_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct raft_entry *entry = &entries[i];
        struct raft_conf_change change;
        struct why why;
        if (entry->type != RAFT_ENTRY_NORMAL) {
            if (err_is(raft_conf_change_decode(entry->type, blob_slice(entry->data), &change)) ||
                err_is(raft_apply_conf_change(
                    node->raft, entry->index, &change, &node->last.conf, &why))) {
                script_die(group->c, "a committed conf change cannot be applied");
            }
        }
        node->last.index = entry->index;
        node->last.term = entry->term;
        struct raft_snapshot *made = raft_snapshot_new(&node->last, NULL);
        check(!err_is(raft_step(
            node->raft, &(struct raft_event){.type = RAFT_SNAPSHOT_MADE, .snapshot = made})));
        raft_snapshot_unref(made);
    }
}

/* Everything on disk and applied at once, as etcd's Ready and Advance. */
static void advance(struct node *node, const struct raft_update *update)
{
    for (size_t i = 0; i < update->after_count; i++) {
        struct raft_event own = {.type = RAFT_RECEIVE, .message = &update->after[i]};
        struct err e = raft_step(node->raft, &own);
        /* A member that was removed does not know itself. */
        check(!err_is(e) || IS(e, PEER_UNKNOWN));
    }
    check(!err_is(raft_step(
        node->raft, &(struct raft_event){.type = RAFT_PERSISTED, .ticket = &update->ticket})));
    if (update->committed_count) {
        uint64_t index = update->committed[update->committed_count - 1].index;
        check(!err_is(
            raft_step(node->raft, &(struct raft_event){.type = RAFT_APPLIED, .index = index})));
    }
}

static void print_messages(
    struct group *group, struct raft_message *messages, size_t count, uint64_t self)
{
    for (size_t i = 0; i < count; i++) {
        if (messages[i].to != self) {
            group_print_message(group, &messages[i], 0);
            group_print(group, "\n");
        }
    }
}

/* The peers' share goes to the queue, what the member tells itself stays. */
static void queue_messages(
    struct group *group, struct raft_message *messages, size_t *count, uint64_t self)
{
    size_t own = 0;
    for (size_t i = 0; i < *count; i++) {
        if (messages[i].to == self) {
            messages[own++] = messages[i];
        } else {
            group_queue(group, messages[i]);
        }
    }
    *count = own;
}

static bool has_peer_message(const struct raft_update *update, uint64_t self)
{
    size_t own = 0;
    for (size_t i = 0; i < update->after_count; i++) {
        own += update->after[i].to == self;
    }
    return update->messages_count > 0 || update->after_count > own;
}

/* Only what is to be seen counts: what a member tells itself is not. */
static bool is_empty(const struct raft_update *update, bool has_messages)
{
    return !update->has_soft_state && !update->has_hard_state && !update->reads_count &&
           !update->entries_count && !update->snapshot && !update->committed_count && !has_messages;
}

static void print_ready(struct group *group, struct node *node, struct raft_update *update)
{
    uint64_t self = node->options.id;
    bool has_messages =
        node->is_async ? update->messages_count || update->needs_persist || update->committed_count
                       : has_peer_message(update, self);
    if (is_empty(update, has_messages)) {
        group_print(group, "<empty Ready>");
        return;
    }
    group_print(group, "Ready MustSync=%s:\n", update->must_sync ? "true" : "false");
    print_states(group, update);
    if (has_messages) {
        group_print(group, "Messages:\n");
    }
    print_messages(group, update->messages, update->messages_count, self);
    if (!node->is_async) {
        print_messages(group, update->after, update->after_count, self);
    }
}

void node_process_ready(struct group *group, struct node *node)
{
    struct raft_update update;
    raft_update_init(&update);
    raft_take_update(node->raft, &update);
    uint64_t self = node->options.id;
    print_ready(group, node, &update);
    queue_messages(group, update.messages, &update.messages_count, self);
    if (node->is_async) {
        if (update.needs_persist) {
            push_work(group, &node->append, make_append(node, &update));
        }
        if (update.committed_count) {
            push_work(group, &node->apply, make_apply(node, &update));
        }
    } else {
        write_disk(node, update.snapshot, update.entries, update.entries_count);
        apply_entries(group, node, update.committed, update.committed_count);
        queue_messages(group, update.after, &update.after_count, self);
        advance(node, &update);
    }
    raft_update_fini(&update);
}

static bool pop_work(struct work_queue *queue, struct work *out)
{
    if (queue->count == 0) {
        return false;
    }
    *out = queue->items[0];
    queue->count--;
    memmove(queue->items, queue->items + 1, queue->count * sizeof(*queue->items));
    return true;
}

static void finish_work(struct group *group, struct work *work)
{
    group_print(group, "Responses:\n");
    for (size_t i = 0; i < work->answers_count; i++) {
        group_print_message(group, &work->answers[i], 0);
        group_print(group, "\n");
        group_queue(group, work->answers[i]);
    }
    work->answers_count = 0;
    work_fini(work);
}

static void begin_work(struct group *group, const struct work *work)
{
    group_print(group, "Processing:\n");
    group_print_message(group, &work->head, 0);
    group_print(group, "\n");
}

void node_process_append(struct group *group, struct node *node)
{
    struct work work;
    if (!pop_work(&node->append, &work)) {
        group_print(group, "no append work to perform");
        return;
    }
    begin_work(group, &work);
    write_disk(node, work.head.snapshot, work.head.entries, work.head.entries_count);
    finish_work(group, &work);
}

void node_process_apply(struct group *group, struct node *node)
{
    struct work work;
    if (!pop_work(&node->apply, &work)) {
        group_print(group, "no apply work to perform");
        return;
    }
    begin_work(group, &work);
    apply_entries(group, node, work.head.entries, work.head.entries_count);
    finish_work(group, &work);
}
