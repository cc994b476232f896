/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole groups under a bad network and slow disks, with crashes, conf changes, snapshots and reads,
 * all from a seed: what one member applies at an index, every member applies there; a term has one
 * leader; a read never misses what was applied before it was asked; in the end all agree.
 * RAFT_CHAOS_SEED and RAFT_CHAOS_COUNT choose other seeds.
 */
#include "base/mem.h"
#include "base/rand.h"
#include "raft/log.h"
#include "test_raft.h"

enum { NODES = 5, INDEX_MAX = 20000, TERM_MAX = 20000, READS_MAX = 20000, FLIGHT_MAX = 4 };

struct node {
    struct raft *raft;
    /* On disk. */
    struct raft_log disk;
    struct raft_conf_state disk_conf; /* at the base of the log */
    struct raft_hard_state hard;
    uint64_t synced_commit; /* a commit index alone is not synced, but with what comes next */
    /* On their way to it. */
    struct raft_update flight[FLIGHT_MAX];
    size_t flight_count;
    /* The application, lost with a crash. */
    uint64_t applied;
    struct raft_conf_state conf;
    struct raft_update todo; /* committed entries to apply; one batch at a time */
    bool is_cut_off;
};

struct applied {
    uint64_t term;
    uint64_t value;
};

struct world {
    struct rand rand;
    struct node nodes[NODES + 1]; /* by id */
    struct raft_message *net;
    size_t net_count;
    size_t net_cap;
    struct applied *applied; /* by index; the first to apply says what is right */
    uint64_t applied_max;
    uint64_t *leaders; /* by term */
    uint64_t *reads;   /* by request: what may not be missed */
    size_t reads_count;
    size_t reads_answered;
    uint64_t value;
    struct raft_options options;
    bool is_healed;
    bool has_conf_changes;
};

static uint64_t value_of(const struct raft_entry *entry)
{
    uint64_t value = entry->type;
    if (entry->data && entry->data->len == sizeof(value)) {
        memcpy(&value, entry->data->data, sizeof(value));
    }
    return value;
}

static struct blob *new_value(struct world *world)
{
    world->value++;
    return blob_new(slice_of(&world->value, sizeof(world->value)));
}

static void start(struct world *world, uint64_t id)
{
    struct node *node = &world->nodes[id];
    struct raft_options options = world->options;
    struct raft_snapshot_meta meta = {
        .index = node->disk.base_index, .term = node->disk.base_term, .conf = node->disk_conf};
    options.id = id;
    options.seed = rand_u64(&world->rand);
    options.snapshot = &meta;
    options.entries = node->disk.entries ? node->disk.entries + node->disk.start : NULL;
    options.entries_count = node->disk.count;
    options.hard_state = node->hard;
    node->applied = meta.index;
    node->conf = meta.conf;
    node->raft = test_new(&options);
}

/* What a snapshot holds is committed, whatever the last hard state on disk says. */
static void lift_commit(struct node *node)
{
    if (node->hard.commit < node->disk.base_index) {
        node->hard.commit = node->disk.base_index;
    }
}

static void crash(struct world *world, uint64_t id)
{
    struct node *node = &world->nodes[id];
    for (size_t i = 0; i < node->flight_count; i++) {
        raft_update_fini(&node->flight[i]);
    }
    node->flight_count = 0;
    raft_update_fini(&node->todo);
    raft_free(node->raft);
    if (rand_below(&world->rand, 2) == 0) {
        node->hard.commit = node->synced_commit;
        lift_commit(node);
    }
    start(world, id);
}

static void net_add(struct world *world, struct raft_message message)
{
    if (world->net_count == world->net_cap) {
        world->net_cap = world->net_cap ? world->net_cap * 2 : 64;
        world->net = mem_grow(world->net, world->net_cap * sizeof(*world->net));
    }
    world->net[world->net_count++] = message;
}

static void net_add_all(struct world *world, struct raft_message *messages, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        net_add(world, messages[i]);
    }
    *count = 0;
}

static void check_leader(struct world *world, const struct node *node, uint64_t id)
{
    uint64_t term = raft_hard_state_get(node->raft).term;
    assert_true(term < TERM_MAX);
    if (raft_soft_state_get(node->raft).role == RAFT_LEADER) {
        assert_true(world->leaders[term] == 0 || world->leaders[term] == id);
        world->leaders[term] = id;
    }
}

static void check_reads(struct world *world, const struct raft_update *update)
{
    for (size_t i = 0; i < update->reads_count; i++) {
        uint64_t request;
        memcpy(&request, update->reads[i].context->data, sizeof(request));
        assert_true(update->reads[i].index >= world->reads[request]);
        world->reads_answered++;
    }
}

static void take_update(struct world *world, uint64_t id)
{
    struct node *node = &world->nodes[id];
    check_leader(world, node, id);
    if (node->flight_count == FLIGHT_MAX || node->todo.committed_count ||
        !raft_has_update(node->raft)) {
        return;
    }
    struct raft_update update;
    raft_update_init(&update);
    raft_take_update(node->raft, &update);
    net_add_all(world, update.messages, &update.messages_count);
    check_reads(world, &update);
    if (update.committed_count) {
        raft_update_fini(&node->todo);
        node->todo.committed = update.committed;
        node->todo.committed_count = update.committed_count;
        update.committed = NULL;
        update.committed_count = update.caps[1] = 0;
    }
    if (update.needs_persist) {
        node->flight[node->flight_count++] = update;
    } else {
        raft_update_fini(&update);
    }
}

/* The oldest update reaches the disk. */
static void persist(struct world *world, uint64_t id)
{
    struct node *node = &world->nodes[id];
    if (node->flight_count == 0) {
        return;
    }
    struct raft_update update = node->flight[0];
    node->flight_count--;
    memmove(node->flight, node->flight + 1, node->flight_count * sizeof(update));
    if (update.has_hard_state) {
        node->hard = update.hard_state;
    }
    if (update.snapshot) {
        raft_log_restore(&node->disk, update.snapshot);
        node->disk_conf = node->conf = update.snapshot->meta.conf;
        node->applied = update.snapshot->meta.index;
        raft_update_reset(&node->todo);
    }
    raft_log_append(&node->disk, update.entries, update.entries_count);
    lift_commit(node);
    node->synced_commit = update.must_sync ? node->hard.commit : node->synced_commit;
    net_add_all(world, update.after, &update.after_count);
    test_step(node->raft, (struct raft_event){.type = RAFT_PERSISTED, .ticket = &update.ticket});
    raft_update_fini(&update);
    check_leader(world, node, id);
}

static void apply_conf(struct node *node, const struct raft_entry *entry)
{
    struct raft_conf_change change;
    struct why why;
    struct slice data = blob_slice(entry->data);
    assert_int_equal(raft_conf_change_decode(entry->type, data, &change).code, ERR_OK);
    struct err e = raft_apply_conf_change(node->raft, entry->index, &change, &node->conf, &why);
    assert_true(!err_is(e) || IS(e, BAD_INPUT));
}

static void apply_entry(struct world *world, struct node *node, const struct raft_entry *entry)
{
    assert_true(entry->index < INDEX_MAX);
    assert_int_equal(entry->index, node->applied + 1);
    struct applied *right = &world->applied[entry->index];
    struct applied mine = {entry->term, value_of(entry)};
    if (right->term == 0) {
        *right = mine;
        world->applied_max = entry->index;
    }
    assert_int_equal(right->term, mine.term);
    assert_int_equal(right->value, mine.value);
    node->applied = entry->index;
}

/* What was applied and what conf changes there were reach raft in either order. */
static void apply(struct world *world, uint64_t id)
{
    struct node *node = &world->nodes[id];
    struct raft_event applied = {.type = RAFT_APPLIED};
    bool is_conf_late = rand_below(&world->rand, 2) == 0;
    if (node->todo.committed_count == 0) {
        return;
    }
    for (size_t i = 0; i < node->todo.committed_count; i++) {
        apply_entry(world, node, &node->todo.committed[i]);
    }
    applied.index = node->applied;
    if (is_conf_late) {
        test_step(node->raft, applied);
    }
    for (size_t i = 0; i < node->todo.committed_count; i++) {
        if (node->todo.committed[i].type != RAFT_ENTRY_NORMAL) {
            apply_conf(node, &node->todo.committed[i]);
        }
    }
    if (!is_conf_late) {
        test_step(node->raft, applied);
    }
    raft_update_reset(&node->todo);
}

static void compact(struct world *world, uint64_t id)
{
    struct node *node = &world->nodes[id];
    uint64_t term = raft_term_at(node->raft, node->applied);
    if (node->todo.committed_count || node->applied <= node->disk.base_index || term == 0 ||
        node->applied > raft_log_last(&node->disk)) {
        return;
    }
    struct raft_snapshot_meta meta = {.index = node->applied, .term = term, .conf = node->conf};
    struct raft_snapshot *made = raft_snapshot_new(&meta, NULL);
    test_step(node->raft, (struct raft_event){.type = RAFT_SNAPSHOT_MADE, .snapshot = made});
    raft_snapshot_unref(made);
    test_step(node->raft, (struct raft_event){.type = RAFT_COMPACT, .index = meta.index});
    node->disk.applied = meta.index;
    raft_log_compact(&node->disk, meta.index);
    node->disk_conf = meta.conf;
    lift_commit(node);
}

/* A snapshot's fate is always known to its sender; nothing else is sent until then. */
static void report_snapshot(struct world *world, const struct raft_message *message, bool is_ok)
{
    if (message->type == RAFT_MSG_SNAP) {
        test_step(world->nodes[message->from].raft,
            (struct raft_event){.type = RAFT_SNAPSHOT_STATUS, .peer = message->to, .is_ok = is_ok});
    }
}

static void receive(struct world *world, struct raft_message *message)
{
    struct node *node = &world->nodes[message->to];
    bool is_lost = node->is_cut_off || world->nodes[message->from].is_cut_off;
    report_snapshot(world, message, !is_lost);
    if (is_lost) {
        return;
    }
    struct err e =
        raft_step(node->raft, &(struct raft_event){.type = RAFT_RECEIVE, .message = message});
    assert_true(!err_is(e) || IS(e, PEER_UNKNOWN) || IS(e, PROPOSAL_DROPPED));
    check_leader(world, node, message->to);
}

/* Any message, not only the oldest; sometimes it stays and comes again, or is lost. */
static void deliver(struct world *world)
{
    if (world->net_count == 0) {
        return;
    }
    size_t at = world->is_healed ? 0 : rand_below(&world->rand, world->net_count);
    uint64_t luck = world->is_healed ? 99 : rand_below(&world->rand, 100);
    if (luck < 5) {
        receive(world, &world->net[at]);
        return;
    }
    struct raft_message message = world->net[at];
    world->net_count--;
    memmove(&world->net[at], &world->net[at + 1], (world->net_count - at) * sizeof(message));
    if (luck >= 10) {
        receive(world, &message);
    } else {
        report_snapshot(world, &message, false);
    }
    raft_message_fini(&message);
}

static void propose(struct world *world, uint64_t id)
{
    struct raft_entry entries[3];
    size_t count = 1 + rand_below(&world->rand, 3);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct raft_entry){.data = new_value(world)};
    }
    struct err e = raft_step(world->nodes[id].raft,
        &(struct raft_event){.type = RAFT_PROPOSE, .entries = entries, .entries_count = count});
    assert_true(!err_is(e) || IS(e, PROPOSAL_DROPPED));
    for (size_t i = 0; i < count; i++) {
        blob_unref(entries[i].data);
    }
}

static void change_conf(struct world *world, uint64_t id)
{
    static const enum raft_conf_change_type types[] = {
        RAFT_ADD_NODE, RAFT_ADD_NODE, RAFT_ADD_LEARNER_NODE, RAFT_REMOVE_NODE};
    struct raft_conf_change change = {.changes_count = rand_below(&world->rand, 4),
        .transition = (enum raft_transition)rand_below(&world->rand, 3),
        .is_v1 = rand_below(&world->rand, 2) == 0};
    if (change.is_v1) {
        change.changes_count = 1;
        change.transition = RAFT_TRANSITION_AUTO;
    }
    for (size_t i = 0; i < change.changes_count; i++) {
        change.changes[i].type = types[rand_below(&world->rand, COUNT_OF(types))];
        change.changes[i].node_id = 1 + rand_below(&world->rand, NODES);
    }
    struct err e = raft_step(world->nodes[id].raft,
        &(struct raft_event){.type = RAFT_PROPOSE_CONF, .conf_change = &change});
    assert_true(!err_is(e) || IS(e, PROPOSAL_DROPPED));
}

static void read_index(struct world *world, uint64_t id)
{
    uint64_t request = world->reads_count++;
    assert_true(request < READS_MAX);
    world->reads[request] = world->applied_max;
    struct blob *context = blob_new(slice_of(&request, sizeof(request)));
    struct err e = raft_step(
        world->nodes[id].raft, &(struct raft_event){.type = RAFT_READ_INDEX, .context = context});
    assert_true(!err_is(e) || IS(e, NO_LEADER));
    blob_unref(context);
}

static void transfer(struct world *world, uint64_t id)
{
    uint64_t to = 1 + rand_below(&world->rand, NODES);
    struct err e =
        raft_step(world->nodes[id].raft, &(struct raft_event){.type = RAFT_TRANSFER, .peer = to});
    assert_true(!err_is(e) || IS(e, NO_LEADER));
}

static void tick(struct world *world, uint64_t id)
{
    test_step(world->nodes[id].raft, (struct raft_event){.type = RAFT_TICK});
    check_leader(world, &world->nodes[id], id);
}

static void act(struct world *world)
{
    uint64_t id = 1 + rand_below(&world->rand, NODES);
    uint64_t luck = rand_below(&world->rand, 1000);
    if (luck < 400) {
        deliver(world);
    } else if (luck < 580) {
        take_update(world, id);
    } else if (luck < 720) {
        persist(world, id);
    } else if (luck < 820) {
        apply(world, id);
    } else if (luck < 910) {
        tick(world, id);
    } else if (luck < 950) {
        propose(world, id);
    } else if (luck < 970) {
        read_index(world, id);
    } else if (luck < 980 && world->has_conf_changes) {
        change_conf(world, id);
    } else if (luck < 990) {
        compact(world, id);
    } else if (luck < 993) {
        transfer(world, id);
    } else if (luck < 996) {
        crash(world, id);
    } else {
        world->nodes[id].is_cut_off = !world->nodes[id].is_cut_off;
    }
}

static void run_all_to_rest(struct world *world)
{
    bool is_busy = true;
    /* Bounded: a snapshot that does not know the member it is for goes out until there is a newer.
     */
    for (int i = 0; is_busy && i < 5000; i++) {
        is_busy = world->net_count > 0;
        deliver(world);
        for (uint64_t id = 1; id <= NODES; id++) {
            struct node *node = &world->nodes[id];
            is_busy |=
                raft_has_update(node->raft) || node->flight_count || node->todo.committed_count;
            take_update(world, id);
            persist(world, id);
            apply(world, id);
        }
    }
}

static uint64_t leader_of(const struct world *world)
{
    for (uint64_t id = 1; id <= NODES; id++) {
        if (raft_soft_state_get(world->nodes[id].raft).role == RAFT_LEADER) {
            return id;
        }
    }
    return 0;
}

/* With a good network a leader comes up and every member of its configuration catches up. */
static void heal(struct world *world)
{
    world->is_healed = true;
    for (uint64_t id = 1; id <= NODES; id++) {
        world->nodes[id].is_cut_off = false;
    }
    for (int round = 0; round < 200; round++) {
        for (uint64_t id = 1; id <= NODES; id++) {
            compact(world, id);
            tick(world, id);
        }
        run_all_to_rest(world);
    }
    uint64_t leader = leader_of(world);
    if (world->has_conf_changes) {
        /* Members that forgot the commit of a change, and removed ones with a longer log, may well
         * keep each other from leading (as in etcd); nothing is promised then but safety. */
        return;
    }
    assert_int_not_equal(leader, 0);
    propose(world, leader);
    run_all_to_rest(world);
    struct raft_status status;
    raft_status_get(world->nodes[leader].raft, &status);
    assert_int_equal(status.hard_state.commit, status.last_index);
    for (size_t i = 0; i < status.peers_count; i++) {
        assert_int_equal(world->nodes[status.peers[i].id].applied, status.last_index);
    }
}

struct totals {
    uint64_t applied;
    uint64_t reads;
    uint64_t terms;
};

static void count_totals(const struct world *world, struct totals *totals)
{
    totals->applied += world->applied_max;
    totals->reads += world->reads_answered;
    for (size_t term = 0; term < TERM_MAX; term++) {
        totals->terms += world->leaders[term] != 0;
    }
}

static void run_world(uint64_t seed, struct totals *totals)
{
    struct world *world = mem_new(sizeof(*world));
    rand_init(&world->rand, seed);
    world->applied = mem_new(INDEX_MAX * sizeof(*world->applied));
    world->leaders = mem_new(TERM_MAX * sizeof(*world->leaders));
    world->reads = mem_new(READS_MAX * sizeof(*world->reads));
    world->options = test_options(0);
    world->options.pre_vote = world->options.check_quorum = seed % 3 != 0;
    world->options.step_down_on_removal = seed % 3 == 1;
    world->options.message_bytes_max = seed % 2 ? 40 : UINT64_MAX;
    world->options.inflight_messages_max = 1 + seed % 7;
    world->has_conf_changes = seed % 4 != 0;
    world->applied_max = 10;
    struct raft_snapshot_meta meta = test_meta(10, 3);
    for (uint64_t id = 1; id <= NODES; id++) {
        struct raft_snapshot_meta none = {0};
        raft_log_init(&world->nodes[id].disk, id <= 3 ? &meta : &none, NULL, 0);
        world->nodes[id].disk_conf = id <= 3 ? meta.conf : none.conf;
        start(world, id);
    }
    for (int i = 0; i < 30000; i++) {
        act(world);
    }
    heal(world);
    count_totals(world, totals);
    for (uint64_t id = 1; id <= NODES; id++) {
        crash(world, id);
        raft_free(world->nodes[id].raft);
        raft_log_fini(&world->nodes[id].disk);
    }
    for (size_t i = 0; i < world->net_count; i++) {
        raft_message_fini(&world->net[i]);
    }
    free(world->net);
    free(world->applied);
    free(world->leaders);
    free(world->reads);
    free(world);
}

static uint64_t from_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void test_groups_stay_safe_whatever_happens(void **state)
{
    (void)state;
    uint64_t first = from_env("RAFT_CHAOS_SEED", 1);
    uint64_t seeds = from_env("RAFT_CHAOS_COUNT", 100);
    struct totals totals = {0};
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        run_world(seed, &totals);
    }
    print_message("%llu entries, %llu reads, %llu leaders\n", (unsigned long long)totals.applied,
        (unsigned long long)totals.reads, (unsigned long long)totals.terms);
    assert_true(totals.applied > seeds * 30 && totals.reads > seeds && totals.terms > seeds);
}

int run_chaos(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups_stay_safe_whatever_happens),
    };
    return cmocka_run_group_tests_name("chaos", tests, NULL, NULL);
}
