/* SPDX-License-Identifier: Apache-2.0
 * What the files of the room share: the table, its rows, its permissions.
 */
#ifndef AUTH_STATE_H
#define AUTH_STATE_H

#include "auth/auth.h"
#include "auth/sorted.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>

#define AUTH_ROOT "root"

/* [begin, end); no end: all that follow. */
struct span {
    struct slice begin;
    struct slice end;
    bool is_open;
};

/* Merged, in order; slices are lent by roles. */
struct spans {
    struct span *items;
    size_t count;
};

struct permission {
    Authpb__Permission__Type type;
    struct blob *point; /* the key and a zero byte: where a span of that one key ends */
    struct blob *range_end;
};

struct role {
    char *name;
    struct permission *permissions; /* by key */
    size_t count;
};

struct user {
    char *name;
    struct blob *password;
    bool has_options;
    bool is_no_password;
    struct texts roles;
    struct spans reads; /* made anew with every change */
    struct spans writes;
};

struct auth_table {
    pthread_rwlock_t lock;
    _Atomic bool is_enabled;
    _Atomic uint64_t revision;
    struct sorted users;
    struct sorted roles;
};

struct user *user_find(const struct auth_table *table, const char *name);
void user_free(struct user *user);
struct role *role_find(const struct auth_table *table, const char *name);
void role_free(struct role *role);
struct permission permission_new(const Authpb__Permission *from);
struct slice permission_key(const struct permission *permission);
bool user_is_root(const struct user *user);

void row_put_user(const struct user *user, struct backend_batch *batch);
void row_delete_user(const char *name, struct backend_batch *batch);
void row_put_role(const struct role *role, struct backend_batch *batch);
void row_delete_role(const char *name, struct backend_batch *batch);
void row_put_enabled(bool is_enabled, struct backend_batch *batch);
void row_put_revision(uint64_t revision, struct backend_batch *batch);
/* Errors: BAD_FORMAT. */
MUST struct err row_load_user(struct auth_table *table, struct slice value);
MUST struct err row_load_role(struct auth_table *table, struct slice value);

/* Makes everybody's spans anew; after every change of users, roles or permissions. */
void permit_refresh(struct auth_table *table);
/* Ends a change: counts it, writes the revision, refreshes. With the lock. */
void table_changed(struct auth_table *table, struct backend_batch *batch);

#endif
