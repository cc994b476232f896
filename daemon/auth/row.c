/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows in etcd's own messages: authpb.User{name=1, password=2, roles=3, options=4{no_password=1}}
 * and authpb.Role{name=1, keyPermission=2{permType=1, key=2, range_end=3}}.
 */
#include "auth/state.h"

#include "base/codec.h"
#include "base/pb.h"

static void put(
    const char *prefix, const char *name, const void *message, struct backend_batch *batch)
{
    struct buf value;
    char *key = mem_printf("%s%s", prefix, name);
    buf_init(&value, SIZE_MAX); /* it is in memory as it is; each change of it was bounded */
    pb_pack(message, &value);
    backend_batch_put(batch, slice_str(key), buf_slice(&value));
    buf_fini(&value);
    free(key);
}

static void delete (const char *prefix, const char *name, struct backend_batch *batch)
{
    char *key = mem_printf("%s%s", prefix, name);
    backend_batch_delete(batch, slice_str(key));
    free(key);
}

void row_put_user(const struct user *user, struct backend_batch *batch)
{
    Authpb__User row = AUTHPB__USER__INIT;
    Authpb__UserAddOptions options = AUTHPB__USER_ADD_OPTIONS__INIT;
    options.no_password = user->is_no_password;
    row.name = pb_bytes(slice_str(user->name));
    row.password = pb_bytes(blob_slice(user->password));
    row.n_roles = user->roles.count;
    row.roles = user->roles.items;
    row.options = user->has_options ? &options : NULL;
    put("mauth_user/", user->name, &row, batch);
}

void row_delete_user(const char *name, struct backend_batch *batch)
{
    delete ("mauth_user/", name, batch);
}

void row_put_role(const struct role *role, struct backend_batch *batch)
{
    Authpb__Role row = AUTHPB__ROLE__INIT;
    Authpb__Permission *rows = mem_alloc(role->count * sizeof(*rows));
    Authpb__Permission **refs = mem_alloc(role->count * sizeof(struct authpb__permission *));
    for (size_t i = 0; i < role->count; i++) {
        authpb__permission__init(&rows[i]);
        rows[i].permtype = role->permissions[i].type;
        rows[i].key = pb_bytes(permission_key(&role->permissions[i]));
        rows[i].range_end = pb_bytes(blob_slice(role->permissions[i].range_end));
        refs[i] = &rows[i];
    }
    row.name = pb_bytes(slice_str(role->name));
    row.n_keypermission = role->count;
    row.keypermission = refs;
    put("mauth_role/", role->name, &row, batch);
    free(refs);
    free(rows);
}

void row_delete_role(const char *name, struct backend_batch *batch)
{
    delete ("mauth_role/", name, batch);
}

void row_put_enabled(bool is_enabled, struct backend_batch *batch)
{
    uint8_t byte = is_enabled;
    backend_batch_put(batch, SLICE("mauth_enabled"), slice_of(&byte, 1));
}

void row_put_revision(uint64_t revision, struct backend_batch *batch)
{
    uint8_t bytes[8];
    put_be64(bytes, revision);
    backend_batch_put(batch, SLICE("mauth_revision"), slice_of(bytes, sizeof(bytes)));
}

static char *name_of(ProtobufCBinaryData bytes)
{
    char *name = mem_alloc(bytes.len + 1);
    memcpy(name, bytes.data, bytes.len);
    name[bytes.len] = '\0';
    return name;
}

/* A name that stands in sorted only once. */
static bool is_new(const struct sorted *sorted, ProtobufCBinaryData bytes)
{
    if (!bytes.len || memchr(bytes.data, '\0', bytes.len)) {
        return false;
    }
    char *name = name_of(bytes);
    bool is_new = !sorted_find(sorted, name);
    free(name);
    return is_new;
}

struct err row_load_user(struct auth_table *table, struct slice value)
{
    Authpb__User *row;
    struct arena *arena = arena_new(0);
    struct err err = pb_unpack_log(&authpb__user__descriptor, arena, value, &row);
    if (!err_is(err) && !is_new(&table->users, row->name)) {
        err = ERR(BAD_FORMAT);
    }
    if (!err_is(err)) {
        struct user *user = mem_new(sizeof(*user));
        user->name = name_of(row->name);
        user->password = row->password.len ? blob_new(pb_slice(row->password)) : NULL;
        user->has_options = row->options != NULL;
        user->is_no_password = row->options && row->options->no_password;
        for (size_t i = 0; i < row->n_roles; i++) {
            texts_add(&user->roles, row->roles[i]);
        }
        sorted_insert(&table->users, user);
    }
    arena_free(arena);
    return err;
}

struct err row_load_role(struct auth_table *table, struct slice value)
{
    Authpb__Role *row;
    struct arena *arena = arena_new(0);
    struct err err = pb_unpack_log(&authpb__role__descriptor, arena, value, &row);
    if (!err_is(err) && !is_new(&table->roles, row->name)) {
        err = ERR(BAD_FORMAT);
    }
    if (!err_is(err)) {
        struct role *role = mem_new(sizeof(*role));
        role->name = name_of(row->name);
        role->count = row->n_keypermission;
        role->permissions = mem_alloc(role->count * sizeof(*role->permissions));
        for (size_t i = 0; i < role->count; i++) {
            role->permissions[i] = permission_new(row->keypermission[i]);
        }
        sorted_insert(&table->roles, role);
    }
    arena_free(arena);
    return err;
}

static struct err import_user(struct slice value, struct backend_batch *batch)
{
    struct auth_table *scratch = auth_table_new();
    struct err err = row_load_user(scratch, value);
    if (!err_is(err)) {
        row_put_user(scratch->users.items[0], batch);
    }
    auth_table_free(scratch);
    return err;
}

static struct err import_role(struct slice value, struct backend_batch *batch)
{
    struct auth_table *scratch = auth_table_new();
    struct err err = row_load_role(scratch, value);
    if (!err_is(err)) {
        row_put_role(scratch->roles.items[0], batch);
    }
    auth_table_free(scratch);
    return err;
}

struct err auth_import_row(
    const char *bucket, struct slice key, struct slice value, struct backend_batch *batch)
{
    if (strcmp(bucket, "authUsers") == 0) {
        return import_user(value, batch);
    }
    if (strcmp(bucket, "authRoles") == 0) {
        return import_role(value, batch);
    }
    if (slice_eq(key, SLICE("authEnabled"))) {
        if (value.len != 1) {
            return ERR(BAD_FORMAT);
        }
        row_put_enabled(value.data[0], batch);
    } else if (slice_eq(key, SLICE("authRevision"))) {
        if (value.len != 8) {
            return ERR(BAD_FORMAT);
        }
        row_put_revision(get_be64(value.data), batch);
    }
    return OK;
}
