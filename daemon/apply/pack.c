/* SPDX-License-Identifier: Apache-2.0
 *
 * RangeResponse packed by hand: a LIST of 20,000 objects as messages of protobuf-c costs two
 * structs a key and a copy of every value. Here the small fields go into chunks and values of some
 * size are sent from where they are.
 *
 *   RangeResponse  1 header  2 kvs*  3 more  4 count
 *   KeyValue       1 key  2 create_revision  3 mod_revision  4 version  5 value  6 lease
 */
#include "apply/apply.h"

#include "base/codec.h"
#include "base/mem.h"

enum {
    CHUNK = 32 * 1024,
    REFERENCED_MIN = 512, /* below, a copy costs less than a part of its own */
    FIELD_MAX = 11,       /* a tag of one byte and a varint */
    KV_HEADS_MAX = 8 * FIELD_MAX,
};

struct packing {
    struct arena *arena; /* NULL: one part */
    struct payload *payload;
    uint8_t *from; /* not yet a part of the payload */
    uint8_t *at;
    uint8_t *end;
};

static size_t number_size(int64_t number)
{
    return number ? 1 + varint_size((uint64_t)number) : 0;
}

static size_t bytes_size(size_t len)
{
    return len ? 1 + varint_size(len) + len : 0;
}

static size_t kv_size(const struct mvcc_kv *kv)
{
    return bytes_size(kv->key.len) + number_size(kv->create) + number_size(kv->mod) +
           number_size(kv->version) + bytes_size(kv->value.len) + number_size(kv->lease);
}

static size_t rows_size(const struct apply_rows *rows)
{
    size_t size = number_size(rows->total) + number_size(rows->has_more);
    for (size_t i = 0; i < rows->count; i++) {
        size_t kv = kv_size(&rows->kvs[i]);
        size += 1 + varint_size(kv) + kv;
    }
    return size;
}

static void cut(struct packing *p)
{
    if (p->at > p->from) {
        payload_add_lent(p->payload, slice_of(p->from, (size_t)(p->at - p->from)));
        p->from = p->at;
    }
}

static void need(struct packing *p, size_t size)
{
    if (!p->arena || (size_t)(p->end - p->at) >= size) {
        return; /* without an arena there is room for all */
    }
    cut(p);
    size = size > CHUNK ? size : CHUNK;
    p->from = p->at = arena_alloc(p->arena, size);
    check(p->at);
    p->end = p->at + size;
}

static void add_tag(struct packing *p, unsigned field, enum wire_type type)
{
    *p->at++ = (uint8_t)(field << 3 | (unsigned)type);
}

static void add_number(struct packing *p, unsigned field, int64_t number)
{
    if (number) {
        add_tag(p, field, WIRE_VARINT);
        p->at += varint_put(p->at, (uint64_t)number);
    }
}

static void add_raw(struct packing *p, struct slice bytes)
{
    if (bytes.len) {
        memcpy(p->at, bytes.data, bytes.len);
        p->at += bytes.len;
    }
}

static void add_head(struct packing *p, unsigned field, size_t len)
{
    add_tag(p, field, WIRE_BYTES);
    p->at += varint_put(p->at, len);
}

static void add_kv(struct packing *p, const struct mvcc_kv *kv)
{
    bool is_lent = p->arena && kv->value.len >= REFERENCED_MIN;
    need(p, KV_HEADS_MAX + kv->key.len + (is_lent ? 0 : kv->value.len));
    add_head(p, 2, kv_size(kv));
    if (kv->key.len) {
        add_head(p, 1, kv->key.len);
        add_raw(p, kv->key);
    }
    add_number(p, 2, kv->create);
    add_number(p, 3, kv->mod);
    add_number(p, 4, kv->version);
    if (kv->value.len) {
        add_head(p, 5, kv->value.len);
    }
    if (is_lent) {
        cut(p);
        payload_add_lent(p->payload, kv->value);
    } else {
        add_raw(p, kv->value);
    }
    add_number(p, 6, kv->lease);
}

static void add_all(struct packing *p, const struct apply_rows *rows, struct slice head)
{
    need(p, head.len);
    add_raw(p, head);
    for (size_t i = 0; i < rows->count; i++) {
        add_kv(p, &rows->kvs[i]);
    }
    need(p, 2 * FIELD_MAX);
    add_number(p, 3, rows->has_more);
    add_number(p, 4, rows->total);
}

void apply_rows_pack(
    const struct apply_rows *rows, struct slice head, struct arena *arena, struct payload *payload)
{
    struct packing p = {.arena = arena, .payload = payload};
    if (arena) {
        add_all(&p, rows, head);
        cut(&p);
        return;
    }
    struct buf one;
    size_t size = head.len + rows_size(rows);
    buf_init(&one, SIZE_MAX);
    check(buf_reserve(&one, size));
    p.from = p.at = one.data;
    add_all(&p, rows, head);
    one.len = (size_t)(p.at - p.from);
    check(one.len == size);
    payload_add_buf(payload, &one);
}
