/* SPDX-License-Identifier: Apache-2.0 */
#include "base/blob.h"

#include "base/err.h"
#include "base/mem.h"

struct blob *blob_new_size(size_t len)
{
    check(len <= UINT32_MAX);
    struct blob *blob = mem_alloc(sizeof(*blob) + len);
    atomic_init(&blob->refs, 1);
    blob->len = (uint32_t)len;
    return blob;
}

struct blob *blob_new(struct slice bytes)
{
    struct blob *blob = blob_new_size(bytes.len);
    if (bytes.len) {
        memcpy(blob->data, bytes.data, bytes.len);
    }
    return blob;
}

struct blob *blob_ref(struct blob *blob)
{
    if (blob) {
        atomic_fetch_add_explicit(&blob->refs, 1, memory_order_relaxed);
    }
    return blob;
}

void blob_unref(struct blob *blob)
{
    if (blob && atomic_fetch_sub_explicit(&blob->refs, 1, memory_order_acq_rel) == 1) {
        free(blob);
    }
}

void blob_unref_void(void *blob)
{
    blob_unref(blob);
}
