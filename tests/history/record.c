/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include "base/mem.h"

enum { ROOM_FIRST = 64 };

void *record_grow(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room) {
        return array;
    }
    *room = *room ? *room * 2 : ROOM_FIRST;
    return mem_grow(array, *room * size);
}

struct history *history_new(void)
{
    struct history *history = mem_new(sizeof(*history));
    history->arena = arena_new(0);
    history->words = map_new();
    history->watch_by_id = map_new();
    history->run.revision = 1;
    history->first_wrong = HISTORY_WRONGS;
    return history;
}

void history_free(struct history *history)
{
    if (!history) {
        return;
    }
    for (size_t i = 0; i < history->watches_count; i++) {
        free(history->watches[i]->responses);
    }
    free(history->watches);
    free(history->calls);
    free(history->hashes);
    free(history->keys);
    map_free(history->watch_by_id);
    map_free(history->words);
    arena_free(history->arena);
    free(history);
}

size_t history_calls(const struct history *history)
{
    return history->calls_count;
}

size_t history_events(const struct history *history)
{
    return history->events_count;
}

static struct slice intern(struct history *history, struct slice bytes, bool is_key)
{
    bytes = bytes.data ? bytes : SLICE("");
    struct word *word = map_get(history->words, bytes);
    if (!word) {
        word = arena_zalloc(history->arena, sizeof(*word) + bytes.len + 1);
        word->len = bytes.len;
        memcpy(word->data, bytes.data, bytes.len);
        map_put(history->words, bytes, word);
    }
    if (is_key && !word->is_key) {
        word->is_key = true;
        history->keys = record_grow(
            history->keys, history->keys_count, &history->keys_room, sizeof(*history->keys));
        history->keys[history->keys_count++] = word;
    }
    return slice_of(word->data, word->len);
}

static struct slice copy_end(struct history *history, struct slice end)
{
    return end.len ? arena_dup(history->arena, end) : (struct slice){NULL, 0};
}

static void copy_kv(struct history *history, struct history_kv *to, const struct history_kv *from)
{
    *to = *from;
    to->key = intern(history, from->key, true);
    to->value = intern(history, from->value, false);
}

static struct history_kv *copy_kvs(
    struct history *history, const struct history_kv *from, size_t count)
{
    if (!count) {
        return NULL;
    }
    struct history_kv *to = arena_alloc(history->arena, count * sizeof(*to));
    for (size_t i = 0; i < count; i++) {
        copy_kv(history, &to[i], &from[i]);
    }
    return to;
}

static const struct history_compare *copy_compares(
    struct history *history, const struct history_compare *from, size_t count)
{
    struct history_compare *to = arena_alloc(history->arena, (count + 1) * sizeof(*to));
    for (size_t i = 0; i < count; i++) {
        to[i] = from[i];
        to[i].key = intern(history, from[i].key, true);
        to[i].end = copy_end(history, from[i].end);
        to[i].value = intern(history, from[i].value, false);
    }
    return to;
}

static void copy_op(struct history *history, struct call *call, struct history_op *to,
    const struct history_op *from);

static const struct history_op *copy_ops(
    struct history *history, struct call *call, const struct history_op *from, size_t count)
{
    struct history_op *to = arena_alloc(history->arena, (count + 1) * sizeof(*to));
    for (size_t i = 0; i < count; i++) {
        copy_op(history, call, &to[i], &from[i]);
    }
    return to;
}

static void add_writer(struct history *history, struct call *call, const struct history_op *put)
{
    struct word *value = word_of(put->value);
    struct writer *writer = arena_alloc(history->arena, sizeof(*writer));
    *writer = (struct writer){.next = value->writers, .call = call, .key = put->key};
    value->writers = writer;
}

static void copy_op(struct history *history, struct call *call, struct history_op *to,
    const struct history_op *from)
{
    *to = *from;
    to->key = intern(history, from->key, from->key.len > 0);
    to->end = copy_end(history, from->end);
    to->value = intern(history, from->value, false);
    to->user = intern(history, from->user, false);
    to->role = intern(history, from->role, false);
    call->is_write = call->is_write || from->kind == HISTORY_PUT || from->kind == HISTORY_DELETE ||
                     from->kind == HISTORY_LEASE_REVOKE;
    if (from->kind == HISTORY_PUT) {
        add_writer(history, call, to);
        word_of(to->key)->is_ours = true;
    }
    if (from->kind == HISTORY_TXN) {
        to->compares = copy_compares(history, from->compares, from->compares_count);
        to->then_ops = copy_ops(history, call, from->then_ops, from->then_count);
        to->else_ops = copy_ops(history, call, from->else_ops, from->else_count);
    }
}

static void copy_names(
    struct history *history, struct history_result *to, const struct history_result *from)
{
    struct slice *names = arena_alloc(history->arena, (from->names_count + 1) * sizeof(*names));
    for (size_t i = 0; i < from->names_count; i++) {
        names[i] = intern(history, from->names[i], false);
    }
    struct history_grant *grants =
        arena_alloc(history->arena, (from->grants_count + 1) * sizeof(*grants));
    for (size_t i = 0; i < from->grants_count; i++) {
        grants[i] = (struct history_grant){intern(history, from->grants[i].key, false),
            copy_end(history, from->grants[i].end), from->grants[i].permission};
    }
    to->names = names;
    to->grants = grants;
}

static void copy_result(
    struct history *history, struct history_result *to, const struct history_result *from)
{
    *to = *from;
    to->kvs = copy_kvs(history, from->kvs, from->kvs_count);
    copy_names(history, to, from);
    struct history_result *results =
        arena_alloc(history->arena, (from->results_count + 1) * sizeof(*results));
    for (size_t i = 0; i < from->results_count; i++) {
        copy_result(history, &results[i], &from->results[i]);
    }
    to->results = results;
}

void history_set_run(struct history *history, const struct history_run *run)
{
    history->added++;
    history->run = *run;
    history->run.revision = run->revision ? run->revision : 1;
    history->run.kvs = copy_kvs(history, run->kvs, run->kvs_count);
    size_t bytes = run->leases_count * sizeof(*run->leases);
    history->run.leases =
        (const int64_t *)(const void *)arena_dup(history->arena, slice_of(run->leases, bytes)).data;
}

void history_add_call(struct history *history, const struct history_call *from)
{
    struct call *call = arena_zalloc(history->arena, sizeof(*call));
    call->number = ++history->added;
    call->of = *from;
    copy_op(history, call, &call->of.op, &from->op);
    copy_result(history, &call->of.result, &from->result);
    call->of.user = intern(history, from->user, false);
    call->of.error = arena_dup(history->arena, from->error);
    history->calls = record_grow(
        history->calls, history->calls_count, &history->calls_room, sizeof(*history->calls));
    history->calls[history->calls_count++] = call;
}

void history_add_watch(struct history *history, const struct history_watch *from)
{
    struct watch *watch = arena_zalloc(history->arena, sizeof(*watch));
    watch->number = ++history->added;
    watch->of = *from;
    watch->of.key = intern(history, from->key, true);
    watch->of.end = copy_end(history, from->end);
    history->watches = record_grow(history->watches, history->watches_count, &history->watches_room,
        sizeof(*history->watches));
    history->watches[history->watches_count++] = watch;
    check(map_put_u64(history->watch_by_id, from->watch, watch) == NULL);
}

void history_add_response(struct history *history, const struct history_response *from)
{
    struct watch *watch = map_get_u64(history->watch_by_id, from->watch);
    check(watch != NULL);
    watch->responses =
        record_grow(watch->responses, watch->count, &watch->room, sizeof(*watch->responses));
    struct response *response = &watch->responses[watch->count++];
    *response = (struct response){.of = *from, .number = ++history->added};
    struct history_event *events =
        arena_alloc(history->arena, (from->events_count + 1) * sizeof(*events));
    for (size_t i = 0; i < from->events_count; i++) {
        events[i] = from->events[i];
        copy_kv(history, &events[i].kv, &from->events[i].kv);
        if (from->events[i].has_prev) {
            copy_kv(history, &events[i].prev, &from->events[i].prev);
        }
    }
    response->of.events = events;
    history->events_count += from->events_count;
}

void history_add_hash(struct history *history, const struct history_hash *hash)
{
    history->hashes = record_grow(
        history->hashes, history->hashes_count, &history->hashes_room, sizeof(*history->hashes));
    history->hashes[history->hashes_count++] = (struct hash){*hash, ++history->added};
}
