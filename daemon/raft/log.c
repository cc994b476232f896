/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/log.h"

#include "base/codec.h"
#include "base/mem.h"
#include "base/mutation.h"

/* Marks and snapshots after any change that puts the log behind a new base. */
static void rebase(struct raft_log *log, const struct raft_snapshot_meta *base)
{
    log->base_index = base->index;
    log->base_term = base->term;
    log->committed = base->index;
    log->stable_next = log->taken_next = raft_log_last(log) + 1;
}

void raft_log_init(struct raft_log *log, const struct raft_snapshot_meta *base,
    const struct raft_entry *entries, size_t count)
{
    *log = (struct raft_log){.applying_bytes_max = UINT64_MAX};
    rebase(log, base);
    log->applying = log->applied = base->index;
    if (base->index > 0) {
        log->made = raft_snapshot_new(base, NULL);
    }
    raft_log_append(log, entries, count);
    log->stable_next = log->taken_next = raft_log_last(log) + 1;
}

static void drop_first(struct raft_log *log, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        blob_unref(log->entries[log->start + i].data);
    }
    log->start += count;
    log->count -= count;
}

static void drop_last(struct raft_log *log, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        blob_unref(log->entries[log->start + log->count - 1 - i].data);
    }
    log->count -= count;
}

void raft_log_fini(struct raft_log *log)
{
    drop_last(log, log->count);
    free(log->entries);
    raft_snapshot_unref(log->incoming);
    raft_snapshot_unref(log->made);
    *log = (struct raft_log){0};
}

static const struct raft_entry *entry_at(const struct raft_log *log, uint64_t index)
{
    return &log->entries[log->start + (size_t)(index - raft_log_first(log))];
}

bool raft_log_term(const struct raft_log *log, uint64_t index, uint64_t *out_term)
{
    if (index < log->base_index || index > raft_log_last(log)) {
        return false;
    }
    *out_term = index == log->base_index ? log->base_term : entry_at(log, index)->term;
    return true;
}

uint64_t raft_log_last_term(const struct raft_log *log)
{
    return log->count ? entry_at(log, raft_log_last(log))->term : log->base_term;
}

bool raft_log_matches(const struct raft_log *log, uint64_t index, uint64_t term)
{
    uint64_t ours;
    return raft_log_term(log, index, &ours) && ours == term;
}

bool raft_log_is_up_to_date(const struct raft_log *log, uint64_t index, uint64_t term)
{
    uint64_t ours = raft_log_last_term(log);
    return term > ours || (term == ours && index >= raft_log_last(log));
}

uint64_t raft_log_conflict_by_term(
    const struct raft_log *log, uint64_t index, uint64_t term, uint64_t *out_term)
{
    for (; index > 0; index--) {
        uint64_t ours;
        if (!raft_log_term(log, index, &ours)) {
            *out_term = 0;
            return index;
        }
        if (ours <= term) {
            *out_term = ours;
            return index;
        }
    }
    *out_term = 0;
    return 0;
}

/* Room for count more at the end: by moving down when half of the array is free, else by growing.
 */
static void make_room(struct raft_log *log, size_t count)
{
    if (log->start + log->count + count <= log->cap) {
        return;
    }
    size_t need = log->count + count;
    if (need > log->cap / 2) {
        size_t cap = log->cap ? log->cap * 2 : 64;
        while (cap < need) {
            cap *= 2;
        }
        log->entries = mem_grow(log->entries, cap * sizeof(*log->entries));
        log->cap = cap;
    }
    memmove(log->entries, log->entries + log->start, log->count * sizeof(*log->entries));
    log->start = 0;
}

void raft_log_append(struct raft_log *log, const struct raft_entry *entries, size_t count)
{
    if (count == 0) {
        return;
    }
    uint64_t from = entries[0].index;
    check(from > log->committed && from <= raft_log_last(log) + 1);
    drop_last(log, (size_t)(raft_log_last(log) + 1 - from));
    if (log->stable_next > from) {
        log->stable_next = from;
    }
    if (log->taken_next > from) {
        log->taken_next = from;
    }
    make_room(log, count);
    struct raft_entry *to = log->entries + log->start + log->count;
    for (size_t i = 0; i < count; i++) {
        to[i] = entries[i];
        blob_ref(to[i].data);
    }
    log->count += count;
}

struct err raft_log_commit_to(struct raft_log *log, uint64_t index)
{
    if (index <= log->committed) {
        return OK;
    }
    if (index > raft_log_last(log)) {
        return ERR(CORRUPT);
    }
    log->committed = index;
    return OK;
}

struct err raft_log_maybe_append(
    struct raft_log *log, const struct raft_message *append, bool *out_matched)
{
    *out_matched = raft_log_matches(log, append->index, append->log_term);
    if (!*out_matched) {
        return OK;
    }
    size_t at = 0;
    while (at < append->entries_count &&
           raft_log_matches(log, append->entries[at].index, append->entries[at].term)) {
        at++;
    }
    if (at < append->entries_count &&
        !(MUTATE(CONFLICT_KEPT) && append->entries[at].index <= raft_log_last(log))) {
        if (append->entries[at].index <= log->committed) {
            return ERR(CORRUPT);
        }
        raft_log_append(log, append->entries + at, append->entries_count - at);
    }
    uint64_t last_new = append->index + append->entries_count;
    return raft_log_commit_to(log, append->commit < last_new ? append->commit : last_new);
}

uint64_t raft_entry_size(const struct raft_entry *entry)
{
    uint64_t size = 3 + varint_size(entry->type) + varint_size(entry->term);
    size += varint_size(entry->index);
    if (entry->data) {
        size += 1 + varint_size(entry->data->len) + entry->data->len;
    }
    return size;
}

uint64_t raft_entries_size(const struct raft_entry *entries, size_t count)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += raft_entry_size(&entries[i]);
    }
    return size;
}

uint64_t raft_payload_size(const struct raft_entry *entries, size_t count)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += entries[i].data ? entries[i].data->len : 0;
    }
    return size;
}

const struct raft_entry *raft_log_slice(
    const struct raft_log *log, uint64_t lo, uint64_t hi, uint64_t bytes_max, size_t *out_count)
{
    check(lo > log->base_index && lo <= hi && hi <= raft_log_last(log) + 1);
    const struct raft_entry *entries = entry_at(log, lo);
    size_t all = (size_t)(hi - lo);
    size_t count = all;
    if (bytes_max != UINT64_MAX && all > 0) {
        uint64_t size = raft_entry_size(entries);
        for (count = 1; count < all; count++) {
            size += raft_entry_size(&entries[count]);
            if (size > bytes_max) {
                break;
            }
        }
    }
    *out_count = count;
    return entries;
}

uint64_t raft_log_conf_change(const struct raft_log *log, uint64_t from, uint64_t to)
{
    from = from > log->base_index ? from : log->base_index;
    for (uint64_t index = from + 1; index <= to && index <= raft_log_last(log); index++) {
        if (entry_at(log, index)->type != RAFT_ENTRY_NORMAL) {
            return index;
        }
    }
    return 0;
}

const struct raft_entry *raft_log_to_persist(const struct raft_log *log, size_t *out_count)
{
    uint64_t end = raft_log_last(log) + 1;
    *out_count = (size_t)(end - log->taken_next);
    return *out_count ? entry_at(log, log->taken_next) : NULL;
}

static uint64_t appliable(const struct raft_log *log, bool allow_unstable)
{
    uint64_t stable = log->stable_next - 1;
    return allow_unstable || log->committed < stable ? log->committed : stable;
}

const struct raft_entry *raft_log_to_apply(
    const struct raft_log *log, bool allow_unstable, size_t *out_count)
{
    uint64_t last = appliable(log, allow_unstable);
    if (log->is_applying_paused || log->incoming || last <= log->applying) {
        *out_count = 0;
        return NULL;
    }
    uint64_t room = log->applying_bytes_max == UINT64_MAX
                        ? UINT64_MAX
                        : log->applying_bytes_max - log->applying_bytes;
    return raft_log_slice(log, log->applying + 1, last + 1, room, out_count);
}

void raft_log_taken(struct raft_log *log)
{
    log->taken_next = raft_log_last(log) + 1;
    log->is_incoming_taken = log->incoming != NULL;
}

void raft_log_applying(struct raft_log *log, uint64_t last, uint64_t bytes, bool allow_unstable)
{
    check(last <= log->committed);
    log->applying = last;
    log->applying_bytes += bytes;
    log->is_applying_paused =
        log->applying_bytes >= log->applying_bytes_max || last < appliable(log, allow_unstable);
}

uint64_t raft_log_applied(struct raft_log *log, uint64_t index)
{
    uint64_t payload = 0;
    uint64_t bytes = 0;
    check(index <= log->committed);
    uint64_t from = log->applied > log->base_index ? log->applied : log->base_index;
    if (index > from && log->count > 0) {
        size_t count = (size_t)(index - from);
        bool is_counted = log->applying_bytes_max != UINT64_MAX;
        bytes = is_counted ? raft_entries_size(entry_at(log, from + 1), count) : 0;
        payload = raft_payload_size(entry_at(log, from + 1), count);
    }
    log->applied = index > log->applied ? index : log->applied;
    log->applying = log->applying > log->applied ? log->applying : log->applied;
    log->applying_bytes -= bytes < log->applying_bytes ? bytes : log->applying_bytes;
    log->is_applying_paused = log->applying_bytes >= log->applying_bytes_max;
    return payload;
}

void raft_log_stable_to(struct raft_log *log, uint64_t index, uint64_t term)
{
    /* Anything else was overwritten on its way, or reported before. */
    if (index < log->stable_next || !raft_log_matches(log, index, term)) {
        return;
    }
    log->stable_next = index + 1;
    if (log->taken_next < log->stable_next) {
        log->taken_next = log->stable_next;
    }
}

void raft_log_snapshot_stable(struct raft_log *log, uint64_t index)
{
    if (log->incoming && log->incoming->meta.index == index) {
        raft_log_snapshot_made(log, log->incoming);
        raft_snapshot_unref(log->incoming);
        log->incoming = NULL;
        log->is_incoming_taken = false;
    }
}

void raft_log_restore(struct raft_log *log, struct raft_snapshot *snapshot)
{
    drop_last(log, log->count);
    log->start = 0;
    rebase(log, &snapshot->meta);
    /* What is being applied left the log; its sizes are settled here. */
    log->applying_bytes = 0;
    log->is_applying_paused = false;
    raft_snapshot_unref(log->incoming);
    log->incoming = raft_snapshot_ref(snapshot);
    log->is_incoming_taken = false;
}

void raft_log_snapshot_made(struct raft_log *log, struct raft_snapshot *snapshot)
{
    if (log->made && log->made->meta.index > snapshot->meta.index) {
        return;
    }
    struct raft_snapshot *old = log->made;
    log->made = raft_snapshot_ref(snapshot);
    raft_snapshot_unref(old);
}

void raft_log_compact(struct raft_log *log, uint64_t index)
{
    check(index <= log->applied && index <= raft_log_last(log));
    if (index <= log->base_index) {
        return;
    }
    log->base_term = entry_at(log, index)->term;
    drop_first(log, (size_t)(index - log->base_index));
    log->base_index = index;
}
