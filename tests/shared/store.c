/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/shared/store.h"

#include "base/log.h"

/* Ends the process with the reason. */
static void must(struct err err, const struct why *why)
{
    if (err_is(err)) {
        LOG_FATAL("store", LOG_STR("error", err_name(err)), LOG_STR("why", why->text));
        abort();
    }
}

void store_open(struct store *store)
{
    struct why why = {""};
    struct apply_options *o = &store->options;
    struct backend_options backend = {.path = store->path};
    must(backend_open(&backend, &o->backend, &why), &why);
    struct mvcc_options mvcc = {
        .backend = o->backend, .value_cache_bytes = store->value_cache_bytes};
    must(mvcc_open(&mvcc, &o->mvcc, &why), &why);
    o->leases = lease_table_new(1);
    must(lease_load(o->leases, o->backend, &why), &why);
    o->members = member_table_new(STORE_CLUSTER_ID, STORE_MEMBER_ID);
    must(member_load(o->members, o->backend, &why), &why);
    o->hub = watch_hub_new(o->mvcc, store->watch_progress_ms, 1);
    o->auth = auth_table_new();
    must(auth_load(o->auth, o->backend, &why), &why);
    must(auth_tokens_new("simple", 0, &o->tokens, &why), &why);
    must(apply_open(o, &store->apply, &why), &why);
}

void store_close(struct store *store)
{
    apply_close(store->apply);
    watch_hub_free(store->options.hub);
    auth_tokens_free(store->options.tokens);
    auth_table_free(store->options.auth);
    member_table_free(store->options.members);
    lease_table_free(store->options.leases);
    mvcc_close(store->options.mvcc);
    backend_close(store->options.backend);
}

void store_restart(struct store *store)
{
    struct why why = {""};
    must(backend_flush(store->options.backend, &why), &why);
    store_close(store);
    store_open(store);
}

uint32_t store_hash(struct store *store)
{
    struct mvcc_hash hash;
    struct why why = {""};
    must(mvcc_hash_kv(store->options.mvcc, 0, &hash, &why), &why);
    return hash.hash;
}
