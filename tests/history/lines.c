/* SPDX-License-Identifier: Apache-2.0
 *
 * A line of a file to what the door takes. Fields by table; one that no table knows is an error, so
 * that a recorder's misspelling is not a field left out.
 */
#include "base/json.h"

#include "record.h"

#include <json-c/json.h>
#include <stddef.h>

enum { LINE_BYTES_MAX = 1 << 30, NO_OUTCOME = 99 };

struct reader {
    struct history *history;
    struct arena *arena;
    struct why *why;
};

/* Reads value to *at. */
typedef struct err (*read_fn)(struct reader *reader, struct json_object *value, void *at);

struct field {
    const char *name;
    read_fn read;
    size_t offset;
};

#define FIELD(type, member, name, read)                                                            \
    {                                                                                              \
        name, read, offsetof(struct type, member)                                                  \
    }

static struct err bad(struct reader *reader, const char *what, struct json_object *value)
{
    return why_set(
        reader->why, ERR(BAD_INPUT), "%s: %.200s", what, json_object_to_json_string(value));
}

static struct err read_int(struct reader *reader, struct json_object *value, void *at)
{
    if (!json_object_is_type(value, json_type_int)) {
        return bad(reader, "no number", value);
    }
    *(int64_t *)at = json_object_get_int64(value);
    return OK;
}

static struct err read_u32(struct reader *reader, struct json_object *value, void *at)
{
    int64_t number = -1;
    TRY(read_int(reader, value, &number));
    if (number < 0 || number > UINT32_MAX) {
        return bad(reader, "not of 32 bits", value);
    }
    *(uint32_t *)at = (uint32_t)number;
    return OK;
}

static struct err read_u64(struct reader *reader, struct json_object *value, void *at)
{
    if (!json_object_is_type(value, json_type_int)) {
        return bad(reader, "no number", value);
    }
    *(uint64_t *)at = json_object_get_uint64(value);
    return OK;
}

static struct err read_bool(struct reader *reader, struct json_object *value, void *at)
{
    if (!json_object_is_type(value, json_type_boolean)) {
        return bad(reader, "neither true nor false", value);
    }
    *(bool *)at = json_object_get_boolean(value);
    return OK;
}

/* A byte a code point, U+0000 to U+00FF. */
static struct err read_bytes(struct reader *reader, struct json_object *value, void *at)
{
    if (!json_object_is_type(value, json_type_string)) {
        return bad(reader, "no string", value);
    }
    const uint8_t *from = (const uint8_t *)json_object_get_string(value);
    size_t len = (size_t)json_object_get_string_len(value);
    uint8_t *to = arena_alloc(reader->arena, len + 1);
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        if (from[i] < 0x80) {
            to[count++] = from[i];
        } else if ((from[i] == 0xc2 || from[i] == 0xc3) && i + 1 < len) {
            to[count++] = (uint8_t)((from[i] & 3) << 6 | (from[i + 1] & 0x3f));
            i++;
        } else {
            return bad(reader, "a code point above U+00FF", value);
        }
    }
    *(struct slice *)at = slice_of(to, count);
    return OK;
}

/* The place of value among names, to an enum. */
static struct err read_name(struct reader *reader, struct json_object *value,
    const char *const *names, size_t count, void *at)
{
    const char *text =
        json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
    for (unsigned i = 0; i < count; i++) {
        if (names[i] && strcmp(names[i], text) == 0) {
            *(unsigned *)at = i;
            return OK;
        }
    }
    return bad(reader, "no such name", value);
}

static struct err read_fields(struct reader *reader, struct json_object *object,
    const struct field *fields, size_t count, void *at)
{
    if (!json_object_is_type(object, json_type_object)) {
        return bad(reader, "no object", object);
    }
    json_object_object_foreach(object, name, value)
    {
        size_t i = 0;
        while (i < count && strcmp(fields[i].name, name) != 0) {
            i++;
        }
        if (i == count) {
            return why_set(reader->why, ERR(BAD_INPUT), "unknown field %s", name);
        }
        if (fields[i].read) {
            TRY(fields[i].read(reader, value, (uint8_t *)at + fields[i].offset));
        }
    }
    return OK;
}

#define READ_FIELDS(reader, object, fields, at)                                                    \
    read_fields(reader, object, fields, sizeof(fields) / sizeof((fields)[0]), at)

/* An array to one of structs in the arena. */
static struct err read_array(struct reader *reader, struct json_object *value, read_fn read,
    size_t size, void **out_array, size_t *out_count)
{
    if (!json_object_is_type(value, json_type_array)) {
        return bad(reader, "no array", value);
    }
    size_t count = json_object_array_length(value);
    uint8_t *array = arena_zalloc(reader->arena, (count + 1) * size);
    for (size_t i = 0; i < count; i++) {
        TRY(read(reader, json_object_array_get_idx(value, i), array + i * size));
    }
    *out_array = array;
    *out_count = count;
    return OK;
}

/* Both of a struct's fields for an array, by the names of those fields. */
#define ARRAY_READER(fn, owner, array, count, read, element)                                       \
    static struct err fn(struct reader *reader, struct json_object *value, void *at)               \
    {                                                                                              \
        struct owner *owner_at = at;                                                               \
        void *elements = NULL;                                                                     \
        TRY(read_array(reader, value, read, sizeof(struct element), &elements, &owner_at->count)); \
        owner_at->array = elements;                                                                \
        return OK;                                                                                 \
    }

static struct err read_kv(struct reader *reader, struct json_object *value, void *at)
{
    struct history_kv *kv = at;
    if (!json_object_is_type(value, json_type_array) || json_object_array_length(value) != 6) {
        return bad(reader, "no array of six", value);
    }
    TRY(read_bytes(reader, json_object_array_get_idx(value, 0), &kv->key));
    TRY(read_bytes(reader, json_object_array_get_idx(value, 1), &kv->value));
    TRY(read_int(reader, json_object_array_get_idx(value, 2), &kv->create));
    TRY(read_int(reader, json_object_array_get_idx(value, 3), &kv->mod));
    TRY(read_int(reader, json_object_array_get_idx(value, 4), &kv->version));
    TRY(read_int(reader, json_object_array_get_idx(value, 5), &kv->lease));
    return kv->key.len ? OK : bad(reader, "an empty key", value);
}

static struct err read_target(struct reader *reader, struct json_object *value, void *at)
{
    static const char *const names[] = {"version", "create", "mod", "value", "lease"};
    return read_name(reader, value, names, 5, at);
}

static struct err read_relation(struct reader *reader, struct json_object *value, void *at)
{
    static const char *const names[] = {"=", ">", "<", "!="};
    return read_name(reader, value, names, 4, at);
}

static struct err read_compare(struct reader *reader, struct json_object *value, void *at)
{
    static const struct field fields[] = {
        FIELD(history_compare, key, "key", read_bytes),
        FIELD(history_compare, end, "end", read_bytes),
        FIELD(history_compare, target, "target", read_target),
        FIELD(history_compare, relation, "is", read_relation),
        FIELD(history_compare, number, "number", read_int),
        FIELD(history_compare, value, "value", read_bytes),
    };
    TRY(READ_FIELDS(reader, value, fields, at));
    return ((struct history_compare *)at)->key.len ? OK : bad(reader, "an empty key", value);
}

static struct err read_kind(struct reader *reader, struct json_object *value, void *at)
{
    static const char *const names[] = {"range", "put", "delete", "txn", "compact", "grant",
        "revoke", "keepalive", "dump", "ttl", "auth_enable", "auth_disable", "auth_status",
        "user_add", "user_delete", "user_grant", "user_revoke", "user_get", "role_add",
        "role_delete", "role_grant", "role_revoke", "role_get"};
    return read_name(reader, value, names, HISTORY_KINDS, at);
}

static struct err read_order(struct reader *reader, struct json_object *value, void *at)
{
    static const char *const names[] = {NULL, "ascend", "descend"};
    return read_name(reader, value, names, 3, at);
}

static struct err read_sort(struct reader *reader, struct json_object *value, void *at)
{
    static const char *const names[] = {"key", "version", "create", "mod", "value"};
    return read_name(reader, value, names, 5, at);
}

static struct err read_permission(struct reader *reader, struct json_object *value, void *at)
{
    static const char *const names[] = {NULL, "read", "write", "readwrite"};
    return read_name(reader, value, names, 4, at);
}

static struct err read_op(struct reader *reader, struct json_object *value, void *at);
ARRAY_READER(read_compares, history_op, compares, compares_count, read_compare, history_compare)
ARRAY_READER(read_then, history_op, then_ops, then_count, read_op, history_op)
ARRAY_READER(read_else, history_op, else_ops, else_count, read_op, history_op)

enum { NEEDS_KEY = 1, NEEDS_USER = 2, NEEDS_ROLE = 4 };

static const unsigned needs_of[HISTORY_KINDS] = {[HISTORY_RANGE] = NEEDS_KEY,
    [HISTORY_PUT] = NEEDS_KEY,
    [HISTORY_DELETE] = NEEDS_KEY,
    [HISTORY_USER_ADD] = NEEDS_USER,
    [HISTORY_USER_DELETE] = NEEDS_USER,
    [HISTORY_USER_GRANT] = NEEDS_USER | NEEDS_ROLE,
    [HISTORY_USER_REVOKE] = NEEDS_USER | NEEDS_ROLE,
    [HISTORY_USER_LOOK] = NEEDS_USER,
    [HISTORY_ROLE_ADD] = NEEDS_ROLE,
    [HISTORY_ROLE_DELETE] = NEEDS_ROLE,
    [HISTORY_ROLE_GRANT] = NEEDS_ROLE | NEEDS_KEY,
    [HISTORY_ROLE_REVOKE] = NEEDS_ROLE | NEEDS_KEY,
    [HISTORY_ROLE_LOOK] = NEEDS_ROLE};

static struct err read_op(struct reader *reader, struct json_object *value, void *at)
{
    static const struct field fields[] = {
        FIELD(history_op, kind, "do", read_kind),
        FIELD(history_op, key, "key", read_bytes),
        FIELD(history_op, end, "end", read_bytes),
        FIELD(history_op, value, "value", read_bytes),
        FIELD(history_op, lease, "lease", read_int),
        FIELD(history_op, ttl_s, "ttl", read_int),
        FIELD(history_op, revision, "revision", read_int),
        FIELD(history_op, limit, "limit", read_int),
        FIELD(history_op, is_serializable, "serializable", read_bool),
        FIELD(history_op, is_keys_only, "keys_only", read_bool),
        FIELD(history_op, is_count_only, "count_only", read_bool),
        FIELD(history_op, order, "order", read_order),
        FIELD(history_op, sort, "sort", read_sort),
        FIELD(history_op, wants_keys, "keys", read_bool),
        FIELD(history_op, user, "user", read_bytes),
        FIELD(history_op, role, "role", read_bytes),
        FIELD(history_op, permission, "permission", read_permission),
        FIELD(history_op, wants_prev, "prev", read_bool),
        FIELD(history_op, keeps_value, "keep_value", read_bool),
        FIELD(history_op, keeps_lease, "keep_lease", read_bool),
        {"if", read_compares, 0},
        {"then", read_then, 0},
        {"else", read_else, 0},
    };
    struct history_op *op = at;
    op->kind = HISTORY_KINDS;
    TRY(READ_FIELDS(reader, value, fields, op));
    unsigned needs = op->kind < HISTORY_KINDS ? needs_of[op->kind] : 0;
    bool has_names =
        (!(needs & NEEDS_USER) || op->user.len) && (!(needs & NEEDS_ROLE) || op->role.len);
    return op->kind != HISTORY_KINDS && (op->key.len || !(needs & NEEDS_KEY)) && has_names
               ? OK
               : bad(reader, "an operation without do, key, user or role", value);
}

static struct err read_result(struct reader *reader, struct json_object *value, void *at);
ARRAY_READER(read_kvs, history_result, kvs, kvs_count, read_kv, history_kv)
ARRAY_READER(read_results, history_result, results, results_count, read_result, history_result)
ARRAY_READER(read_names, history_result, names, names_count, read_bytes, slice)

static struct err read_grant(struct reader *reader, struct json_object *value, void *at)
{
    struct history_grant *grant = at;
    if (!json_object_is_type(value, json_type_array) || json_object_array_length(value) != 3) {
        return bad(reader, "no array of three", value);
    }
    TRY(read_bytes(reader, json_object_array_get_idx(value, 0), &grant->key));
    TRY(read_bytes(reader, json_object_array_get_idx(value, 1), &grant->end));
    return read_permission(reader, json_object_array_get_idx(value, 2), &grant->permission);
}

ARRAY_READER(read_grants, history_result, grants, grants_count, read_grant, history_grant)

static struct err read_result(struct reader *reader, struct json_object *value, void *at)
{
    static const struct field fields[] = {
        FIELD(history_result, revision, "revision", read_int),
        FIELD(history_result, count, "count", read_int),
        FIELD(history_result, has_more, "more", read_bool),
        FIELD(history_result, is_succeeded, "succeeded", read_bool),
        FIELD(history_result, ttl_s, "ttl", read_int),
        FIELD(history_result, granted_s, "granted", read_int),
        FIELD(history_result, is_enabled, "enabled", read_bool),
        FIELD(history_result, auth_revision, "auth_revision", read_int),
        {"names", read_names, 0},
        {"grants", read_grants, 0},
        {"kvs", read_kvs, 0},
        {"results", read_results, 0},
    };
    return READ_FIELDS(reader, value, fields, at);
}

static struct err read_outcome(struct reader *reader, struct json_object *value, void *at)
{
    static const char *const names[] = {"ok", "failed", "unknown"};
    return read_name(reader, value, names, 3, at);
}

static struct err read_caller(struct reader *reader, struct json_object *value, void *at)
{
    struct history_call *call = at;
    call->has_user = true;
    return read_bytes(reader, value, &call->user);
}

static struct err read_call(struct reader *reader, struct json_object *line)
{
    static const struct field fields[] = {
        {"type", NULL, 0},
        FIELD(history_call, client, "client", read_u64),
        FIELD(history_call, member, "member", read_u64),
        {"user", read_caller, 0},
        FIELD(history_call, invoked_ns, "invoke", read_int),
        FIELD(history_call, returned_ns, "return", read_int),
        FIELD(history_call, outcome, "outcome", read_outcome),
        FIELD(history_call, error, "error", read_bytes),
        FIELD(history_call, op, "op", read_op),
        FIELD(history_call, result, "result", read_result),
    };
    struct history_call call = {
        .op.kind = HISTORY_KINDS, .outcome = (enum history_outcome)NO_OUTCOME};
    TRY(READ_FIELDS(reader, line, fields, &call));
    if (call.op.kind == HISTORY_KINDS || call.outcome == (enum history_outcome)NO_OUTCOME) {
        return bad(reader, "a call without op or outcome", line);
    }
    history_add_call(reader->history, &call);
    return OK;
}

static struct err read_watch(struct reader *reader, struct json_object *line)
{
    static const struct field fields[] = {
        {"type", NULL, 0},
        FIELD(history_watch, watch, "watch", read_u64),
        FIELD(history_watch, client, "client", read_u64),
        FIELD(history_watch, member, "member", read_u64),
        FIELD(history_watch, created_ns, "time", read_int),
        FIELD(history_watch, revision, "revision", read_int),
        FIELD(history_watch, key, "key", read_bytes),
        FIELD(history_watch, end, "end", read_bytes),
        FIELD(history_watch, start, "start", read_int),
        FIELD(history_watch, no_put, "no_put", read_bool),
        FIELD(history_watch, no_delete, "no_delete", read_bool),
        FIELD(history_watch, wants_prev, "prev", read_bool),
        FIELD(history_watch, is_fragmented, "fragment", read_bool),
    };
    struct history_watch watch = {0};
    TRY(READ_FIELDS(reader, line, fields, &watch));
    if (!watch.key.len || map_get_u64(reader->history->watch_by_id, watch.watch)) {
        return bad(reader, "a watch without a key, or twice", line);
    }
    history_add_watch(reader->history, &watch);
    return OK;
}

static struct err read_event(struct reader *reader, struct json_object *value, void *at)
{
    static const char *const names[] = {"put", "delete"};
    struct history_event *event = at;
    size_t count =
        json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;
    if (count != 2 && count != 3) {
        return bad(reader, "no event", value);
    }
    unsigned kind = 0;
    TRY(read_name(reader, json_object_array_get_idx(value, 0), names, 2, &kind));
    TRY(read_kv(reader, json_object_array_get_idx(value, 1), &event->kv));
    event->is_delete = kind == 1;
    event->has_prev = count == 3;
    return event->has_prev ? read_kv(reader, json_object_array_get_idx(value, 2), &event->prev)
                           : OK;
}

ARRAY_READER(read_events, history_response, events, events_count, read_event, history_event)

static struct err read_response(struct reader *reader, struct json_object *line)
{
    static const struct field fields[] = {
        {"type", NULL, 0},
        FIELD(history_response, watch, "watch", read_u64),
        FIELD(history_response, came_ns, "time", read_int),
        FIELD(history_response, revision, "revision", read_int),
        FIELD(history_response, is_fragment, "fragment", read_bool),
        FIELD(history_response, is_canceled, "canceled", read_bool),
        FIELD(history_response, compact, "compact", read_int),
        {"events", read_events, 0},
    };
    struct history_response response = {0};
    TRY(READ_FIELDS(reader, line, fields, &response));
    if (!map_get_u64(reader->history->watch_by_id, response.watch)) {
        return bad(reader, "a response of no watch", line);
    }
    history_add_response(reader->history, &response);
    return OK;
}

static struct err read_hash(struct reader *reader, struct json_object *line)
{
    static const struct field fields[] = {
        {"type", NULL, 0},
        FIELD(history_hash, member, "member", read_u64),
        FIELD(history_hash, revision, "revision", read_int),
        FIELD(history_hash, compact, "compact", read_int),
        FIELD(history_hash, hash, "hash", read_u32),
    };
    struct history_hash hash = {0};
    TRY(READ_FIELDS(reader, line, fields, &hash));
    history_add_hash(reader->history, &hash);
    return OK;
}

ARRAY_READER(read_run_kvs, history_run, kvs, kvs_count, read_kv, history_kv)

static struct err read_leases(struct reader *reader, struct json_object *value, void *at)
{
    struct history_run *run = at;
    void *leases = NULL;
    TRY(read_array(reader, value, read_int, sizeof(int64_t), &leases, &run->leases_count));
    run->leases = leases;
    return OK;
}

static struct err read_run(struct reader *reader, struct json_object *line)
{
    static const struct field fields[] = {
        {"type", NULL, 0},
        FIELD(history_run, has_sane_clocks, "sane_clocks", read_bool),
        FIELD(history_run, slack_ns, "slack", read_int),
        FIELD(history_run, has_others, "others", read_bool),
        FIELD(history_run, revision, "revision", read_int),
        FIELD(history_run, compact, "compact", read_int),
        {"kvs", read_run_kvs, 0},
        {"leases", read_leases, 0},
    };
    struct history_run run = {0};
    TRY(READ_FIELDS(reader, line, fields, &run));
    history_set_run(reader->history, &run);
    return OK;
}

static struct err read_object(struct reader *reader, struct json_object *line)
{
    static const char *const names[] = {"call", "response", "watch", "hash", "run"};
    static struct err (*const readers[])(struct reader *, struct json_object *) = {
        read_call, read_response, read_watch, read_hash, read_run};
    struct json_object *type = NULL;
    unsigned place = 0;
    json_object_object_get_ex(line, "type", &type);
    TRY(read_name(reader, type, names, 5, &place));
    return readers[place](reader, line);
}

struct err history_add_line(struct history *history, struct slice line, struct why *why)
{
    struct json_object *object = NULL;
    TRY(json_parse(line, LINE_BYTES_MAX, &object, why));
    struct reader reader = {.history = history, .arena = arena_new(0), .why = why};
    struct err e = json_object_is_type(object, json_type_object)
                       ? read_object(&reader, object)
                       : bad(&reader, "no object", object);
    arena_free(reader.arena);
    json_object_put(object);
    return e;
}
