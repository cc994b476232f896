/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "wal/wal.h"

#include <string.h>

enum { TERMS_MAX = 1 << 16, HASH_EVERY = 16 };

/* An entry as its index and term name it. */
struct kept {
    uint64_t term;
    uint64_t prev_term;
    uint32_t hash;
    struct kept *next; /* of the same index, another term */
};

struct place {
    struct kept *entries;
    uint64_t committed_term; /* 0: not known to be committed */
    uint64_t known_in;       /* the term of who first knew that it is */
    bool has_state;
    uint32_t keys; /* hashes of the store once it is applied: the keys, all else */
    uint32_t names;
    int64_t revision;
    int64_t compacted;
};

/* A machine's log, as written and as a power cut would leave it. */
struct shelf {
    uint64_t *written; /* terms by index */
    uint64_t *safe;
    uint64_t written_last;
    uint64_t safe_last;
    uint64_t changed_from; /* since the last sync */
    struct raft_hard_state written_hard;
    struct raft_hard_state safe_hard;
    uint64_t syncs;
    size_t cap;
};

struct view {
    struct shelf shelf;
    uint64_t applied; /* in this life */
    bool has_applied;
    bool is_leading; /* so it was when raft was looked at last */
    uint64_t commit;
    uint64_t *votes;             /* given away, by term; over all lives */
    uint64_t *pre_grants;        /* by how many it was told that it may ask for them, by term */
    struct raft_conf_state conf; /* in force when raft was looked at last */
};

static struct {
    struct place *places;
    size_t cap;
    uint64_t committed;
    uint64_t *leaders; /* by term */
    struct view views[MACHINES_MAX];
} ledger;

static struct place *place_of(uint64_t index)
{
    if (index >= ledger.cap) {
        size_t cap = ledger.cap ? ledger.cap : 1024;
        while (cap <= index) {
            cap *= 2;
        }
        ledger.places = mem_grow(ledger.places, cap * sizeof(*ledger.places));
        memset(&ledger.places[ledger.cap], 0, (cap - ledger.cap) * sizeof(*ledger.places));
        ledger.cap = cap;
    }
    return &ledger.places[index];
}

static struct kept *kept_find(uint64_t index, uint64_t term)
{
    for (struct kept *kept = place_of(index)->entries; kept; kept = kept->next) {
        if (kept->term == term) {
            return kept;
        }
    }
    return NULL;
}

static uint32_t hash_of(const struct raft_entry *entry)
{
    struct slice data = blob_slice(entry->data);
    return crc32c(crc32c(0, slice_of(&entry->type, sizeof(entry->type))), data);
}

uint64_t ledger_committed(void)
{
    return ledger.committed;
}

static const char *name_of(const struct machine *machine)
{
    return machine->host.name;
}

#define U(number) ((unsigned long long)(number))

/* Log matching. */
static void note_entry(
    const struct machine *machine, const struct raft_entry *entry, uint64_t prev_term)
{
    struct kept *kept = kept_find(entry->index, entry->term);
    uint32_t hash = hash_of(entry);
    if (!kept) {
        struct place *place = place_of(entry->index);
        kept = mem_new(sizeof(*kept));
        *kept = (struct kept){entry->term, prev_term, hash, place->entries};
        place->entries = kept;
        run.tally.entries++;
    } else if (kept->hash != hash) {
        run_fail("%s: entry %llu of term %llu holds something else than elsewhere",
            name_of(machine), U(entry->index), U(entry->term));
    } else if (kept->prev_term && prev_term && kept->prev_term != prev_term) {
        run_fail("%s: before entry %llu of term %llu comes term %llu, elsewhere %llu",
            name_of(machine), U(entry->index), U(entry->term), U(prev_term), U(kept->prev_term));
    }
    kept->prev_term = kept->prev_term ? kept->prev_term : prev_term;
}

static void note_committed(
    const struct machine *machine, const struct raft_entry *entry, uint64_t term)
{
    struct place *place = place_of(entry->index);
    if (!place->committed_term) {
        place->committed_term = entry->term;
        place->known_in = term;
        if (entry->index > ledger.committed) {
            ledger.committed = entry->index;
        }
    } else if (place->committed_term != entry->term) {
        run_fail("%s: committed entry %llu is of term %llu, elsewhere of %llu", name_of(machine),
            U(entry->index), U(entry->term), U(place->committed_term));
    }
    note_entry(machine, entry, 0);
}

static uint64_t *by_term(uint64_t **terms, uint64_t term)
{
    check(term < TERMS_MAX);
    if (!*terms) {
        *terms = mem_new(TERMS_MAX * sizeof(**terms));
    }
    return &(*terms)[term];
}

/* One leader a term, and that one has all that was committed in terms before. */
static void note_leader(const struct machine *machine, const struct raft *raft, uint64_t term)
{
    uint64_t top = ledger.committed;
    uint64_t *leader = by_term(&ledger.leaders, term);
    if (*leader && *leader != machine->id) {
        run_fail("%s leads in term %llu, as does another", name_of(machine), U(term));
    }
    *leader = machine->id;
    run.tally.elections++;
    while (top && place_of(top)->known_in >= term) {
        top--;
    }
    if (raft_last_index(raft) < top) {
        run_fail("%s leads in term %llu without the committed entry %llu", name_of(machine),
            U(term), U(top));
    }
    uint64_t found = raft_term_at(raft, top);
    if (top && found && found != place_of(top)->committed_term) {
        run_fail("%s leads in term %llu with entry %llu of term %llu, committed of %llu",
            name_of(machine), U(term), U(top), U(found), U(place_of(top)->committed_term));
    }
    run_note("%s leads in term %llu, %llu committed", name_of(machine), U(term), U(top));
}

/* A leader counts entries of its own term only: one of an older term that is on a majority's disks
 * may be written over yet. */
static void note_count(const struct machine *machine, const struct raft *raft, uint64_t index)
{
    uint64_t own = raft_hard_state_get(raft).term;
    uint64_t term = raft_term_at(raft, index);
    if (term && term != own) {
        run_fail("%s: leads in term %llu and commits entry %llu of term %llu", name_of(machine),
            U(own), U(index), U(term));
    }
}

/* What is committed is on the disks of a majority, as a power cut would leave them. */
static size_t count_safe(const struct raft_ids *voters, uint64_t index, uint64_t term)
{
    size_t count = 0;
    for (size_t i = 0; i < voters->count; i++) {
        struct machine *machine = machine_of_id(voters->ids[i]);
        const struct shelf *shelf = machine ? &ledger.views[machine->number].shelf : NULL;
        count += shelf && shelf->safe_last >= index && index < shelf->cap &&
                 (shelf->safe[index] == term || shelf->safe[index] == 0);
    }
    return count;
}

static bool is_safe(const struct raft_conf_state *conf, uint64_t index, uint64_t term)
{
    bool is_out = conf->voters_outgoing.count == 0 ||
                  count_safe(&conf->voters_outgoing, index, term) > conf->voters_outgoing.count / 2;
    return is_out && count_safe(&conf->voters, index, term) > conf->voters.count / 2;
}

static void note_commit(const struct machine *machine, struct view *view, const struct raft *raft)
{
    struct raft_status *status = mem_new(sizeof(*status));
    uint64_t index = raft_hard_state_get(raft).commit;
    uint64_t term = raft_term_at(raft, index);
    raft_status_get(raft, status);
    /* A change that came into force in the same turn does not count yet. */
    if (term && index > view->commit && status->soft_state.role == RAFT_LEADER &&
        !is_safe(&status->conf, index, term) && !is_safe(&view->conf, index, term)) {
        run_fail("%s: entry %llu of term %llu is committed and not on a majority's disks",
            name_of(machine), U(index), U(term));
    }
    if (view->is_leading && status->soft_state.role == RAFT_LEADER) {
        note_count(machine, raft, index);
    }
    view->commit = index;
    view->conf = status->conf;
    free(status);
}

__typeof__(raft_take_update) __real_raft_take_update;
__typeof__(raft_take_update) __wrap_raft_take_update;
void __wrap_raft_take_update(struct raft *raft, struct raft_update *update)
{
    __real_raft_take_update(raft, update);
    const struct machine *machine = machine_here();
    struct view *view = &ledger.views[machine->number];
    for (size_t i = 0; i < update->entries_count; i++) {
        const struct raft_entry *entry = &update->entries[i];
        uint64_t prev = i ? update->entries[i - 1].term : raft_term_at(raft, entry->index - 1);
        note_entry(machine, entry, prev);
    }
    for (size_t i = 0; i < update->committed_count; i++) {
        note_committed(machine, &update->committed[i], raft_hard_state_get(raft).term);
    }
    if (update->has_soft_state && update->soft_state.role == RAFT_LEADER) {
        note_leader(machine, raft, raft_hard_state_get(raft).term);
    }
    if (raft_hard_state_get(raft).commit != view->commit) {
        note_commit(machine, view, raft);
    }
    view->is_leading = raft_soft_state_get(raft).role == RAFT_LEADER;
}

/* The log. */

static void shelf_grow(struct shelf *shelf, uint64_t index)
{
    if (index < shelf->cap) {
        return;
    }
    size_t cap = shelf->cap ? shelf->cap : 1024;
    while (cap <= index) {
        cap *= 2;
    }
    shelf->written = mem_grow(shelf->written, cap * sizeof(uint64_t));
    shelf->safe = mem_grow(shelf->safe, cap * sizeof(uint64_t));
    memset(&shelf->written[shelf->cap], 0, (cap - shelf->cap) * sizeof(uint64_t));
    memset(&shelf->safe[shelf->cap], 0, (cap - shelf->cap) * sizeof(uint64_t));
    shelf->cap = cap;
}

static void shelf_write(struct shelf *shelf, const struct raft_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        shelf_grow(shelf, entries[i].index);
        shelf->written[entries[i].index] = entries[i].term;
        shelf->written_last = entries[i].index;
        /* Any of them may step back. */
        if (!shelf->changed_from || entries[i].index < shelf->changed_from) {
            shelf->changed_from = entries[i].index;
        }
    }
}

static void shelf_sync(struct shelf *shelf)
{
    for (uint64_t i = shelf->changed_from; i && i <= shelf->written_last; i++) {
        shelf->safe[i] = shelf->written[i];
    }
    shelf->safe_last = shelf->written_last;
    shelf->safe_hard = shelf->written_hard;
    shelf->changed_from = 0;
}

static void shelf_take(struct shelf *shelf, const struct raft_hard_state *hard,
    const struct raft_entry *entries, size_t count)
{
    shelf_write(shelf, entries, count);
    if (hard && (hard->term || hard->vote || hard->commit)) {
        shelf->written_hard = *hard;
    }
}

/* A log of which nothing is known but that it was let go up to there: 0 stands for any term. */
static void shelf_jump(struct shelf *shelf, uint64_t index)
{
    shelf_grow(shelf, index);
    memset(shelf->written, 0, (index + 1) * sizeof(uint64_t));
    shelf->written_last = shelf->written_last > index ? shelf->written_last : index;
    shelf->changed_from = 1;
}

__typeof__(wal_append) __real_wal_append;
__typeof__(wal_append) __wrap_wal_append;
struct err __wrap_wal_append(
    struct wal *wal, const struct wal_batch *batch, struct wal_cost *out_cost, struct why *why)
{
    struct machine *machine = machine_here();
    struct shelf *shelf = &ledger.views[machine->number].shelf;
    uint64_t syncs = machine->disk.log_syncs;
    shelf_take(shelf, batch->hard, batch->entries, batch->entries_count);
    struct err err = __real_wal_append(wal, batch, out_cost, why);
    if (!err_is(err) && machine->disk.log_syncs != syncs) {
        shelf_sync(shelf);
    }
    return err;
}

__typeof__(wal_save_snapshot) __real_wal_save_snapshot;
__typeof__(wal_save_snapshot) __wrap_wal_save_snapshot;
struct err __wrap_wal_save_snapshot(
    struct wal *wal, const struct wal_snapshot *snapshot, struct why *why)
{
    struct shelf *shelf = &ledger.views[machine_here()->number].shelf;
    struct err err = __real_wal_save_snapshot(wal, snapshot, why);
    if (!err_is(err) && snapshot->index > shelf->written_last) {
        shelf_jump(shelf, snapshot->index);
    }
    return err;
}

/* What was safe is what a life begins with, or it goes on from there. */
static void check_hard(const struct machine *machine, const struct raft_hard_state *found)
{
    const struct raft_hard_state *safe = &ledger.views[machine->number].shelf.safe_hard;
    if (found->term < safe->term ||
        (found->term == safe->term && safe->vote && found->vote != safe->vote)) {
        run_fail("%s: its log was left at term %llu with a vote for %llx, and is opened at term "
                 "%llu with a vote for %llx",
            name_of(machine), U(safe->term), U(safe->vote), U(found->term), U(found->vote));
    }
}

void ledger_opened(
    const struct machine *machine, uint64_t snapshot, const struct wal_log *log, bool is_synced)
{
    struct shelf *shelf = &ledger.views[machine->number].shelf;
    check_hard(machine, &log->hard);
    shelf->written_last = 0;
    shelf_jump(shelf, snapshot);
    shelf_take(shelf, &log->hard, log->entries, log->entries_count);
    shelf->written_hard = log->hard; /* what a failed write had of it may be gone */
    if (log->entries_count == 0) {
        shelf->written_last = snapshot;
    }
    if (is_synced) {
        shelf_sync(shelf);
    }
}

void ledger_begin_life(int machine)
{
    struct view *view = &ledger.views[machine];
    view->has_applied = false;
    view->is_leading = false;
    view->commit = 0;
}

static void promise_vote(const struct machine *machine, const struct raft_message *message)
{
    const struct raft_hard_state *safe = &ledger.views[machine->number].shelf.safe_hard;
    uint64_t vote = message->type == RAFT_MSG_VOTE ? message->from : message->to;
    uint64_t *given = by_term(&ledger.views[machine->number].votes, message->term);
    if (*given && *given != vote) {
        run_fail("%s votes for two in term %llu", name_of(machine), U(message->term));
    }
    *given = vote;
    if (safe->term < message->term || (safe->term == message->term && safe->vote != vote)) {
        run_fail("%s: a vote of term %llu leaves that is not on disk", name_of(machine),
            U(message->term));
    }
}

/* Nobody disturbs a term unless another has said that it would vote for it in the next: a member
 * that was cut off deposes no leader. A leader that hands over asks for that. */
static void promise_campaign(const struct machine *machine, const struct raft_message *message)
{
    struct machine *candidate = machine_of_id(message->to);
    if (message->type == RAFT_MSG_PRE_VOTE_RESP && candidate) {
        ++*by_term(&ledger.views[candidate->number].pre_grants, message->term);
    } else if (message->type == RAFT_MSG_VOTE && !message->context &&
               !*by_term(&ledger.views[machine->number].pre_grants, message->term)) {
        run_fail("%s asks for votes in term %llu, and nobody said that it may", name_of(machine),
            U(message->term));
    }
}

static void promise_entries(const struct machine *machine, const struct raft_message *message)
{
    const struct shelf *shelf = &ledger.views[machine->number].shelf;
    if (message->index > shelf->safe_last) {
        run_fail("%s: acknowledges entry %llu and has %llu on disk", name_of(machine),
            U(message->index), U(shelf->safe_last));
    }
}

void ledger_promise(const struct machine *machine, const struct raft_message *message)
{
    bool is_vote = message->type == RAFT_MSG_VOTE || message->type == RAFT_MSG_VOTE_RESP;
    if (is_vote && !message->reject) {
        promise_vote(machine, message);
    }
    if (!message->reject) {
        promise_campaign(machine, message);
    }
    if (message->type == RAFT_MSG_APP_RESP && !message->reject) {
        promise_entries(machine, message);
    }
}

/* Applying. */

__typeof__(apply_entry) __real_apply_entry;
__typeof__(apply_entry) __wrap_apply_entry;
struct err __wrap_apply_entry(struct apply *apply, const struct raft_entry *entry,
    const struct apply_sink *sink, struct why *why)
{
    const struct machine *machine = machine_here();
    struct view *view = &ledger.views[machine->number];
    uint64_t stands = apply_index(apply);
    if (entry->index > stands + 1) {
        run_fail("%s: applies entry %llu after %llu", name_of(machine), U(entry->index), U(stands));
    }
    if (view->has_applied && entry->index <= view->applied) {
        run_fail("%s: applies entry %llu twice", name_of(machine), U(entry->index));
    }
    note_committed(machine, entry, raft_hard_state_get(machine->process->storage.raft).term);
    view->applied = entry->index;
    view->has_applied = true;
    return __real_apply_entry(apply, entry, sink, why);
}

/* Rows that every member has alike at the same index. */
static uint32_t hash_names(struct backend *backend, uint32_t hash)
{
    static const char *const own[] = {"mconsistent_index", "mfinishedCompactRev", "mformat",
        "minstalling", "mscheduledCompactRev"};
    struct slice key;
    struct slice value;
    struct backend_iter *iter = backend_iter_open(backend, NULL, SLICE("m"), SLICE("n"));
    while (backend_iter_next(iter, &key, &value)) {
        /* Also said of a store that came from elsewhere, where it is off. */
        bool is_own = slice_eq(key, SLICE("mauth_enabled")) && value.len == 1 && !value.data[0];
        /* A name that its member has not published itself is not in a snapshot, as in etcd's. */
        is_own = is_own || (slice_has_prefix(key, SLICE("mmember/")) &&
                               !memmem(value.data, value.len, ":2379", 5));
        for (size_t i = 0; i < COUNT_OF(own); i++) {
            is_own = is_own || slice_eq(key, slice_str(own[i]));
        }
        if (!is_own) {
            hash = crc32c(crc32c(hash, key), value);
        }
    }
    backend_iter_close(iter);
    return hash;
}

static bool is_same_state(const struct place *a, const struct place *b)
{
    return a->keys == b->keys && a->names == b->names && a->revision == b->revision &&
           a->compacted == b->compacted;
}

void ledger_state(const struct machine *machine, const struct apply *apply)
{
    const struct apply_options *options = apply_options_get(apply);
    struct mvcc_hash hash = {0};
    uint64_t index = apply_index(apply);
    if (err_is(mvcc_hash_kv(options->mvcc, 0, &hash, NULL))) {
        return;
    }
    struct place *place = place_of(index);
    struct place found = {.keys = hash.hash,
        .names = hash_names(options->backend, 0),
        .revision = hash.current_rev,
        .compacted = hash.compact_rev};
    if (place->has_state && !is_same_state(place, &found)) {
        run_fail("%s: at index %llu its state is %08x %08x at revision %lld, %lld compacted; "
                 "elsewhere %08x %08x at %lld, %lld",
            name_of(machine), U(index), found.keys, found.names, (long long)found.revision,
            (long long)found.compacted, place->keys, place->names, (long long)place->revision,
            (long long)place->compacted);
    }
    place->has_state = true;
    place->keys = found.keys;
    place->names = found.names;
    place->revision = found.revision;
    place->compacted = found.compacted;
}

__typeof__(apply_commit) __real_apply_commit;
__typeof__(apply_commit) __wrap_apply_commit;
struct err __wrap_apply_commit(struct apply *apply, struct why *why)
{
    struct err err = __real_apply_commit(apply, why);
    if (!err_is(err) && apply_index(apply) % HASH_EVERY == 0) {
        ledger_state(machine_here(), apply);
    }
    return err;
}
