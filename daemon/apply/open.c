/* SPDX-License-Identifier: Apache-2.0
 *
 * Row: "mconsistent_index" -> be64(index) be64(term).
 */
#include "apply/state.h"

#include "apply/count.h"

#include "base/codec.h"
#include "base/mem.h"

const char apply_format[] = "2";

enum { QUOTA_DEFAULT = 2 * 1024 * 1024 };

static struct err load_index(struct apply *apply, struct why *why)
{
    struct blob *row = NULL;
    TRY(backend_get(apply->options.backend, NULL, SLICE("mconsistent_index"), &row, why));
    if (!row) {
        return OK;
    }
    if (row->len != 16) {
        blob_unref(row);
        return why_set(why, ERR(BAD_FORMAT), "the store holds a malformed consistent index");
    }
    atomic_store(&apply->index, get_be64(row->data));
    atomic_store(&apply->term, get_be64(row->data + 8));
    blob_unref(row);
    return OK;
}

static bool attach(void *arg, struct blob *key, lease_id lease)
{
    struct apply *apply = arg;
    lease_change(apply->options.leases, key, 0, lease);
    return true;
}

struct err apply_reload(struct apply *apply, struct why *why)
{
    backend_batch_reset(apply->batch);
    apply->is_dirty = false;
    TRY(apply_alarms_load(apply, why));
    TRY(load_index(apply, why));
    mvcc_each_leased(apply->options.mvcc, attach, apply);
    apply_measure(apply);
    return OK;
}

struct err apply_open(const struct apply_options *options, struct apply **out, struct why *why)
{
    struct apply *apply = mem_new(sizeof(*apply));
    apply->options = *options;
    count_init();
    apply->quota_bytes =
        options->quota_bytes ? options->quota_bytes : (int64_t)QUOTA_DEFAULT * 1024;
    apply->batch = backend_batch_new();
    pthread_mutex_init(&apply->mutex, NULL);
    struct err err = apply_reload(apply, why);
    if (err_is(err)) {
        apply_close(apply);
        return err;
    }
    *out = apply;
    return OK;
}

void apply_close(struct apply *apply)
{
    if (!apply) {
        return;
    }
    backend_batch_free(apply->batch);
    pthread_mutex_destroy(&apply->mutex);
    free(apply);
}

const struct apply_options *apply_options_get(const struct apply *apply)
{
    return &apply->options;
}

uint64_t apply_index(const struct apply *apply)
{
    return atomic_load_explicit(&apply->index, memory_order_acquire);
}

uint64_t apply_term(const struct apply *apply)
{
    return atomic_load_explicit(&apply->term, memory_order_acquire);
}
