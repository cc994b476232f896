/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/state.h"

static size_t place(const struct auth_table *table, const char *name, bool *out_is_there)
{
    size_t low = 0;
    size_t high = table->users_count;
    *out_is_there = false;
    while (low < high && !*out_is_there) {
        size_t mid = low + (high - low) / 2;
        int diff = strcmp(table->users[mid]->name, name);
        *out_is_there = diff == 0;
        if (diff < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return high;
}

struct user *user_find(const struct auth_table *table, const char *name)
{
    bool is_there;
    size_t at = place(table, name, &is_there);
    return is_there ? table->users[at] : NULL;
}

void user_insert(struct auth_table *table, struct user *user)
{
    bool is_there;
    size_t at = place(table, user->name, &is_there);
    table->users = mem_grow(table->users, (table->users_count + 1) * sizeof(struct user *));
    memmove(&table->users[at + 1], &table->users[at],
        (table->users_count - at) * sizeof(struct user *));
    table->users[at] = user;
    table->users_count++;
}

void user_free(struct user *user)
{
    free(user->name);
    blob_unref(user->password);
    texts_fini(&user->roles);
    free(user->reads.items);
    free(user->writes.items);
    free(user);
}

bool user_is_root(const struct user *user)
{
    bool is_root;
    texts_find(&user->roles, AUTH_ROOT, &is_root);
    return is_root;
}

struct err auth_user_add(struct auth_table *table, const char *name, struct slice password,
    bool is_no_password, struct backend_batch *batch)
{
    struct err err = OK;
    if (!name[0]) {
        return ERR(USER_EMPTY);
    }
    pthread_rwlock_wrlock(&table->lock);
    if (user_find(table, name)) {
        err = ERR(USER_ALREADY_EXIST);
    } else {
        struct user *user = mem_new(sizeof(*user));
        user->name = mem_strdup(name);
        user->password = is_no_password ? NULL : blob_new(password);
        user->has_options = true;
        user->is_no_password = is_no_password;
        user_insert(table, user);
        row_put_user(user, batch);
        table_changed(table, batch);
    }
    pthread_rwlock_unlock(&table->lock);
    return err;
}

struct err auth_user_delete(struct auth_table *table, const char *name, struct backend_batch *batch)
{
    bool is_there;
    if (auth_is_enabled(table) && strcmp(name, AUTH_ROOT) == 0) {
        return ERR(INVALID_AUTH_MGMT);
    }
    pthread_rwlock_wrlock(&table->lock);
    size_t at = place(table, name, &is_there);
    if (is_there) {
        user_free(table->users[at]);
        table->users_count--;
        memmove(&table->users[at], &table->users[at + 1],
            (table->users_count - at) * sizeof(struct user *));
        row_delete_user(name, batch);
        table_changed(table, batch);
    }
    pthread_rwlock_unlock(&table->lock);
    return is_there ? OK : ERR(USER_NOT_FOUND);
}

struct err auth_user_change_password(
    struct auth_table *table, const char *name, struct slice password, struct backend_batch *batch)
{
    pthread_rwlock_wrlock(&table->lock);
    struct user *user = user_find(table, name);
    if (user) {
        blob_unref(user->password);
        user->password = user->is_no_password ? NULL : blob_new(password);
        row_put_user(user, batch);
        table_changed(table, batch);
    }
    pthread_rwlock_unlock(&table->lock);
    return user ? OK : ERR(USER_NOT_FOUND);
}

struct err auth_user_grant_role(
    struct auth_table *table, const char *name, const char *role, struct backend_batch *batch)
{
    bool has_it;
    struct err err = OK;
    pthread_rwlock_wrlock(&table->lock);
    struct user *user = user_find(table, name);
    if (!user) {
        err = ERR(USER_NOT_FOUND);
    } else if (strcmp(role, AUTH_ROOT) != 0 && !role_find(table, role)) {
        err = ERR(ROLE_NOT_FOUND);
    } else {
        texts_find(&user->roles, role, &has_it);
        if (!has_it) {
            texts_add(&user->roles, role);
            row_put_user(user, batch);
            table_changed(table, batch);
        }
    }
    pthread_rwlock_unlock(&table->lock);
    return err;
}

struct err auth_user_revoke_role(
    struct auth_table *table, const char *name, const char *role, struct backend_batch *batch)
{
    struct err err = OK;
    if (auth_is_enabled(table) && strcmp(name, AUTH_ROOT) == 0 && strcmp(role, AUTH_ROOT) == 0) {
        return ERR(INVALID_AUTH_MGMT);
    }
    pthread_rwlock_wrlock(&table->lock);
    struct user *user = user_find(table, name);
    if (!user) {
        err = ERR(USER_NOT_FOUND);
    } else if (!texts_remove(&user->roles, role)) {
        err = ERR(ROLE_NOT_GRANTED);
    } else {
        row_put_user(user, batch);
        table_changed(table, batch);
    }
    pthread_rwlock_unlock(&table->lock);
    return err;
}
