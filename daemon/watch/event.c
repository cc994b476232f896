/* SPDX-License-Identifier: Apache-2.0
 *
 * An event as field 11 of a WatchResponse: Event{type=1, kv=2, prev_kv=3}, KeyValue{key=1,
 * create_revision=2, mod_revision=3, version=4, value=5, lease=6}, proto3: what is zero is left
 * out.
 */
#include "watch/hub.h"

#include "base/arena.h"
#include "base/codec.h"

struct watch_event *watch_event_new(const struct mvcc_change *change)
{
    struct watch_event *event = mem_new(sizeof(*event));
    atomic_init(&event->refs, 1);
    mvcc_change_copy(&event->change, change);
    return event;
}

void watch_event_unref(struct watch_event *event)
{
    if (atomic_fetch_sub_explicit(&event->refs, 1, memory_order_acq_rel) == 1) {
        mvcc_change_fini(&event->change);
        blob_unref(atomic_load(&event->plain));
        blob_unref(atomic_load(&event->with_prev));
        free(event);
    }
}

static void add_kv(struct buf *out, uint32_t field, const struct mvcc_kv *kv)
{
    uint8_t head[64];
    size_t len = 0;
    const int64_t numbers[] = {kv->create, kv->mod, kv->version};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        if (numbers[i]) {
            head[len++] = (uint8_t)((i + 2) << 3);
            len += varint_put(head + len, (uint64_t)numbers[i]);
        }
    }
    size_t size = len;
    size += kv->key.len ? 1 + varint_size(kv->key.len) + kv->key.len : 0;
    size += kv->value.len ? 1 + varint_size(kv->value.len) + kv->value.len : 0;
    size += kv->lease ? 1 + varint_size((uint64_t)kv->lease) : 0;
    wire_add_head(out, field, size);
    wire_add_bytes_nz(out, 1, kv->key);
    buf_add(out, head, len);
    wire_add_bytes_nz(out, 5, kv->value);
    wire_add_varint_nz(out, 6, (uint64_t)kv->lease);
}

static struct mvcc_kv kv_of(const struct mvcc_change *change)
{
    return (struct mvcc_kv){blob_slice(change->key), blob_slice(change->value), change->create,
        change->main, change->version, change->lease};
}

/* A key that one transaction wrote twice: what it replaced is what was there before the
 * transaction, not its own first write. */
static struct err prev_before_txn(const struct mvcc_change *change, struct mvcc *mvcc,
    struct mvcc_kv *out, struct blob **out_value)
{
    struct arena *arena = arena_new(0);
    struct mvcc_range_result range = {0};
    struct mvcc_range_options options = {.key = blob_slice(change->key), .rev = change->main - 1};
    struct err err = mvcc_range(mvcc, &options, arena, &range);
    if (!err_is(err) && range.kvs_count == 1) {
        *out = range.kvs[0];
        *out_value = blob_new(out->value);
        out->key = blob_slice(change->key);
        out->value = blob_slice(*out_value);
    }
    arena_free(arena);
    return IS(err, COMPACTED) ? OK : err;
}

/* The previous version, as etcd gives it: none (*out_value stays NULL) for a key that this change
 * created, or when compaction took it. */
static struct err prev_of(const struct mvcc_change *change, struct mvcc *mvcc, struct mvcc_kv *out,
    struct blob **out_value)
{
    if (change->prev_mod == 0) {
        return OK;
    }
    if (change->prev_mod == change->main) {
        return prev_before_txn(change, mvcc, out, out_value);
    }
    struct blob *value = blob_ref(change->prev_value);
    if (!value) {
        TRY(mvcc_value(mvcc, change->prev_mod, change->prev_sub, &value, NULL));
    }
    *out = (struct mvcc_kv){blob_slice(change->key), blob_slice(value), change->prev_create,
        change->prev_mod, change->prev_version, change->prev_lease};
    *out_value = value;
    return OK;
}

static struct err encode(
    const struct mvcc_change *change, struct mvcc *mvcc, bool is_prev_wanted, struct blob **out)
{
    struct buf body;
    struct blob *prev_value = NULL;
    struct mvcc_kv prev;
    if (is_prev_wanted) {
        TRY(prev_of(change, mvcc, &prev, &prev_value));
    }
    struct mvcc_kv kv = kv_of(change);
    buf_init(&body, UINT32_MAX / 2);
    buf_reserve(&body, kv.key.len + kv.value.len + 64);
    wire_add_varint_nz(&body, 1, change->kind == MVCC_DELETE);
    add_kv(&body, 2, &kv);
    if (prev_value) {
        add_kv(&body, 3, &prev);
    }
    struct blob *blob = blob_new_size(1 + varint_size(body.len) + body.len);
    blob->data[0] = 11 << 3 | WIRE_BYTES;
    size_t at = 1 + varint_put(blob->data + 1, body.len);
    memcpy(blob->data + at, body.data, body.len);
    blob_unref(prev_value);
    buf_fini(&body);
    *out = blob;
    return OK;
}

struct err watch_event_encoded(
    struct watch_event *event, struct mvcc *mvcc, bool is_prev_wanted, struct blob **out)
{
    _Atomic(struct blob *) *slot = is_prev_wanted ? &event->with_prev : &event->plain;
    struct blob *blob = atomic_load_explicit(slot, memory_order_acquire);
    if (!blob) {
        struct blob *fresh;
        TRY(encode(&event->change, mvcc, is_prev_wanted, &fresh));
        if (atomic_compare_exchange_strong(slot, &blob, fresh)) {
            blob = fresh;
        } else {
            blob_unref(fresh); /* somebody was faster */
        }
    }
    *out = blob;
    return OK;
}

void watch_item_fini(struct watch_item *item)
{
    for (size_t i = 0; i < item->events_count; i++) {
        watch_event_unref(item->events[i]);
    }
    free(item->events);
    item->events = NULL;
    item->events_count = 0;
}
