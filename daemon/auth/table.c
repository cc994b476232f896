/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/state.h"

#include "base/codec.h"

struct auth_table *auth_table_new(void)
{
    struct auth_table *table = mem_new(sizeof(*table));
    pthread_rwlock_init(&table->lock, NULL);
    return table;
}

static void empty(struct auth_table *table)
{
    for (size_t i = 0; i < table->users.count; i++) {
        user_free(table->users.items[i]);
    }
    for (size_t i = 0; i < table->roles.count; i++) {
        role_free(table->roles.items[i]);
    }
    free(table->users.items);
    free(table->roles.items);
}

void auth_table_free(struct auth_table *table)
{
    if (!table) {
        return;
    }
    empty(table);
    pthread_rwlock_destroy(&table->lock);
    free(table);
}

static struct err load_row(struct auth_table *table, struct slice key, struct slice value)
{
    if (slice_has_prefix(key, SLICE("mauth_user/"))) {
        return row_load_user(table, value);
    }
    if (slice_has_prefix(key, SLICE("mauth_role/"))) {
        return row_load_role(table, value);
    }
    if (slice_eq(key, SLICE("mauth_revision"))) {
        if (value.len != 8) {
            return ERR(BAD_FORMAT);
        }
        atomic_store(&table->revision, get_be64(value.data));
    }
    if (slice_eq(key, SLICE("mauth_enabled"))) {
        atomic_store(&table->is_enabled, value.len == 1 && value.data[0] == 1);
    }
    return OK;
}

static struct err load_rows(struct auth_table *table, struct backend *backend, struct why *why)
{
    struct slice key;
    struct slice value;
    struct err err = OK;
    struct backend_iter *iter = backend_iter_open(backend, NULL, SLICE("mauth_"), SLICE("mauth`"));
    while (!err_is(err) && backend_iter_next(iter, &key, &value)) {
        err = load_row(table, key, value);
        if (err_is(err)) {
            err = why_set(why, err, "the store holds a malformed row of users or roles");
        }
    }
    if (!err_is(err)) {
        err = backend_iter_err(iter, why);
    }
    backend_iter_close(iter);
    permit_refresh(table);
    return err;
}

static void swap(struct sorted *a, struct sorted *b)
{
    struct sorted kept = *a;
    *a = *b;
    *b = kept;
}

/* At no moment is access control off, or the table half full, because it is loaded. */
struct err auth_load(struct auth_table *table, struct backend *backend, struct why *why)
{
    struct auth_table *fresh = auth_table_new();
    struct err err = load_rows(fresh, backend, why);
    if (!err_is(err)) {
        pthread_rwlock_wrlock(&table->lock);
        swap(&table->users, &fresh->users);
        swap(&table->roles, &fresh->roles);
        atomic_store(&table->revision, auth_revision(fresh));
        atomic_store(&table->is_enabled, auth_is_enabled(fresh));
        pthread_rwlock_unlock(&table->lock);
    }
    auth_table_free(fresh);
    return err;
}

bool auth_is_enabled(const struct auth_table *table)
{
    return atomic_load_explicit(&table->is_enabled, memory_order_acquire);
}

uint64_t auth_revision(const struct auth_table *table)
{
    return atomic_load_explicit(&table->revision, memory_order_acquire);
}

static void count_change(struct auth_table *table, struct backend_batch *batch)
{
    row_put_revision(atomic_fetch_add(&table->revision, 1) + 1, batch);
}

void table_changed(struct auth_table *table, struct backend_batch *batch)
{
    permit_refresh(table);
    count_change(table, batch);
}

void auth_begin(struct auth_table *table, struct backend_batch *batch)
{
    if (auth_revision(table) == 0) {
        count_change(table, batch);
    }
}

struct err auth_enable(struct auth_table *table, struct backend_batch *batch)
{
    struct err err = OK;
    pthread_rwlock_wrlock(&table->lock);
    const struct user *root = user_find(table, AUTH_ROOT);
    if (auth_is_enabled(table)) {
        err = OK;
    } else if (!root) {
        err = ERR(ROOT_USER_NOT_EXIST);
    } else if (!user_is_root(root)) {
        err = ERR(ROOT_ROLE_NOT_EXIST);
    } else {
        row_put_enabled(true, batch);
        atomic_store(&table->is_enabled, true);
    }
    pthread_rwlock_unlock(&table->lock);
    return err;
}

void auth_disable(struct auth_table *table, struct backend_batch *batch)
{
    pthread_rwlock_wrlock(&table->lock);
    if (auth_is_enabled(table)) {
        row_put_enabled(false, batch);
        count_change(table, batch);
        atomic_store(&table->is_enabled, false);
    }
    pthread_rwlock_unlock(&table->lock);
}
