/* SPDX-License-Identifier: Apache-2.0
 *
 * Feature gates as etcd 3.6 and 3.7 know them. AllAlpha and AllBeta set what is not set by name. */
#include "config/draft.h"

#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"

enum stage { ALPHA, BETA };

#define GATE_FIELD(name) offsetof(struct config_gates, name)
#define NO_FIELD SIZE_MAX

/* The order of 2 to 7 is that of draft.gate_flags in table.c. */
static const struct gate {
    const char *name;
    size_t field;
    enum stage stage;
    bool value; /* the default */
    const char *flag;
    const char *reason; /* why it means nothing here; NULL: it has its effect */
} gates[] = {
    {"AllAlpha", NO_FIELD, ALPHA, false, NULL, NULL},
    {"AllBeta", NO_FIELD, BETA, false, NULL, NULL},
    {"InitialCorruptCheck", GATE_FIELD(initial_corrupt_check), ALPHA, false,
        "experimental-initial-corrupt-check", NULL},
    {"CompactHashCheck", GATE_FIELD(compact_hash_check), ALPHA, false,
        "experimental-compact-hash-check-enabled", NULL},
    {"LeaseCheckpoint", GATE_FIELD(lease_checkpoint), ALPHA, false,
        "experimental-enable-lease-checkpoint", "leases are always checkpointed"},
    {"LeaseCheckpointPersist", GATE_FIELD(lease_checkpoint_persist), ALPHA, false,
        "experimental-enable-lease-checkpoint-persist", "checkpoints are always kept"},
    {"TxnModeWriteWithSharedBuffer", GATE_FIELD(txn_mode_write_with_shared_buffer), BETA, true,
        "experimental-txn-mode-write-with-shared-buffer", "the store is not a bbolt file"},
    {"StopGRPCServiceOnDefrag", GATE_FIELD(stop_grpc_service_on_defrag), ALPHA, false,
        "experimental-stop-grpc-service-on-defrag", "defragmenting stops nothing"},
    {"SetMemberLocalAddr", GATE_FIELD(set_member_local_addr), ALPHA, false, NULL, NULL},
    {"FastLeaseKeepAlive", GATE_FIELD(fast_lease_keep_alive), BETA, true, NULL,
        "there is one way to keep a lease alive"},
    {"PriorityRequest", GATE_FIELD(priority_request), ALPHA, false, NULL,
        "requests are taken in the order in which they come"},
};

_Static_assert(COUNT_OF(gates) <= GATES_MAX, "struct gate_values has one place a gate");

int gate_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(gates); i++) {
        if (strcmp(gates[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static const char *bool_text(bool value)
{
    return value ? "true" : "false";
}

const char *gate_default(const char *name)
{
    return bool_text(gates[gate_find(name)].value);
}

static const char *const stages[] = {"ALPHA", "BETA"};

const char *gates_help(struct arena *arena, size_t i)
{
    if (i >= COUNT_OF(gates)) {
        return NULL;
    }
    return arena_printf(arena, "%s=true|false (%s - default=%s)", gates[i].name,
        stages[gates[i].stage], bool_text(gates[i].value));
}

static struct err set_one(
    struct arena *arena, struct gate_values *values, const char *pair, struct why *why)
{
    const char *equal = strchr(pair, '=');
    size_t len = equal ? (size_t)(equal - pair) : strlen(pair);
    const char *name = text_trim(arena, (const char *)arena_dup(arena, slice_of(pair, len)).data);
    if (!equal) {
        return why_set(why, ERR(BAD_INPUT), "missing bool value for %s", name);
    }
    const char *text = text_trim(arena, equal + 1);
    bool value = false;
    if (!text_parse_bool(text, &value)) {
        return why_set(why, ERR(BAD_INPUT),
            "invalid value of %s=%s, err: strconv.ParseBool: parsing %s: invalid syntax", name,
            text, text_quote(arena, text));
    }
    int gate = gate_find(name);
    if (gate < 0) {
        return why_set(why, ERR(BAD_INPUT), "unrecognized feature gate: %s", name);
    }
    values->is_set[gate] = true;
    values->value[gate] = value;
    return OK;
}

/* The stage's gates that no one named. */
static void spread(struct gate_values *values, enum stage stage, size_t all)
{
    for (size_t i = GATE_ALL_BETA + 1; values->is_set[all] && i < COUNT_OF(gates); i++) {
        if (gates[i].stage == stage && !values->is_set[i]) {
            values->is_set[i] = true;
            values->value[i] = values->value[all];
        }
    }
}

struct err gates_set(struct arena *arena, void *draft, const char *value, struct why *why)
{
    struct gate_values values = ((struct draft *)draft)->gates;
    struct text_list pairs = text_split(arena, value, ',');
    for (size_t i = 0; i < pairs.count; i++) {
        if (*pairs.items[i]) {
            TRY(set_one(arena, &values, pairs.items[i], why));
        }
    }
    spread(&values, ALPHA, GATE_ALL_ALPHA);
    spread(&values, BETA, GATE_ALL_BETA);
    ((struct draft *)draft)->gates = values;
    return OK;
}

/* "InitialCorruptCheck=true,…" of what was set, sorted. */
static const char *gates_text(struct draft *draft)
{
    struct arena *arena = draft->config.arena;
    const char *pairs[GATES_MAX];
    struct text_list list = {pairs, 0};
    for (size_t i = 0; i < COUNT_OF(gates); i++) {
        if (draft->gates.is_set[i]) {
            pairs[list.count++] =
                arena_printf(arena, "%s=%s", gates[i].name, bool_text(draft->gates.value[i]));
        }
    }
    list = text_list_unique(arena, list);
    return text_list_join(arena, &list, ",");
}

static bool gate_value(const struct draft *draft, size_t i)
{
    return draft->gates.is_set[i] ? draft->gates.value[i] : gates[i].value;
}

/* The old flag and the gate must not both be given; etcd looks for the gate's name in the text of
 * all that is set. */
static struct err take_old_flag(
    struct draft *draft, size_t i, const char *set_before, struct why *why)
{
    if (!gates[i].flag || !row_is_set(draft, gates[i].flag)) {
        return OK;
    }
    if (strstr(set_before, gates[i].name)) {
        const char *now = bool_text(gate_value(draft, i));
        return why_set(why, ERR(BAD_CONFIG),
            "cannot specify both flags: --%s=%s and --feature-gates=%s=%s at the same time, "
            "please just use --feature-gates=%s=%s",
            gates[i].flag, bool_text(draft->gate_flags[i]), gates[i].name, now, gates[i].name, now);
    }
    draft->gates.is_set[i] = true;
    draft->gates.value[i] = draft->gate_flags[i];
    return OK;
}

struct err gates_finish(struct draft *draft, struct why *why)
{
    const char *before = gates_text(draft);
    for (size_t i = 0; i < COUNT_OF(gates); i++) {
        TRY(take_old_flag(draft, i, before, why));
    }
    draft->config.gates_text = gates_text(draft);
    for (size_t i = 0; i < COUNT_OF(gates); i++) {
        if (draft->gates.is_set[i] && gates[i].reason) {
            note2(draft,
                &(struct config_note){LOG_LEVEL_WARN, "feature gate is accepted and has no effect",
                    {"feature-gate", "reason"}, {gates[i].name, gates[i].reason}});
        }
    }
    for (size_t i = 0; i < COUNT_OF(gates); i++) {
        if (gates[i].field != NO_FIELD) {
            *(bool *)((char *)&draft->config.gates + gates[i].field) = gate_value(draft, i);
        }
    }
    return OK;
}

void config_gate_metrics(const struct config *config)
{
    static const char *const labels[] = {"name", "stage", NULL};
    struct metric *family = metric_gauge("etcd_server_feature_enabled",
        "Whether or not a feature is enabled. 1 is enabled, 0 is not.", labels);
    for (size_t i = 0; i < COUNT_OF(gates); i++) {
        bool is_on = gates[i].field == NO_FIELD
                         ? gates[i].value
                         : *(const bool *)((const char *)&config->gates + gates[i].field);
        metric_set(
            metric_with(family, (const char *const[]){gates[i].name, stages[gates[i].stage], NULL}),
            is_on);
    }
}
