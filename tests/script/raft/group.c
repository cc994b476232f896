/* SPDX-License-Identifier: Apache-2.0 */
#include "group.h"

#include "base/mem.h"
#include "raft/describe.h"
#include "raft/parts.h"
#include "sums.h"

#include <inttypes.h>
#include <stdlib.h>

void group_init(struct group *group)
{
    *group = (struct group){0};
}

void group_fini(struct group *group)
{
    for (size_t i = 0; i < group->count; i++) {
        node_fini(&group->nodes[i]);
    }
    for (size_t i = 0; i < group->messages_count; i++) {
        raft_message_fini(&group->messages[i]);
    }
    free(group->messages);
}

static struct node *node_at(struct group *group, uint64_t id)
{
    if (id == 0 || id > group->count) {
        script_die(group->c, "no such node");
    }
    return &group->nodes[id - 1];
}

static struct node *node_arg(struct group *group, size_t i)
{
    return node_at(group, script_number(group->c, i));
}

/* Errors are told even when all else is quiet. */
static void step(struct group *group, struct node *node, struct raft_event event)
{
    struct err e = raft_step(node->raft, &event);
    if (err_is(e)) {
        buf_printf(group->out, "%s\n", err_text(e));
    }
}

static void take_id_list(const struct script_case *c, const char *key, struct raft_ids *ids)
{
    const struct script_arg *arg = script_arg(c, key);
    for (size_t i = 0; arg && i < arg->values_count; i++) {
        ids_add(ids, strtoull(arg->values[i], NULL, 10));
    }
}

static uint64_t option(const struct script_case *c, const char *key, uint64_t otherwise)
{
    return script_arg(c, key) ? script_value(c, key) : otherwise;
}

static struct raft_options parse_options(const struct script_case *c)
{
    const struct script_arg *read_only = script_arg(c, "read-only");
    bool is_async = script_flag(c, "async-storage-writes");
    return (struct raft_options){
        .election_ticks = 3,
        .heartbeat_ticks = 1,
        .seed = 1,
        .message_bytes_max = UINT64_MAX,
        .applying_bytes_max = option(c, "max-committed-size-per-ready", 0),
        .inflight_messages_max = option(c, "inflight", INT32_MAX),
        .pre_vote = script_flag(c, "prevote"),
        .check_quorum = script_flag(c, "checkquorum"),
        .is_lease_read = read_only && strcmp(read_only->values[0], "lease-based") == 0,
        .step_down_on_removal = script_flag(c, "step-down-on-removal"),
        .disable_conf_change_validation = script_flag(c, "disable-conf-change-validation"),
        .apply_unstable = !is_async,
        .keep_self_messages = true,
    };
}

static void add_nodes(struct group *group)
{
    const struct script_case *c = group->c;
    struct raft_options options = parse_options(c);
    struct raft_snapshot_meta meta = {.index = option(c, "index", 0)};
    take_id_list(c, "voters", &meta.conf.voters);
    take_id_list(c, "learners", &meta.conf.learners);
    meta.term = meta.index ? 1 : 0;
    options.snapshot = meta.index ? &meta : NULL;
    options.applied = meta.index;
    for (uint64_t n = script_number(c, 0); n > 0; n--) {
        if (group->count == GROUP_MAX) {
            script_die(c, "too many nodes");
        }
        struct node *node = &group->nodes[group->count++];
        struct why why;
        options.id = group->count;
        node->options = options;
        node->is_async = !options.apply_unstable;
        node->last = meta;
        raft_log_init(&node->disk, &meta, NULL, 0);
        if (err_is(raft_new(&options, &node->raft, &why))) {
            script_die(c, why.text);
        }
    }
}

static bool is_local(const struct raft_message *message)
{
    return message->from == message->to || message->from >= UINT64_MAX - 1;
}

static void deliver(struct group *group, struct raft_message *message)
{
    struct node *node = node_at(group, message->to);
    if (message->type == RAFT_MSG_STORAGE_APPEND_RESP) {
        struct raft_ticket ticket = {.term = message->term,
            .index = message->index,
            .log_term = message->log_term,
            .snapshot_index = message->snapshot ? message->snapshot->meta.index : 0};
        step(group, node, (struct raft_event){.type = RAFT_PERSISTED, .ticket = &ticket});
    } else if (message->type == RAFT_MSG_STORAGE_APPLY_RESP) {
        uint64_t index = message->entries[message->entries_count - 1].index;
        step(group, node, (struct raft_event){.type = RAFT_APPLIED, .index = index});
    } else {
        step(group, node, (struct raft_event){.type = RAFT_RECEIVE, .message = message});
    }
}

static bool is_for(const struct raft_message *message, uint64_t to, int type, bool drop)
{
    return message->to == to && !(drop && is_local(message)) &&
           (type < 0 || (int)message->type == type);
}

/* How many there were. None is added to the queue meanwhile: nodes only collect. */
static size_t deliver_to(struct group *group, uint64_t to, int type, bool drop)
{
    size_t kept = 0;
    size_t count = group->messages_count;
    for (size_t i = 0; i < count; i++) {
        struct raft_message message = group->messages[i];
        if (!is_for(&message, to, type, drop)) {
            group->messages[kept++] = message;
            continue;
        }
        group_print(group, drop ? "dropped: " : "");
        group_print_message(group, &message, 0);
        group_print(group, "\n");
        if (!drop) {
            deliver(group, &message);
        }
        raft_message_fini(&message);
    }
    group->messages_count = kept;
    return count - kept;
}

static bool has_messages(const struct group *group, uint64_t to)
{
    for (size_t i = 0; i < group->messages_count; i++) {
        if (group->messages[i].to == to) {
            return true;
        }
    }
    return false;
}

static int parse_type(const struct script_case *c)
{
    const struct script_arg *arg = script_arg(c, "type");
    for (int type = RAFT_MSG_HUP; arg && type <= RAFT_MSG_FORGET_LEADER; type++) {
        const char *name = raft_message_type_name((enum raft_message_type)type);
        if (strcmp(name, arg->values[0]) == 0) {
            return type;
        }
    }
    return -1;
}

static void deliver_msgs(struct group *group)
{
    const struct script_case *c = group->c;
    size_t count = 0;
    for (size_t i = 0; i < c->args_count; i++) {
        const struct script_arg *arg = &c->args[i];
        if (arg->values_count == 0) {
            count += deliver_to(group, script_number(c, i), parse_type(c), false);
        }
        for (size_t v = 0; strcmp(arg->key, "drop") == 0 && v < arg->values_count; v++) {
            uint64_t id = strtoull(arg->values[v], NULL, 10);
            count += deliver_to(group, id, parse_type(c), true);
        }
    }
    if (count == 0) {
        group_print(group, "no messages\n");
    }
}

static void deliver_all(struct group *group, struct node *node)
{
    deliver_to(group, node->options.id, -1, false);
}

static void do_indented(struct group *group, struct node *node, const char *what,
    void (*body)(struct group *group, struct node *node))
{
    group_print(group, "> %" PRIu64 " %s\n", node->options.id, what);
    group_indented(group, body, node);
}

static bool drain(struct group *group, struct node *node, struct work_queue *queue,
    const char *what, void (*body)(struct group *group, struct node *node))
{
    if (queue->count == 0) {
        return false;
    }
    group_print(group, "> %" PRIu64 " %s\n", node->options.id, what);
    while (queue->count > 0) {
        group_indented(group, body, node);
    }
    return true;
}

/* One round over the nodes; false when there was nothing left to do. */
static bool stabilize_round(struct group *group, struct node **nodes, size_t count)
{
    bool is_busy = false;
    for (size_t i = 0; i < count; i++) {
        if (raft_has_update(nodes[i]->raft)) {
            do_indented(group, nodes[i], "handling Ready", node_process_ready);
            is_busy = true;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (has_messages(group, nodes[i]->options.id)) {
            do_indented(group, nodes[i], "receiving messages", deliver_all);
            is_busy = true;
        }
    }
    for (size_t i = 0; i < count; i++) {
        is_busy |= drain(
            group, nodes[i], &nodes[i]->append, "processing append thread", node_process_append);
    }
    for (size_t i = 0; i < count; i++) {
        is_busy |=
            drain(group, nodes[i], &nodes[i]->apply, "processing apply thread", node_process_apply);
    }
    return is_busy;
}

/* Those in the arguments. */
static size_t named_nodes(struct group *group, struct node **out)
{
    size_t count = 0;
    for (size_t i = 0; i < group->c->args_count; i++) {
        if (group->c->args[i].values_count == 0) {
            out[count++] = node_arg(group, i);
        }
    }
    return count;
}

static void stabilize(struct group *group)
{
    struct node *nodes[SCRIPT_ARGS_MAX];
    size_t count = named_nodes(group, nodes);
    for (size_t i = 0; count == 0 && i < group->count; i++) {
        nodes[i] = &group->nodes[i];
    }
    count = count ? count : group->count;
    bool was_quiet = group->is_quiet;
    const struct script_arg *level = script_arg(group->c, "log-level");
    if (level) {
        group->is_quiet = strcmp(level->values[0], "none") == 0;
    }
    while (stabilize_round(group, nodes, count)) {
    }
    group->is_quiet = was_quiet;
}

static void for_named(
    struct group *group, const char *what, void (*body)(struct group *group, struct node *node))
{
    struct node *nodes[SCRIPT_ARGS_MAX];
    size_t count = named_nodes(group, nodes);
    if (count == 1) {
        body(group, nodes[0]);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        do_indented(group, nodes[i], what, body);
    }
}

static void process_ready(struct group *group)
{
    for_named(group, "handling Ready", node_process_ready);
}

static void process_append_thread(struct group *group)
{
    for_named(group, "processing append thread", node_process_append);
}

static void process_apply_thread(struct group *group)
{
    for_named(group, "processing apply thread", node_process_apply);
}

static void log_level(struct group *group)
{
    const char *level = group->c->args_count ? group->c->args[0].key : "";
    group->is_quiet = strcasecmp(level, "none") == 0;
}

static void campaign(struct group *group)
{
    step(group, node_arg(group, 0), (struct raft_event){.type = RAFT_CAMPAIGN});
}

static void forget_leader(struct group *group)
{
    step(group, node_arg(group, 0), (struct raft_event){.type = RAFT_FORGET_LEADER});
}

static void tick(struct group *group, uint32_t count)
{
    struct node *node = node_arg(group, 0);
    for (uint32_t i = 0; i < count; i++) {
        step(group, node, (struct raft_event){.type = RAFT_TICK});
    }
}

static void tick_election(struct group *group)
{
    tick(group, node_arg(group, 0)->options.election_ticks);
}

static void tick_heartbeat(struct group *group)
{
    tick(group, node_arg(group, 0)->options.heartbeat_ticks);
}

static void set_timeout(struct group *group)
{
    node_arg(group, 0)->raft->election_timeout = (uint32_t)script_value(group->c, "timeout");
}

static void transfer_leadership(struct group *group)
{
    struct node *from = node_at(group, script_value(group->c, "from"));
    uint64_t to = script_value(group->c, "to");
    (void)node_at(group, to);
    step(group, from, (struct raft_event){.type = RAFT_TRANSFER, .peer = to});
}

static void report_unreachable(struct group *group)
{
    step(group, node_arg(group, 0),
        (struct raft_event){.type = RAFT_UNREACHABLE, .peer = script_number(group->c, 1)});
}

static void propose(struct group *group)
{
    struct raft_entry entry = {.data = blob_new(slice_str(group->c->args[1].key))};
    step(group, node_arg(group, 0),
        (struct raft_event){.type = RAFT_PROPOSE, .entries = &entry, .entries_count = 1});
    blob_unref(entry.data);
}

static void read_index(struct group *group)
{
    struct blob *context = blob_new(slice_str(group->c->args[1].key));
    step(group, node_arg(group, 0),
        (struct raft_event){.type = RAFT_READ_INDEX, .context = context});
    blob_unref(context);
}

static void propose_conf_change(struct group *group)
{
    const struct script_case *c = group->c;
    const struct script_arg *transition = script_arg(c, "transition");
    struct raft_conf_change change = {.is_v1 = script_flag(c, "v1")};
    parse_changes(c, &change);
    if (transition && strcmp(transition->values[0], "implicit") == 0) {
        change.transition = RAFT_TRANSITION_JOINT_IMPLICIT;
    } else if (transition && strcmp(transition->values[0], "explicit") == 0) {
        change.transition = RAFT_TRANSITION_JOINT_EXPLICIT;
    }
    step(group, node_arg(group, 0),
        (struct raft_event){.type = RAFT_PROPOSE_CONF, .conf_change = &change});
}

static void print_disk(struct group *group, const struct raft_log *disk)
{
    if (disk->count == 0) {
        group_print(group, "log is empty: first index=%" PRIu64 ", last index=%" PRIu64,
            raft_log_first(disk), raft_log_last(disk));
        return;
    }
    size_t count;
    const struct raft_entry *entries =
        raft_log_slice(disk, raft_log_first(disk), raft_log_last(disk) + 1, UINT64_MAX, &count);
    for (size_t i = 0; i < count && !group->is_quiet; i++) {
        describe_entry(group->out, &entries[i]);
        buf_add_byte(group->out, '\n');
    }
}

static void raft_log(struct group *group)
{
    print_disk(group, &node_arg(group, 0)->disk);
}

static void compact(struct group *group)
{
    struct node *node = node_arg(group, 0);
    uint64_t index = script_number(group->c, 1);
    if (index > raft_log_last(&node->disk)) {
        script_die(group->c, "past the end of the log");
    }
    node->disk.applied = index;
    raft_log_compact(&node->disk, index);
    step(group, node, (struct raft_event){.type = RAFT_COMPACT, .index = index});
    print_disk(group, &node->disk);
}

static void raft_state(struct group *group)
{
    for (size_t i = 0; i < group->count; i++) {
        const struct raft *raft = group->nodes[i].raft;
        struct raft_soft_state soft = raft_soft_state_get(raft);
        group_print(group, "%" PRIu64 ": %s %s Term:%" PRIu64 " Lead:%" PRIu64 "\n", raft->id,
            raft_role_name(soft.role),
            tracker_is_voter(&raft->tracker, raft->id) ? "(Voter)" : "(Non-Voter)", raft->term,
            soft.lead);
    }
}

static void status(struct group *group)
{
    struct raft_status status;
    raft_status_get(node_arg(group, 0)->raft, &status);
    for (size_t i = 0; i < status.peers_count && !group->is_quiet; i++) {
        buf_printf(group->out, "%" PRIu64 ": ", status.peers[i].id);
        describe_progress(group->out, &status.peers[i]);
        buf_add_byte(group->out, '\n');
    }
}

static void send_snapshot(struct group *group)
{
    struct node *from = node_arg(group, 0);
    struct raft_message message = {.type = RAFT_MSG_SNAP,
        .term = raft_hard_state_get(from->raft).term,
        .from = script_number(group->c, 0),
        .to = script_number(group->c, 1),
        .snapshot = raft_snapshot_new(&from->last, NULL)};
    group_print_message(group, &message, 0);
    group_queue(group, message);
}

bool group_handle(struct group *group, const struct script_case *c, struct buf *out)
{
    static const struct {
        const char *name;
        void (*handle)(struct group *group);
    } commands[] = {
        {"add-nodes", add_nodes},
        {"campaign", campaign},
        {"compact", compact},
        {"deliver-msgs", deliver_msgs},
        {"forget-leader", forget_leader},
        {"log-level", log_level},
        {"process-append-thread", process_append_thread},
        {"process-apply-thread", process_apply_thread},
        {"process-ready", process_ready},
        {"propose", propose},
        {"propose-conf-change", propose_conf_change},
        {"raft-log", raft_log},
        {"raft-state", raft_state},
        {"read-index", read_index},
        {"report-unreachable", report_unreachable},
        {"send-snapshot", send_snapshot},
        {"set-randomized-election-timeout", set_timeout},
        {"stabilize", stabilize},
        {"status", status},
        {"tick-election", tick_election},
        {"tick-heartbeat", tick_heartbeat},
        {"transfer-leadership", transfer_leadership},
    };
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        if (strcmp(commands[i].name, c->command) == 0) {
            group->c = c;
            group->out = out;
            commands[i].handle(group);
            return true;
        }
    }
    return false;
}
