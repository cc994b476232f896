/* SPDX-License-Identifier: Apache-2.0 */
#include "base/payload.h"

#include "base/err.h"
#include "base/mem.h"

void payload_init(struct payload *payload)
{
    *payload = (struct payload){0};
}

void payload_fini(struct payload *payload)
{
    for (size_t i = 0; i < payload->count; i++) {
        if (payload->parts[i].release) {
            payload->parts[i].release(payload->parts[i].owner);
        }
    }
    if (payload->home.release) {
        payload->home.release(payload->home.owner);
    }
    free(payload->parts);
    *payload = (struct payload){0};
}

static void add(struct payload *payload, struct payload_part part)
{
    if (payload->count == payload->cap) {
        payload->cap = payload->cap ? payload->cap * 2 : 2;
        payload->parts = mem_grow(payload->parts, payload->cap * sizeof(*payload->parts));
    }
    payload->parts[payload->count++] = part;
    payload->bytes += part.bytes.len;
}

void payload_add_buf(struct payload *payload, struct buf *buf)
{
    size_t len;
    uint8_t *data = buf_take(buf, &len);
    add(payload, (struct payload_part){slice_of(data, len), free, data});
}

void payload_add_blob(struct payload *payload, struct blob *blob)
{
    add(payload, (struct payload_part){blob_slice(blob), blob_unref_void, blob_ref(blob)});
}

void payload_add_lent(struct payload *payload, struct slice bytes)
{
    add(payload, (struct payload_part){.bytes = bytes});
}

void payload_set_home(struct payload *payload, struct payload_home home)
{
    check(!payload->home.release);
    payload->home = home;
}

struct payload_home payload_take_home(struct payload *payload)
{
    struct payload_home home = payload->home;
    payload->home = (struct payload_home){0};
    return home;
}

struct payload_part payload_take(struct payload *payload, size_t i)
{
    check(i < payload->count);
    struct payload_part part = payload->parts[i];
    payload->parts[i].release = NULL;
    return part;
}
