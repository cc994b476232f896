/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/snapbox.h"

#include "base/mem.h"

enum {
    BOX_HIGH = 4 << 20, /* bytes that wait for the disk */
    BOX_LOW = 1 << 20,
};

enum piece_kind { PIECE_BYTES, PIECE_END, PIECE_BROKEN };

struct piece {
    struct list node;
    enum piece_kind kind;
    size_t len;
    uint8_t data[];
};

void snapbox_init(
    struct snapbox *box, struct http_server *http, void (*resume)(struct http_task *task))
{
    *box = (struct snapbox){.http = http, .resume = {.run = resume}};
    mailbox_init(&box->pieces, SIZE_MAX);
}

void snapbox_fini(struct snapbox *box)
{
    struct list pieces;
    list_init(&pieces);
    mailbox_take(&box->pieces, &pieces, 0);
    for (struct list *node; (node = list_pop(&pieces));) {
        free(LIST_ITEM(node, struct piece, node));
    }
    mailbox_fini(&box->pieces);
}

static void push(struct snapbox *box, enum piece_kind kind, struct slice bytes)
{
    struct piece *piece = mem_alloc(sizeof(*piece) + bytes.len);
    piece->kind = kind;
    piece->len = bytes.len;
    if (bytes.len) {
        memcpy(piece->data, bytes.data, bytes.len);
    }
    atomic_fetch_add(&box->waiting, bytes.len);
    bool is_pushed = mailbox_push_always(&box->pieces, &piece->node);
    check(is_pushed);
}

void snapbox_push(struct snapbox *box, struct slice bytes)
{
    push(box, PIECE_BYTES, bytes);
}

void snapbox_end(struct snapbox *box, bool is_whole)
{
    push(box, is_whole ? PIECE_END : PIECE_BROKEN, (struct slice){0});
}

bool snapbox_is_full(const struct snapbox *box)
{
    return atomic_load(&box->waiting) > BOX_HIGH;
}

/* Whether resume is due: once each time it is asked for. */
static bool is_due(struct snapbox *box)
{
    return atomic_load(&box->waiting) < BOX_LOW && atomic_exchange(&box->wants_resume, false);
}

bool snapbox_ask_resume(struct snapbox *box)
{
    atomic_store(&box->wants_resume, true);
    return is_due(box);
}

struct err snapbox_drain(struct snapbox *box,
    struct err (*take)(void *arg, struct slice bytes, struct why *why), void *arg, struct why *why)
{
    for (;;) {
        struct list pieces;
        list_init(&pieces);
        mailbox_take(&box->pieces, &pieces, -1);
        struct err err = OK;
        bool is_over = false;
        for (struct list *node; (node = list_pop(&pieces));) {
            struct piece *piece = LIST_ITEM(node, struct piece, node);
            if (piece->kind == PIECE_BROKEN) {
                err = why_set(why, ERR(TORN), "unexpected EOF");
            } else if (piece->kind == PIECE_BYTES && !err_is(err)) {
                err = take(arg, slice_of(piece->data, piece->len), why);
            }
            is_over = is_over || piece->kind != PIECE_BYTES;
            atomic_fetch_sub(&box->waiting, piece->len);
            free(piece);
        }
        if (is_due(box)) {
            http_run(box->http, &box->resume);
        }
        if (is_over || err_is(err)) {
            return err;
        }
    }
}
