/* SPDX-License-Identifier: Apache-2.0 */
#include "wrong.h"

#include <inttypes.h>
#include <stdarg.h>

enum { TEXT_MAX = 1024, SHOWN_MAX = 8, WORD_SHOWN_MAX = 60 };

static const char *const names[] = {
#define HISTORY_WRONG(name, text, meaning) [HISTORY_WRONG_##name] = (text),
#include "wrong.def"
#undef HISTORY_WRONG
};

static const char *const meanings[] = {
#define HISTORY_WRONG(name, text, meaning) [HISTORY_WRONG_##name] = (meaning),
#include "wrong.def"
#undef HISTORY_WRONG
};

const char *history_wrong_name(enum history_wrong what)
{
    return what < HISTORY_WRONGS ? names[what] : "nothing";
}

enum history_wrong history_first_wrong(const struct history *history)
{
    return history->first_wrong;
}

void wrong(struct history *history, enum history_wrong what, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (!history->wrongs++) {
        history->first_wrong = what;
    }
    buf_printf(history->report, "%s: %s: %s\n", names[what], meanings[what], text);
}

static void add_bytes(struct buf *out, struct slice bytes)
{
    buf_add_byte(out, '"');
    for (size_t i = 0; i < bytes.len && i < WORD_SHOWN_MAX; i++) {
        bool is_plain = bytes.data[i] >= ' ' && bytes.data[i] < 0x7f;
        buf_printf(out, is_plain ? "%c" : "\\x%02x", bytes.data[i]);
    }
    buf_add_str(out, bytes.len > WORD_SHOWN_MAX ? "…\"" : "\"");
}

static void add_key(struct buf *out, struct slice key, struct slice end)
{
    buf_add_byte(out, ' ');
    add_bytes(out, key);
    if (end.len) {
        buf_add_str(out, " to ");
        add_bytes(out, end);
    }
}

static void add_named(struct buf *out, const char *what, struct slice name)
{
    if (name.len) {
        buf_add_str(out, what);
        add_bytes(out, name);
    }
}

static void add_op(struct buf *out, const struct history_op *op)
{
    static const char *const kinds[] = {"range", "put", "delete", "txn", "compact", "grant",
        "revoke", "keepalive", "dump", "ttl", "auth_enable", "auth_disable", "auth_status",
        "user_add", "user_delete", "user_grant", "user_revoke", "user_get", "role_add",
        "role_delete", "role_grant", "role_revoke", "role_get"};
    static const char *const sorts[] = {"key", "version", "create", "mod", "value"};
    buf_add_str(out, kinds[op->kind]);
    if (op->key.len) {
        add_key(out, op->key, op->end);
    }
    if (op->kind == HISTORY_PUT) {
        buf_add_str(out, " = ");
        add_bytes(out, op->value);
    }
    add_named(out, " user ", op->user);
    add_named(out, " role ", op->role);
    if (op->order) {
        buf_printf(out, " by %s, %s", sorts[op->sort],
            op->order == HISTORY_ASCENDING ? "ascending" : "descending");
    }
    if (op->lease) {
        buf_printf(out, " lease %" PRId64, op->lease);
    }
    if (op->revision) {
        buf_printf(out, " revision %" PRId64, op->revision);
    }
    buf_add_str(out, op->is_serializable ? " serializable" : "");
    for (size_t i = 0; i < op->compares_count; i++) {
        static const char *const targets[] = {"version", "create", "mod", "value", "lease"};
        const struct history_compare *compare = &op->compares[i];
        buf_add_str(out, i ? " and" : " if");
        add_key(out, compare->key, compare->end);
        buf_printf(out, ".%s %c ", targets[compare->target], "=><!"[compare->relation]);
        if (compare->target == HISTORY_VALUE) {
            add_bytes(out, compare->value);
        } else {
            buf_printf(out, "%" PRId64, compare->number);
        }
    }
    for (size_t i = 0; i < op->then_count + op->else_count; i++) {
        bool is_then = i < op->then_count;
        buf_add_str(out, is_then ? " then " : " else ");
        add_op(out, is_then ? &op->then_ops[i] : &op->else_ops[i - op->then_count]);
    }
}

static void add_kv(struct buf *out, const struct history_kv *kv)
{
    add_key(out, kv->key, (struct slice){NULL, 0});
    buf_add_str(out, " = ");
    add_bytes(out, kv->value);
    buf_printf(out, " create %" PRId64 " mod %" PRId64 " version %" PRId64, kv->create, kv->mod,
        kv->version);
    if (kv->lease) {
        buf_printf(out, " lease %" PRId64, kv->lease);
    }
}

static void add_result(
    struct buf *out, const struct history_op *op, const struct history_result *result)
{
    if (op->kind == HISTORY_TXN) {
        buf_add_str(out, result->is_succeeded ? ", then:" : ", else:");
    }
    if (op->kind == HISTORY_RANGE || op->kind == HISTORY_DELETE) {
        buf_printf(out, ", count %" PRId64, result->count);
    }
    for (size_t i = 0; i < result->kvs_count && i < SHOWN_MAX; i++) {
        add_kv(out, &result->kvs[i]);
        buf_add_str(out, i + 1 < result->kvs_count ? ";" : "");
    }
    buf_add_str(out, result->kvs_count > SHOWN_MAX ? " …" : "");
    for (size_t i = 0; i < result->names_count && i < SHOWN_MAX; i++) {
        add_named(out, " ", result->names[i]);
    }
    for (size_t i = 0; i < result->grants_count && i < SHOWN_MAX; i++) {
        add_key(out, result->grants[i].key, result->grants[i].end);
        buf_printf(out, " %d", (int)result->grants[i].permission);
    }
    const struct history_op *ops = result->is_succeeded ? op->then_ops : op->else_ops;
    size_t count = result->is_succeeded ? op->then_count : op->else_count;
    for (size_t i = 0; i < result->results_count && i < count; i++) {
        buf_printf(out, " %zu", i);
        add_result(out, &ops[i], &result->results[i]);
    }
}

static void add_call(struct buf *out, const struct call *call)
{
    const struct history_call *of = &call->of;
    buf_printf(out, "    %zu: client %" PRIu64 " member %" PRIu64 " [%" PRId64 "..", call->number,
        of->client, of->member, of->invoked_ns);
    if (of->outcome != HISTORY_UNKNOWN) {
        buf_printf(out, "%" PRId64, of->returned_ns);
    }
    buf_add_str(out, "] ");
    add_named(out, "user ", of->has_user ? of->user : (struct slice){0});
    buf_add_str(out, of->has_user && of->user.len ? " " : "");
    add_op(out, &of->op);
    if (of->outcome == HISTORY_OK) {
        buf_printf(out, " -> revision %" PRId64, of->result.revision);
        add_result(out, &of->op, &of->result);
    } else {
        buf_add_str(out, of->outcome == HISTORY_FAILED ? " -> refused " : " -> no answer");
        buf_add_slice(out, of->error);
    }
    buf_add_byte(out, '\n');
}

static void add_watch(struct buf *out, const struct watch *watch)
{
    buf_printf(out, "    %zu: watch %" PRIu64 " member %" PRIu64 " [%" PRId64 "]", watch->number,
        watch->of.watch, watch->of.member, watch->of.created_ns);
    add_key(out, watch->of.key, watch->of.end);
    buf_printf(out, " from %" PRId64 ", created at revision %" PRId64 "\n", watch->of.start,
        watch->of.revision);
}

static void add_response(struct buf *out, const struct response *response)
{
    const struct history_response *of = &response->of;
    buf_printf(out, "    %zu: watch %" PRIu64 " [%" PRId64 "] revision %" PRId64, response->number,
        of->watch, of->came_ns, of->revision);
    if (of->is_canceled) {
        buf_printf(out, " canceled, compact %" PRId64, of->compact);
    } else if (!of->events_count) {
        buf_add_str(out, " progress");
    }
    for (size_t i = 0; i < of->events_count && i < SHOWN_MAX; i++) {
        buf_add_str(out, of->events[i].is_delete ? "; delete" : "; put");
        add_kv(out, &of->events[i].kv);
        if (of->events[i].has_prev) {
            buf_add_str(out, " before:");
            add_kv(out, &of->events[i].prev);
        }
    }
    buf_add_str(out, of->events_count > SHOWN_MAX ? " …\n" : "\n");
}

void wrong_show(struct history *history, size_t number)
{
    struct buf *out = history->report;
    for (size_t i = 0; number && i < history->calls_count; i++) {
        if (history->calls[i]->number == number) {
            add_call(out, history->calls[i]);
        }
    }
    for (size_t i = 0; number && i < history->watches_count; i++) {
        struct watch *watch = history->watches[i];
        if (watch->number == number) {
            add_watch(out, watch);
        }
        for (size_t j = 0; j < watch->count; j++) {
            if (watch->responses[j].number == number) {
                add_response(out, &watch->responses[j]);
            }
        }
    }
}
