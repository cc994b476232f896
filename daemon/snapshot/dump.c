/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/dump.h"

#include "base/buf.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/mem.h"

struct dump {
    struct backend *backend;
    struct backend_snapshot *view;
    struct backend_iter *iter;
    struct buf block; /* with its head */
    size_t sent;
    bool is_over;
};

struct dump *dump_new(struct backend *backend, struct backend_snapshot *view)
{
    struct dump *dump = mem_new(sizeof(*dump));
    dump->backend = backend;
    dump->view = view;
    dump->iter = backend_iter_open(backend, view, SLICE("d"), SLICE("n"));
    buf_init(&dump->block, DUMP_BLOCK_MAX);
    return dump;
}

void dump_free(struct dump *dump)
{
    if (dump) {
        backend_iter_close(dump->iter);
        backend_snapshot_release(dump->backend, dump->view);
        buf_fini(&dump->block);
        free(dump);
    }
}

bool dump_is_own(struct slice key)
{
    static const char *const names[] = {"minstalling", "mformat", "madopted", "mrestored"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (slice_eq(key, slice_str(names[i]))) {
            return true;
        }
    }
    return false;
}

static void add_bytes(struct buf *out, struct slice bytes)
{
    uint8_t len[10];
    buf_add(out, len, varint_put(len, bytes.len));
    buf_add_slice(out, bytes);
}

static struct err next_block(struct dump *dump, struct why *why)
{
    struct slice key;
    struct slice value;
    struct buf *block = &dump->block;
    uint8_t head[DUMP_HEAD] = {0};
    buf_reset(block);
    buf_add(block, head, sizeof(head));
    dump->sent = 0;
    while (block->len < DUMP_BLOCK && !dump->is_over) {
        dump->is_over = !backend_iter_next(dump->iter, &key, &value);
        if (!dump->is_over && !dump_is_own(key)) {
            add_bytes(block, key);
            add_bytes(block, value);
        }
    }
    TRY(backend_iter_err(dump->iter, why));
    if (block->is_full) {
        return why_set(why, ERR(TOO_BIG), "a row of more than %d bytes", DUMP_BLOCK_MAX);
    }
    struct slice rows = slice_of(block->data + DUMP_HEAD, block->len - DUMP_HEAD);
    put_be64(block->data, rows.len);
    put_be64(block->data + 8, crc32c(0, rows));
    if (dump->is_over && rows.len) {
        buf_add(block, head, sizeof(head));
    }
    return OK;
}

struct err dump_read(struct dump *dump, void *out, size_t size, size_t *out_got, struct why *why)
{
    if (dump->sent == dump->block.len && !dump->is_over) {
        TRY(next_block(dump, why));
    }
    size_t left = dump->block.len - dump->sent;
    size_t len = left < size ? left : size;
    if (len) {
        memcpy(out, dump->block.data + dump->sent, len);
    }
    dump->sent += len;
    *out_got = len;
    return OK;
}
