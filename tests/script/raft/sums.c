/* SPDX-License-Identifier: Apache-2.0 */
#include "sums.h"

#include "raft/confchange.h"
#include "raft/describe.h"

#include <inttypes.h>
#include <stdlib.h>

struct acked {
    uint64_t ids[SCRIPT_VALUES_MAX];
    uint64_t index[SCRIPT_VALUES_MAX]; /* 0: unknown */
    size_t count;
};

static bool acked_get(const void *ctx, uint64_t id, uint64_t *out_index)
{
    const struct acked *acked = ctx;
    for (size_t i = 0; i < acked->count; i++) {
        if (acked->ids[i] == id && acked->index[i]) {
            *out_index = acked->index[i];
            return true;
        }
    }
    return false;
}

static void take_ids(const struct script_case *c, const char *key, struct raft_ids *ids,
    struct raft_ids *all, uint64_t *order)
{
    const struct script_arg *arg = script_arg(c, key);
    if (!arg || strcmp(arg->values[0], "zero") == 0) {
        return;
    }
    for (size_t i = 0; i < arg->values_count; i++) {
        uint64_t id = strtoull(arg->values[i], NULL, 10);
        ids_add(ids, id);
        if (!ids_has(all, id)) {
            order[all->count] = id;
            ids_add(all, id);
        }
    }
}

/* How many voters are behind. */
static int bar_of(const struct raft_ids *ids, const struct acked *acked, uint64_t index)
{
    int bar = 0;
    for (size_t i = 0; i < ids->count; i++) {
        uint64_t other = 0;
        acked_get(acked, ids->ids[i], &other);
        bar += other < index;
    }
    return bar;
}

/* Each voter's index, and a bar as long as there are voters behind it. */
static void describe_voters(const struct raft_ids *ids, const struct acked *acked, struct buf *out)
{
    int width = (int)ids->count;
    if (width == 0) {
        buf_add_str(out, "<empty majority quorum>");
        return;
    }
    buf_printf(out, "%*s    idx\n", width, "");
    for (size_t i = 0; i < ids->count; i++) {
        uint64_t index = 0;
        bool is_known = acked_get(acked, ids->ids[i], &index);
        int bar = bar_of(ids, acked, index);
        if (is_known) {
            for (int x = 0; x < bar; x++) {
                buf_add_byte(out, 'x');
            }
            buf_printf(out, ">%*s", width - bar, "");
        } else {
            buf_printf(out, "?%*s", width, "");
        }
        buf_printf(out, " %5" PRIu64 "    (id=%" PRIu64 ")\n", index, ids->ids[i]);
    }
}

static void print_index(struct buf *out, uint64_t index, const char *remark)
{
    if (index == UINT64_MAX) {
        buf_printf(out, "\xe2\x88\x9e%s\n", remark);
    } else {
        buf_printf(out, "%" PRIu64 "%s\n", index, remark);
    }
}

/* Lowering an index that lies below what is committed must not change it. */
static void check_overlays(
    const struct raft_ids *ids, const struct acked *acked, uint64_t index, struct buf *out)
{
    for (size_t i = 0; i < acked->count; i++) {
        struct acked lower = *acked;
        if (acked->index[i] == 0 || acked->index[i] >= index) {
            continue;
        }
        lower.index[i]--;
        if (majority_committed(ids, acked_get, &lower) != index) {
            print_index(out, acked->ids[i], " <-- overlaying");
        }
    }
}

static void print_committed(const struct raft_ids sets[2], bool is_joint,
    const struct raft_ids *all, const struct acked *acked, struct buf *out)
{
    static const struct raft_ids none;
    describe_voters(is_joint ? all : &sets[0], acked, out);
    uint64_t index = is_joint ? joint_committed(&sets[0], &sets[1], acked_get, acked)
                              : majority_committed(&sets[0], acked_get, acked);
    uint64_t swapped = joint_committed(&sets[1], &sets[0], acked_get, acked);
    if (is_joint && swapped != index) {
        print_index(out, swapped, " <-- via symmetry");
    }
    if (!is_joint) {
        uint64_t half = joint_committed(&sets[0], &none, acked_get, acked);
        uint64_t twice = joint_committed(&sets[0], &sets[0], acked_get, acked);
        if (half != index || twice != index) {
            print_index(out, half, " <-- via zero-joint or self-joint quorum");
        }
        check_overlays(&sets[0], acked, index, out);
    }
    print_index(out, index, "");
}

static void print_vote(
    const struct raft_ids sets[2], bool is_joint, const struct votes *votes, struct buf *out)
{
    static const char *const names[] = {"", "VotePending", "VoteLost", "VoteWon"};
    enum vote_result result =
        is_joint ? joint_vote(&sets[0], &sets[1], votes) : majority_vote(&sets[0], votes);
    if (is_joint && joint_vote(&sets[1], &sets[0], votes) != result) {
        buf_add_str(out, "different via symmetry\n");
    }
    buf_printf(out, "%s\n", names[result]);
}

bool quorum_handle(const struct script_case *c, struct buf *out)
{
    bool is_vote = strcmp(c->command, "vote") == 0;
    if (!is_vote && strcmp(c->command, "committed") != 0) {
        return false;
    }
    struct raft_ids sets[2] = {0};
    struct raft_ids all = {0};
    struct acked acked = {0};
    struct votes votes = {.count = 0};
    take_ids(c, "cfg", &sets[0], &all, acked.ids);
    take_ids(c, "cfgj", &sets[1], &all, acked.ids);
    const struct script_arg *input = script_arg(c, is_vote ? "votes" : "idx");
    acked.count = input ? input->values_count : 0;
    if (acked.count != all.count) {
        script_die(c, "each voter needs one value");
    }
    for (size_t i = 0; i < acked.count; i++) {
        char first = input->values[i][0];
        if (is_vote && first != '_') {
            votes_record(&votes, acked.ids[i], first == 'y');
        }
        acked.index[i] = first == '_' ? 0 : strtoull(input->values[i], NULL, 10);
    }
    bool is_joint = script_arg(c, "cfgj") != NULL;
    if (is_vote) {
        print_vote(sets, is_joint, &votes, out);
    } else {
        print_committed(sets, is_joint, &all, &acked, out);
    }
    return true;
}

void parse_changes(const struct script_case *c, struct raft_conf_change *out)
{
    static const char letters[] = "vrul";
    char *text = strndup(c->input.len ? (const char *)c->input.data : "", c->input.len);
    char *rest = text;
    for (char *word; (word = strsep(&rest, " \n"));) {
        const char *letter = *word ? strchr(letters, *word) : NULL;
        if (!*word) {
            continue;
        }
        if (!letter || out->changes_count == RAFT_MEMBERS_MAX) {
            script_die(c, word);
        }
        out->changes[out->changes_count++] = (struct raft_conf_change_single){
            (enum raft_conf_change_type)(letter - letters), strtoull(word + 1, NULL, 10)};
    }
    free(text);
}

void conf_world_init(struct conf_world *world)
{
    *world = (struct conf_world){.tracker = {.inflight_messages_max = 10}};
}

static struct err change_conf(const struct conf_world *world, const struct script_case *c,
    struct membership *next, struct why *why)
{
    struct changer changer = {&world->tracker, world->last_index};
    struct raft_conf_change change = {0};
    parse_changes(c, &change);
    if (strcmp(c->command, "simple") == 0) {
        return confchange_simple(&changer, change.changes, change.changes_count, next, why);
    }
    if (strcmp(c->command, "enter-joint") == 0) {
        return confchange_enter_joint(&changer, script_flag(c, "autoleave"), &change, next, why);
    }
    return confchange_leave_joint(&changer, next, why);
}

bool conf_handle(struct conf_world *world, const struct script_case *c, struct buf *out)
{
    if (strcmp(c->command, "simple") != 0 && strcmp(c->command, "enter-joint") != 0 &&
        strcmp(c->command, "leave-joint") != 0) {
        return false;
    }
    struct membership next;
    struct why why;
    struct err e = change_conf(world, c, &next, &why);
    world->last_index++;
    if (err_is(e)) {
        buf_printf(out, "%s\n", why.text);
        return true;
    }
    tracker_adopt(&world->tracker, &next);
    describe_conf(out, &next.conf);
    buf_add_byte(out, '\n');
    for (size_t i = 0; i < next.count; i++) {
        struct raft_peer_status status;
        progress_status(&next.progress[i], &status);
        buf_printf(out, "%" PRIu64 ": ", status.id);
        describe_progress(out, &status);
        buf_add_byte(out, '\n');
    }
    return true;
}
