/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/state.h"

#include "base/pb.h"

static void copy_texts(struct arena *arena, const struct texts *from, struct auth_names *out)
{
    out->count = from->count;
    out->items = arena_alloc(arena, from->count * sizeof(*out->items));
    for (size_t i = 0; i < from->count; i++) {
        out->items[i] = arena_strdup(arena, from->items[i]);
    }
}

struct err auth_user_roles(
    struct auth_table *table, const char *name, struct arena *arena, struct auth_names *out)
{
    pthread_rwlock_rdlock(&table->lock);
    const struct user *user = user_find(table, name);
    if (user) {
        copy_texts(arena, &user->roles, out);
    }
    pthread_rwlock_unlock(&table->lock);
    return user ? OK : ERR(USER_NOT_FOUND);
}

static Authpb__Permission *copy_permission(struct arena *arena, const struct permission *from)
{
    Authpb__Permission *to = arena_alloc(arena, sizeof(*to));
    authpb__permission__init(to);
    to->permtype = from->type;
    to->key = pb_bytes(arena_dup(arena, permission_key(from)));
    to->range_end = pb_bytes(arena_dup(arena, blob_slice(from->range_end)));
    return to;
}

/* The whole key space, as etcd writes it down. */
static Authpb__Permission *root_permission(struct arena *arena)
{
    Authpb__Permission *all = arena_alloc(arena, sizeof(*all));
    authpb__permission__init(all);
    all->permtype = AUTHPB__PERMISSION__TYPE__READWRITE;
    all->range_end = pb_bytes(arena_dup(arena, slice_of("", 1)));
    return all;
}

struct err auth_role_permissions(struct auth_table *table, const char *name, struct arena *arena,
    Authpb__Permission ***out, size_t *out_count)
{
    pthread_rwlock_rdlock(&table->lock);
    const struct role *role = role_find(table, name);
    if (role) {
        bool is_root = strcmp(name, AUTH_ROOT) == 0;
        size_t count = is_root ? 1 : role->count;
        Authpb__Permission **list = arena_alloc(arena, count * sizeof(struct authpb__permission *));
        for (size_t i = 0; i < count; i++) {
            list[i] =
                is_root ? root_permission(arena) : copy_permission(arena, &role->permissions[i]);
        }
        *out = list;
        *out_count = count;
    }
    pthread_rwlock_unlock(&table->lock);
    return role ? OK : ERR(ROLE_NOT_FOUND);
}

static void copy_names(struct auth_table *table, const struct sorted *from, struct arena *arena,
    struct auth_names *out)
{
    pthread_rwlock_rdlock(&table->lock);
    out->count = from->count;
    out->items = arena_alloc(arena, out->count * sizeof(*out->items));
    for (size_t i = 0; i < out->count; i++) {
        out->items[i] = arena_strdup(arena, *(char **)from->items[i]);
    }
    pthread_rwlock_unlock(&table->lock);
}

void auth_users(struct auth_table *table, struct arena *arena, struct auth_names *out)
{
    copy_names(table, &table->users, arena, out);
}

void auth_roles(struct auth_table *table, struct arena *arena, struct auth_names *out)
{
    copy_names(table, &table->roles, arena, out);
}

bool auth_has_role(struct auth_table *table, const char *name, const char *role)
{
    bool has_it = false;
    pthread_rwlock_rdlock(&table->lock);
    const struct user *user = user_find(table, name);
    if (user) {
        texts_find(&user->roles, role, &has_it);
    }
    pthread_rwlock_unlock(&table->lock);
    return has_it;
}

struct err auth_password(struct auth_table *table, const char *name, struct arena *arena,
    const char **out_hash, uint64_t *out_revision)
{
    struct err err = OK;
    if (!auth_is_enabled(table)) {
        return ERR(AUTH_NOT_ENABLED);
    }
    pthread_rwlock_rdlock(&table->lock);
    const struct user *user = user_find(table, name);
    if (!user) {
        err = ERR(AUTH_FAILED);
    } else if (user->is_no_password) {
        err = ERR(NO_PASSWORD_USER);
    } else {
        *out_hash = (const char *)arena_dup(arena, blob_slice(user->password)).data;
        *out_revision = auth_revision(table);
    }
    pthread_rwlock_unlock(&table->lock);
    return err;
}
