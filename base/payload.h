/* SPDX-License-Identifier: Apache-2.0
 *
 * One message on its way out: parts of bytes, each kept alive by an owner, sent one behind the
 * other. Lets a watch event that was encoded once go to many streams without a copy.
 */
#ifndef BASE_PAYLOAD_H
#define BASE_PAYLOAD_H

#include "base/blob.h"
#include "base/buf.h"

struct payload_part {
    struct slice bytes;
    void (*release)(void *owner); /* called once when the bytes are no longer needed; may be NULL */
    void *owner;
};

/* What many parts live in together, as in an arena. */
struct payload_home {
    void (*release)(void *owner); /* NULL: there is none */
    /* Before release: the parts are needed no more; what the owner has beside them (leave to take
     * so much room) stays. May be NULL. */
    void (*empty)(void *owner);
    void *owner;
};

struct payload {
    struct payload_part *parts;
    size_t count;
    size_t cap;
    size_t bytes; /* of all parts */
    struct payload_home home;
};

void payload_init(struct payload *payload);
/* Releases every part. */
void payload_fini(struct payload *payload);
/* Takes the buffer's memory; the buffer is empty after. */
void payload_add_buf(struct payload *payload, struct buf *buf);
/* Takes a reference of its own. */
void payload_add_blob(struct payload *payload, struct blob *blob);
/* Bytes that live as long as the payload's home, or for ever. */
void payload_add_lent(struct payload *payload, struct slice bytes);
/* Takes ownership: release is called once no lent part is needed any more. One a payload. */
void payload_set_home(struct payload *payload, struct payload_home home);
/* The home becomes the caller's to release. */
struct payload_home payload_take_home(struct payload *payload);
/* Takes ownership of part i away from the payload (its release is then the caller's to call). */
struct payload_part payload_take(struct payload *payload, size_t i);

#endif
