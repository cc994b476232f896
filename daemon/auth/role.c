/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/state.h"

#include "base/pb.h"

struct role *role_find(const struct auth_table *table, const char *name)
{
    return sorted_find(&table->roles, name);
}

struct permission permission_new(const Authpb__Permission *from)
{
    struct blob *point = blob_new_size(from->key.len + 1);
    if (from->key.len) {
        memcpy(point->data, from->key.data, from->key.len);
    }
    point->data[from->key.len] = 0;
    return (struct permission){from->permtype, point, blob_new(pb_slice(from->range_end))};
}

struct slice permission_key(const struct permission *permission)
{
    return slice_of(permission->point->data, permission->point->len - 1);
}

static void permission_fini(struct permission *permission)
{
    blob_unref(permission->point);
    blob_unref(permission->range_end);
}

void role_free(struct role *role)
{
    for (size_t i = 0; i < role->count; i++) {
        permission_fini(&role->permissions[i]);
    }
    free(role->permissions);
    free(role->name);
    free(role);
}

struct err auth_role_add(struct auth_table *table, const char *name, struct backend_batch *batch)
{
    struct err err = OK;
    if (!name[0]) {
        return ERR(ROLE_EMPTY);
    }
    pthread_rwlock_wrlock(&table->lock);
    if (role_find(table, name)) {
        err = ERR(ROLE_ALREADY_EXIST);
    } else {
        struct role *role = mem_new(sizeof(*role));
        role->name = mem_strdup(name);
        sorted_insert(&table->roles, role);
        row_put_role(role, batch);
        table_changed(table, batch);
    }
    pthread_rwlock_unlock(&table->lock);
    return err;
}

/* Nobody has a role that is not there. */
static void take_from_all(struct auth_table *table, const char *name, struct backend_batch *batch)
{
    for (size_t i = 0; i < table->users.count; i++) {
        struct user *user = table->users.items[i];
        if (texts_remove(&user->roles, name)) {
            row_put_user(user, batch);
        }
    }
}

struct err auth_role_delete(struct auth_table *table, const char *name, struct backend_batch *batch)
{
    if (auth_is_enabled(table) && strcmp(name, AUTH_ROOT) == 0) {
        return ERR(INVALID_AUTH_MGMT);
    }
    pthread_rwlock_wrlock(&table->lock);
    struct role *role = sorted_take(&table->roles, name);
    if (role) {
        row_delete_role(name, batch);
        take_from_all(table, name, batch);
        table_changed(table, batch);
        role_free(role); /* spans lent its keys until the change was done */
    }
    pthread_rwlock_unlock(&table->lock);
    return role ? OK : ERR(ROLE_NOT_FOUND);
}

/* etcd's rule: an end that is not behind the key must be "\0", which means all that follow. */
static bool is_range_valid(const Authpb__Permission *permission)
{
    struct slice key = pb_slice(permission->key);
    struct slice end = pb_slice(permission->range_end);
    return key.len && (end.len == 0 || slice_cmp(key, end) < 0 || slice_eq(end, slice_of("", 1)));
}

static bool is_at(const struct permission *permission, struct slice key, struct slice end)
{
    return slice_eq(permission_key(permission), key) &&
           slice_eq(blob_slice(permission->range_end), end);
}

static void insert(struct role *role, size_t at, struct permission fresh)
{
    role->permissions = mem_grow(role->permissions, (role->count + 1) * sizeof(*role->permissions));
    memmove(&role->permissions[at + 1], &role->permissions[at],
        (role->count - at) * sizeof(*role->permissions));
    role->permissions[at] = fresh;
    role->count++;
}

/* As etcd: only the first permission on that key is looked at; another range from the same key
 * stands behind it. */
static void grant(struct role *role, const Authpb__Permission *permission)
{
    struct slice key = pb_slice(permission->key);
    struct slice end = pb_slice(permission->range_end);
    size_t at = 0;
    while (at < role->count && slice_cmp(permission_key(&role->permissions[at]), key) < 0) {
        at++;
    }
    if (at < role->count && is_at(&role->permissions[at], key, end)) {
        role->permissions[at].type = permission->permtype;
        return;
    }
    while (at < role->count && slice_eq(permission_key(&role->permissions[at]), key)) {
        at++;
    }
    insert(role, at, permission_new(permission));
}

struct err auth_role_grant(struct auth_table *table, const char *name,
    const Authpb__Permission *permission, struct backend_batch *batch)
{
    if (!permission) {
        return ERR(PERMISSION_NOT_GIVEN);
    }
    if (!is_range_valid(permission)) {
        return ERR(INVALID_AUTH_MGMT);
    }
    pthread_rwlock_wrlock(&table->lock);
    struct role *role = role_find(table, name);
    if (role) {
        grant(role, permission);
        row_put_role(role, batch);
        table_changed(table, batch);
    }
    pthread_rwlock_unlock(&table->lock);
    return role ? OK : ERR(ROLE_NOT_FOUND);
}

/* All that match go; the caller frees what falls out only after the spans were made anew. */
static size_t revoke(struct role *role, struct slice key, struct slice end, struct permission *out)
{
    size_t kept = 0;
    size_t gone = 0;
    for (size_t i = 0; i < role->count; i++) {
        if (is_at(&role->permissions[i], key, end)) {
            out[gone++] = role->permissions[i];
        } else {
            role->permissions[kept++] = role->permissions[i];
        }
    }
    role->count = kept;
    return gone;
}

struct err auth_role_revoke(struct auth_table *table, const char *name, struct slice key,
    struct slice range_end, struct backend_batch *batch)
{
    struct err err = OK;
    pthread_rwlock_wrlock(&table->lock);
    struct role *role = role_find(table, name);
    struct permission *gone = role ? mem_alloc(role->count * sizeof(*gone)) : NULL;
    size_t count = role ? revoke(role, key, range_end, gone) : 0;
    if (!role) {
        err = ERR(ROLE_NOT_FOUND);
    } else if (count == 0) {
        err = ERR(PERMISSION_NOT_GRANTED);
    } else {
        row_put_role(role, batch);
        table_changed(table, batch);
    }
    for (size_t i = 0; i < count; i++) {
        permission_fini(&gone[i]);
    }
    free(gone);
    pthread_rwlock_unlock(&table->lock);
    return err;
}
