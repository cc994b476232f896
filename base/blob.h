/* SPDX-License-Identifier: Apache-2.0
 *
 * Immutable bytes shared between threads by reference count: a value, an encoded watch event, a
 * reply.
 */
#ifndef BASE_BLOB_H
#define BASE_BLOB_H

#include "base/slice.h"

#include <stdatomic.h>

struct blob {
    atomic_uint refs;
    uint32_t len;
    uint8_t data[];
};

/* Gives one reference to a copy. bytes.len must fit 32 bits. */
struct blob *blob_new(struct slice bytes);
/* Gives one reference to len bytes that the caller fills before sharing. */
struct blob *blob_new_size(size_t len);
/* Takes another reference; returns the same blob. NULL stays NULL. */
struct blob *blob_ref(struct blob *blob);
/* Gives one back; the last frees. NULL is fine. The void form suits arena_defer. */
void blob_unref(struct blob *blob);
void blob_unref_void(void *blob);

static inline struct slice blob_slice(const struct blob *blob)
{
    return blob ? slice_of(blob->data, blob->len) : (struct slice){0};
}

#endif
