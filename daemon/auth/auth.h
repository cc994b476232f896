/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may do what: users, roles and their permissions on keys and ranges, as etcd keeps them, and
 * the tokens that stand for a user who has shown the password. Rows: "mauth_enabled" -> one byte,
 * "mauth_revision" -> be64, "mauth_user/" name -> authpb.User, "mauth_role/" name -> authpb.Role.
 *
 * Time, random bytes and passwords' salt come in as data. Threads: what takes a batch on the apply
 * thread (or at start), everything else on any thread; one lock inside the table and one inside the
 * tokens.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "backend/backend.h"
#include "base/arena.h"

#include <authpb.pb-c.h>

struct auth_table;

struct auth_table *auth_table_new(void);
void auth_table_free(struct auth_table *table);
/* Replaces what the table holds by the store's rows, for whoever looks from one moment to the next;
 * untouched on failure. Errors: IO, BAD_FORMAT. */
MUST struct err auth_load(struct auth_table *table, struct backend *backend, struct why *why);

/* A row of the buckets "auth", "authUsers" or "authRoles" of etcd's database, as a row of the
 * store. Errors: BAD_FORMAT. */
MUST struct err auth_import_row(
    const char *bucket, struct slice key, struct slice value, struct backend_batch *batch);

bool auth_is_enabled(const struct auth_table *table);
/* Counts every change; 0 only before the first auth_begin. */
uint64_t auth_revision(const struct auth_table *table);

/* Changes, by the replicated machine. All may be called with what a client sent: limits on names
 * are the request's. Errors stand for etcd's texts. */

/* A store that has no revision yet gets the first one. */
void auth_begin(struct auth_table *table, struct backend_batch *batch);
/* Errors: ROOT_USER_NOT_EXIST, ROOT_ROLE_NOT_EXIST. */
MUST struct err auth_enable(struct auth_table *table, struct backend_batch *batch);
void auth_disable(struct auth_table *table, struct backend_batch *batch);

/* password: the bcrypt text, empty for a user without one; NULL: the request's is malformed, which
 * counts only for a user who has one. Errors: USER_EMPTY, USER_ALREADY_EXIST, NO_PASSWORD_USER (it
 * was NULL). */
MUST struct err auth_user_add(struct auth_table *table, const char *name,
    const struct slice *password, bool is_no_password, struct backend_batch *batch);
/* Errors: INVALID_AUTH_MGMT (root while enabled), USER_NOT_FOUND. */
MUST struct err auth_user_delete(
    struct auth_table *table, const char *name, struct backend_batch *batch);
/* password: as above. Errors: USER_NOT_FOUND, NO_PASSWORD_USER. */
MUST struct err auth_user_change_password(struct auth_table *table, const char *name,
    const struct slice *password, struct backend_batch *batch);
/* Errors: USER_NOT_FOUND, ROLE_NOT_FOUND. Granting twice is fine. */
MUST struct err auth_user_grant_role(
    struct auth_table *table, const char *name, const char *role, struct backend_batch *batch);
/* Errors: INVALID_AUTH_MGMT (root's root while enabled), USER_NOT_FOUND, ROLE_NOT_GRANTED. */
MUST struct err auth_user_revoke_role(
    struct auth_table *table, const char *name, const char *role, struct backend_batch *batch);

/* Errors: ROLE_EMPTY, ROLE_ALREADY_EXIST. */
MUST struct err auth_role_add(
    struct auth_table *table, const char *name, struct backend_batch *batch);
/* Users lose it too. Errors: INVALID_AUTH_MGMT (root while enabled), ROLE_NOT_FOUND. */
MUST struct err auth_role_delete(
    struct auth_table *table, const char *name, struct backend_batch *batch);
/* permission NULL: PERMISSION_NOT_GIVEN. Errors: INVALID_AUTH_MGMT (an empty key, a range that ends
 * before it begins), ROLE_NOT_FOUND. */
MUST struct err auth_role_grant(struct auth_table *table, const char *name,
    const Authpb__Permission *permission, struct backend_batch *batch);
/* Errors: ROLE_NOT_FOUND, PERMISSION_NOT_GRANTED. */
MUST struct err auth_role_revoke(struct auth_table *table, const char *name, struct slice key,
    struct slice range_end, struct backend_batch *batch);

/* Looking. */

/* Texts in the arena, sorted. */
struct auth_names {
    char **items;
    size_t count;
};

/* A user's roles. Errors: USER_NOT_FOUND. */
MUST struct err auth_user_roles(
    struct auth_table *table, const char *name, struct arena *arena, struct auth_names *out);
/* Errors: ROLE_NOT_FOUND. The root role shows the whole key space. */
MUST struct err auth_role_permissions(struct auth_table *table, const char *name,
    struct arena *arena, Authpb__Permission ***out, size_t *out_count);
void auth_users(struct auth_table *table, struct arena *arena, struct auth_names *out);
void auth_roles(struct auth_table *table, struct arena *arena, struct auth_names *out);
bool auth_has_role(struct auth_table *table, const char *name, const char *role);

/* May they? */

/* Who asks. username NULL or "": nobody. revision: of the table when the token was looked at. */
struct auth_caller {
    const char *username;
    uint64_t revision;
};

/* An empty range_end: the one key; "\0": all from key on. All give OK while disabled. Errors:
 * USER_EMPTY, AUTH_OLD_REVISION, PERMISSION_DENIED. */
MUST struct err auth_may_read(struct auth_table *table, const struct auth_caller *caller,
    struct slice key, struct slice range_end);
MUST struct err auth_may_write(struct auth_table *table, const struct auth_caller *caller,
    struct slice key, struct slice range_end);
/* Has the root role. Errors: USER_EMPTY, USER_NOT_FOUND, PERMISSION_DENIED. */
MUST struct err auth_may_administer(struct auth_table *table, const struct auth_caller *caller);

/* Passwords. */

/* What to check a password against: its bcrypt text in the arena, and the revision it belongs to.
 * Errors: AUTH_NOT_ENABLED, AUTH_FAILED (no such user), NO_PASSWORD_USER. */
MUST struct err auth_password(struct auth_table *table, const char *name, struct arena *arena,
    const char **out_hash, uint64_t *out_revision);
/* Slow on purpose: tens of milliseconds of CPU. Any thread that nothing waits for. */
bool auth_password_matches(const char *hash, const char *password);

enum { AUTH_SALT_BYTES = 16, AUTH_HASH_SIZE = 64, AUTH_COST_MIN = 4, AUTH_COST_MAX = 31 };
/* bcrypt, "$2a$"; as slow. Errors: PASSWORD_TOO_LONG (over 72 bytes, which
 * bcrypt would cut off), BAD_INPUT (the cost). */
MUST struct err auth_password_hash(const char *password, unsigned cost,
    const uint8_t salt[AUTH_SALT_BYTES], char out[AUTH_HASH_SIZE]);

/* Tokens. */

struct auth_tokens;

/* spec: "simple", or "jwt,sign-method=RS256,priv-key=FILE,pub-key=FILE,ttl=5m". ttl_s: of simple
 * tokens; <= 0: etcd's 300. Reads the key files. Errors: BAD_CONFIG. */
MUST struct err auth_tokens_new(
    const char *spec, int64_t ttl_s, struct auth_tokens **out, struct why *why);
void auth_tokens_free(struct auth_tokens *tokens);
bool auth_tokens_are_simple(const struct auth_tokens *tokens);

enum { AUTH_PREFIX_SIZE = 17 };
/* The random part of a simple token, 16 letters; "" for JWT. */
void auth_token_prefix(const struct auth_tokens *tokens, char out[AUTH_PREFIX_SIZE]);
/* A token for the user, in the arena: prefix "." index, remembered until it was not used for its
 * life; or a signed JWT. Errors: VERIFY_ONLY (no private key), INTERNAL. */
struct auth_grant {
    const char *username;
    const char *prefix;
    uint64_t index;    /* of the entry that asked */
    uint64_t revision; /* of the table */
    int64_t now_ms;    /* any steady clock, always the same one */
    int64_t unix_s;
};
MUST struct err auth_token_assign(struct auth_tokens *tokens, const struct auth_grant *grant,
    struct arena *arena, const char **out_token);
/* The entry that a simple token stems from: whoever has not applied it cannot know the token yet.
 * False when it is not of that form. Always false for JWT. */
bool auth_token_index(const struct auth_tokens *tokens, const char *token, uint64_t *out_index);
/* Who is behind the token; the name is in the arena. revision: of the table, taken over for simple
 * tokens. Errors: INVALID_AUTH_TOKEN. */
struct auth_now {
    uint64_t revision;
    int64_t now_ms;
    int64_t unix_s;
};
MUST struct err auth_token_caller(struct auth_tokens *tokens, const char *token,
    const struct auth_now *now, struct arena *arena, struct auth_caller *out);
/* After a changed password, a deleted user; NULL: everyone (disabled). */
void auth_tokens_forget(struct auth_tokens *tokens, const char *username);
/* Drops those whose life is over; every second or so. */
void auth_tokens_expire(struct auth_tokens *tokens, int64_t now_ms);

#endif
