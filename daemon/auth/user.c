/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/state.h"

struct user *user_find(const struct auth_table *table, const char *name)
{
    return sorted_find(&table->users, name);
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

struct err auth_user_add(struct auth_table *table, const char *name, const struct slice *password,
    bool is_no_password, struct backend_batch *batch)
{
    struct err err = OK;
    if (!name[0]) {
        return ERR(USER_EMPTY);
    }
    pthread_rwlock_wrlock(&table->lock);
    if (user_find(table, name)) {
        err = ERR(USER_ALREADY_EXIST);
    } else if (!is_no_password && !password) {
        err = ERR(NO_PASSWORD_USER);
    } else {
        struct user *user = mem_new(sizeof(*user));
        user->name = mem_strdup(name);
        user->password = is_no_password ? NULL : blob_new(*password);
        user->has_options = true;
        user->is_no_password = is_no_password;
        sorted_insert(&table->users, user);
        row_put_user(user, batch);
        table_changed(table, batch);
    }
    pthread_rwlock_unlock(&table->lock);
    return err;
}

struct err auth_user_delete(struct auth_table *table, const char *name, struct backend_batch *batch)
{
    if (auth_is_enabled(table) && strcmp(name, AUTH_ROOT) == 0) {
        return ERR(INVALID_AUTH_MGMT);
    }
    pthread_rwlock_wrlock(&table->lock);
    struct user *user = sorted_take(&table->users, name);
    if (user) {
        row_delete_user(name, batch);
        user_free(user);
        table_changed(table, batch);
    }
    pthread_rwlock_unlock(&table->lock);
    return user ? OK : ERR(USER_NOT_FOUND);
}

struct err auth_user_change_password(struct auth_table *table, const char *name,
    const struct slice *password, struct backend_batch *batch)
{
    struct err err = OK;
    pthread_rwlock_wrlock(&table->lock);
    struct user *user = user_find(table, name);
    if (!user) {
        err = ERR(USER_NOT_FOUND);
    } else if (!user->is_no_password && !password) {
        err = ERR(NO_PASSWORD_USER);
    } else {
        blob_unref(user->password);
        user->password = user->is_no_password ? NULL : blob_new(*password);
        row_put_user(user, batch);
        table_changed(table, batch);
    }
    pthread_rwlock_unlock(&table->lock);
    return err;
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
