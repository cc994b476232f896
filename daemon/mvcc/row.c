/* SPDX-License-Identifier: Apache-2.0 */
#include "row.h"

#include "base/codec.h"

enum { KIND_PUT = 1, KIND_TOMBSTONE = 2 };

struct row_key row_key(char prefix, revision main, int64_t sub)
{
    struct row_key key;
    key.bytes[0] = (uint8_t)prefix;
    put_be64(key.bytes + 1, (uint64_t)main);
    put_be64(key.bytes + 9, (uint64_t)sub);
    return key;
}

struct err row_key_read(struct slice bytes, char prefix, revision *out_main, int64_t *out_sub)
{
    if (bytes.len != ROW_KEY_BYTES || bytes.data[0] != (uint8_t)prefix) {
        return ERR(BAD_FORMAT);
    }
    uint64_t main = get_be64(bytes.data + 1);
    uint64_t sub = get_be64(bytes.data + 9);
    if (main == 0 || main >= INT64_MAX || sub > UINT32_MAX) {
        return ERR(BAD_FORMAT);
    }
    *out_main = (revision)main;
    *out_sub = (int64_t)sub;
    return OK;
}

size_t row_head(const struct row *row, uint8_t out[ROW_HEAD_MAX])
{
    size_t len = 0;
    out[len++] = row->is_tombstone ? KIND_TOMBSTONE : KIND_PUT;
    if (row->link_main) {
        len += varint_put(out + len, (uint64_t)(row->main - row->link_main + 1));
        len += varint_put(out + len, (uint64_t)row->link_sub);
    } else {
        len += varint_put(out + len, 0);
    }
    if (!row->is_tombstone) {
        len += varint_put(out + len, (uint64_t)(row->main - row->create));
        len += varint_put(out + len, (uint64_t)row->version);
        len += varint_put(out + len, (uint64_t)row->lease);
    }
    return len;
}

static struct err link_read(struct wire *wire, struct row *row)
{
    uint64_t back;
    uint64_t sub = 0;
    TRY(varint_take(wire, &back));
    if (back == 0) {
        return OK;
    }
    TRY(varint_take(wire, &sub));
    if (back > (uint64_t)row->main || sub > UINT32_MAX || (back == 1 && (int64_t)sub >= row->sub)) {
        return ERR(BAD_FORMAT);
    }
    row->link_main = row->main - (revision)back + 1;
    row->link_sub = (int64_t)sub;
    return OK;
}

static struct err put_read(struct wire *wire, struct row *row)
{
    uint64_t age;
    uint64_t version;
    uint64_t lease;
    TRY(varint_take(wire, &age));
    TRY(varint_take(wire, &version));
    TRY(varint_take(wire, &lease));
    if (age >= (uint64_t)row->main || version == 0 || version > INT64_MAX) {
        return ERR(BAD_FORMAT);
    }
    row->create = row->main - (revision)age;
    row->version = (int64_t)version;
    row->lease = (lease_id)lease;
    return OK;
}

struct err row_read(revision main, int64_t sub, struct slice bytes, struct row *out)
{
    struct row row = {.main = main, .sub = sub};
    if (bytes.len == 0 || (bytes.data[0] != KIND_PUT && bytes.data[0] != KIND_TOMBSTONE)) {
        return ERR(BAD_FORMAT);
    }
    row.is_tombstone = bytes.data[0] == KIND_TOMBSTONE;
    struct wire wire;
    wire_init(&wire, slice_of(bytes.data + 1, bytes.len - 1));
    TRY(link_read(&wire, &row));
    if (!row.is_tombstone) {
        TRY(put_read(&wire, &row));
    }
    if (!wire_more(&wire)) {
        return ERR(BAD_FORMAT);
    }
    row.key = slice_of(wire.at, (size_t)(wire.end - wire.at));
    *out = row;
    return OK;
}

struct err row_take(struct slice key, struct slice value, struct row *out, struct why *why)
{
    revision main = 0;
    int64_t sub = 0;
    struct err err = row_key_read(key, 'l', &main, &sub);
    if (!err_is(err)) {
        err = row_read(main, sub, value, out);
    }
    return err_is(err) ? why_set(why, err, "malformed row of revision %lld", (long long)main) : OK;
}

void row_put(struct backend_batch *batch, const struct row *row)
{
    uint8_t head[ROW_HEAD_MAX];
    struct row_key key = row_key('l', row->main, row->sub);
    struct slice parts[2] = {slice_of(head, row_head(row, head)), row->key};
    backend_batch_put_parts(batch, row_key_slice(&key), parts, 2);
}

struct err row_rev_get(struct backend *backend, struct slice name, revision *out, struct why *why)
{
    struct blob *value = NULL;
    TRY(backend_get(backend, NULL, name, &value, why));
    if (!value) {
        *out = -1;
        return OK;
    }
    struct err err = OK;
    if (value->len != 8 || get_be64(value->data) > INT64_MAX) {
        err = why_set(
            why, ERR(BAD_FORMAT), "malformed row %.*s", (int)name.len, (const char *)name.data);
    } else {
        *out = (revision)get_be64(value->data);
    }
    blob_unref(value);
    return err;
}

void row_rev_put(struct backend_batch *batch, struct slice name, revision rev)
{
    uint8_t bytes[8];
    put_be64(bytes, (uint64_t)rev);
    backend_batch_put(batch, name, slice_of(bytes, sizeof(bytes)));
}
