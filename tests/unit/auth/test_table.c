/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth.h"

#include "base/mem.h"
#include "base/pb.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char dir[64];
    struct backend *backend;
    struct backend_batch *batch;
    struct auth_table *table;
    struct arena *arena;
};

#define NUL slice_of("", 1)
#define NONE ((struct slice){0})

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    struct fixture *f = mem_new(sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "auth-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_false(
        err_is(backend_open(&(struct backend_options){.path = f->dir}, &f->backend, NULL)));
    f->batch = backend_batch_new();
    f->table = auth_table_new();
    f->arena = arena_new(0);
    auth_begin(f->table, f->batch);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_free(f->arena);
    auth_table_free(f->table);
    backend_batch_free(f->batch);
    backend_close(f->backend);
    nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static void ok(struct err err)
{
    if (err_is(err)) {
        fail_msg("%s", err_text(err));
    }
}

static struct err user_add(struct fixture *f, const char *name)
{
    return auth_user_add(f->table, name, &SLICE("$2a$04$hash"), false, f->batch);
}

static struct err grant(struct fixture *f, const char *role, Authpb__Permission__Type type,
    struct slice key, struct slice end)
{
    Authpb__Permission permission = AUTHPB__PERMISSION__INIT;
    permission.permtype = type;
    permission.key = pb_bytes(key);
    permission.range_end = pb_bytes(end);
    return auth_role_grant(f->table, role, &permission, f->batch);
}

static void enable(struct fixture *f)
{
    ok(user_add(f, "root"));
    ok(auth_user_grant_role(f->table, "root", "root", f->batch));
    ok(auth_enable(f->table, f->batch));
}

/* alice with a role of that one permission, access control on. */
static void alice_with(
    struct fixture *f, Authpb__Permission__Type type, struct slice key, struct slice end)
{
    ok(user_add(f, "alice"));
    ok(auth_role_add(f->table, "r", f->batch));
    ok(grant(f, "r", type, key, end));
    ok(auth_user_grant_role(f->table, "alice", "r", f->batch));
    enable(f);
}

static struct auth_caller caller(struct fixture *f, const char *name)
{
    return (struct auth_caller){name, auth_revision(f->table)};
}

static bool reads(struct fixture *f, const char *name, struct slice key, struct slice end)
{
    struct auth_caller who = caller(f, name);
    return !err_is(auth_may_read(f->table, &who, key, end));
}

static bool writes(struct fixture *f, const char *name, struct slice key, struct slice end)
{
    struct auth_caller who = caller(f, name);
    return !err_is(auth_may_write(f->table, &who, key, end));
}

static void test_enable_wants_a_root_user_with_the_root_role(void **state)
{
    struct fixture *f = *state;
    assert_true(IS(auth_enable(f->table, f->batch), ROOT_USER_NOT_EXIST));
    ok(user_add(f, "root"));
    assert_true(IS(auth_enable(f->table, f->batch), ROOT_ROLE_NOT_EXIST));
    ok(auth_user_grant_role(f->table, "root", "root", f->batch));
    assert_false(auth_is_enabled(f->table));
    ok(auth_enable(f->table, f->batch));
    assert_true(auth_is_enabled(f->table));
    ok(auth_enable(f->table, f->batch));
    auth_disable(f->table, f->batch);
    assert_false(auth_is_enabled(f->table));
}

/* Enabling is no change of users or roles, so tokens of before stay good; everything else counts.
 */
static void test_every_change_counts(void **state)
{
    struct fixture *f = *state;
    uint64_t rev = auth_revision(f->table);
    assert_int_equal(rev, 1);
    ok(user_add(f, "u"));
    ok(auth_role_add(f->table, "r", f->batch));
    ok(grant(f, "r", AUTHPB__PERMISSION__TYPE__READ, SLICE("k"), NONE));
    ok(auth_user_grant_role(f->table, "u", "r", f->batch));
    assert_int_equal(auth_revision(f->table), rev + 4);
    ok(auth_user_grant_role(f->table, "u", "r", f->batch));
    assert_int_equal(auth_revision(f->table), rev + 4); /* it had it */
    ok(auth_user_change_password(f->table, "u", &SLICE("x"), f->batch));
    ok(auth_user_revoke_role(f->table, "u", "r", f->batch));
    ok(auth_role_revoke(f->table, "r", SLICE("k"), NONE, f->batch));
    ok(auth_role_delete(f->table, "r", f->batch));
    ok(auth_user_delete(f->table, "u", f->batch));
    assert_int_equal(auth_revision(f->table), rev + 9);
    enable(f);
    assert_int_equal(auth_revision(f->table), rev + 11);
    auth_disable(f->table, f->batch);
    assert_int_equal(auth_revision(f->table), rev + 12);
}

/* A member that took it for an error would have another revision than the others. */
static void test_malformed_passwords_count_for_who_has_one(void **state)
{
    struct fixture *f = *state;
    ok(user_add(f, "u"));
    ok(auth_user_add(f->table, "cert", NULL, true, f->batch));
    uint64_t rev = auth_revision(f->table);
    ok(auth_user_change_password(f->table, "cert", NULL, f->batch));
    assert_int_equal(auth_revision(f->table), rev + 1);
    assert_true(IS(auth_user_change_password(f->table, "u", NULL, f->batch), NO_PASSWORD_USER));
    assert_true(IS(auth_user_change_password(f->table, "x", NULL, f->batch), USER_NOT_FOUND));
    assert_true(IS(auth_user_add(f->table, "v", NULL, false, f->batch), NO_PASSWORD_USER));
    assert_true(IS(auth_user_add(f->table, "u", NULL, false, f->batch), USER_ALREADY_EXIST));
    assert_true(IS(auth_user_add(f->table, "", NULL, false, f->batch), USER_EMPTY));
    assert_int_equal(auth_revision(f->table), rev + 1);
}

static void test_what_is_not_there_is_refused(void **state)
{
    struct fixture *f = *state;
    struct auth_names names;
    Authpb__Permission **permissions;
    size_t count;
    assert_true(IS(user_add(f, ""), USER_EMPTY));
    ok(user_add(f, "u"));
    assert_true(IS(user_add(f, "u"), USER_ALREADY_EXIST));
    assert_true(IS(auth_user_delete(f->table, "x", f->batch), USER_NOT_FOUND));
    assert_true(IS(auth_user_change_password(f->table, "x", &NONE, f->batch), USER_NOT_FOUND));
    assert_true(IS(auth_user_grant_role(f->table, "x", "r", f->batch), USER_NOT_FOUND));
    assert_true(IS(auth_user_grant_role(f->table, "u", "r", f->batch), ROLE_NOT_FOUND));
    assert_true(IS(auth_user_revoke_role(f->table, "u", "r", f->batch), ROLE_NOT_GRANTED));
    assert_true(IS(auth_user_revoke_role(f->table, "x", "r", f->batch), USER_NOT_FOUND));
    assert_true(IS(auth_user_roles(f->table, "x", f->arena, &names), USER_NOT_FOUND));
    assert_true(IS(auth_role_add(f->table, "", f->batch), ROLE_EMPTY));
    ok(auth_role_add(f->table, "r", f->batch));
    assert_true(IS(auth_role_add(f->table, "r", f->batch), ROLE_ALREADY_EXIST));
    assert_true(IS(auth_role_delete(f->table, "x", f->batch), ROLE_NOT_FOUND));
    assert_true(
        IS(auth_role_revoke(f->table, "r", SLICE("k"), NONE, f->batch), PERMISSION_NOT_GRANTED));
    assert_true(IS(auth_role_revoke(f->table, "x", SLICE("k"), NONE, f->batch), ROLE_NOT_FOUND));
    assert_true(IS(auth_role_grant(f->table, "r", NULL, f->batch), PERMISSION_NOT_GIVEN));
    assert_true(
        IS(grant(f, "x", AUTHPB__PERMISSION__TYPE__READ, SLICE("k"), NONE), ROLE_NOT_FOUND));
    assert_true(IS(grant(f, "r", AUTHPB__PERMISSION__TYPE__READ, NONE, NONE), INVALID_AUTH_MGMT));
    assert_true(IS(
        grant(f, "r", AUTHPB__PERMISSION__TYPE__READ, SLICE("b"), SLICE("a")), INVALID_AUTH_MGMT));
    assert_true(
        IS(auth_role_permissions(f->table, "x", f->arena, &permissions, &count), ROLE_NOT_FOUND));
}

static void test_root_cannot_be_taken_away_while_enabled(void **state)
{
    struct fixture *f = *state;
    ok(auth_role_add(f->table, "root", f->batch));
    enable(f);
    assert_true(IS(auth_user_delete(f->table, "root", f->batch), INVALID_AUTH_MGMT));
    assert_true(IS(auth_role_delete(f->table, "root", f->batch), INVALID_AUTH_MGMT));
    assert_true(IS(auth_user_revoke_role(f->table, "root", "root", f->batch), INVALID_AUTH_MGMT));
    auth_disable(f->table, f->batch);
    ok(auth_user_revoke_role(f->table, "root", "root", f->batch));
    ok(auth_role_delete(f->table, "root", f->batch));
    ok(auth_user_delete(f->table, "root", f->batch));
}

static void test_names_come_sorted(void **state)
{
    struct fixture *f = *state;
    struct auth_names names;
    ok(user_add(f, "zoe"));
    ok(user_add(f, "adam"));
    ok(user_add(f, "mia"));
    ok(auth_role_add(f->table, "w", f->batch));
    ok(auth_role_add(f->table, "b", f->batch));
    ok(auth_user_grant_role(f->table, "mia", "w", f->batch));
    ok(auth_user_grant_role(f->table, "mia", "b", f->batch));
    auth_users(f->table, f->arena, &names);
    assert_int_equal(names.count, 3);
    assert_string_equal(names.items[0], "adam");
    assert_string_equal(names.items[2], "zoe");
    auth_roles(f->table, f->arena, &names);
    assert_string_equal(names.items[0], "b");
    ok(auth_user_roles(f->table, "mia", f->arena, &names));
    assert_int_equal(names.count, 2);
    assert_string_equal(names.items[1], "w");
    assert_true(auth_has_role(f->table, "mia", "b"));
    ok(auth_role_delete(f->table, "b", f->batch));
    assert_false(auth_has_role(f->table, "mia", "b"));
}

static void test_permissions_are_kept_by_key(void **state)
{
    struct fixture *f = *state;
    Authpb__Permission **list;
    size_t count;
    ok(auth_role_add(f->table, "r", f->batch));
    ok(grant(f, "r", AUTHPB__PERMISSION__TYPE__READ, SLICE("m"), NONE));
    ok(grant(f, "r", AUTHPB__PERMISSION__TYPE__READ, SLICE("a"), SLICE("c")));
    ok(grant(f, "r", AUTHPB__PERMISSION__TYPE__WRITE, SLICE("m"), NONE));
    ok(auth_role_permissions(f->table, "r", f->arena, &list, &count));
    assert_int_equal(count, 2);
    assert_memory_equal(list[0]->range_end.data, "c", 1);
    assert_int_equal(list[1]->permtype, AUTHPB__PERMISSION__TYPE__WRITE);
    ok(auth_role_add(f->table, "root", f->batch));
    ok(auth_role_permissions(f->table, "root", f->arena, &list, &count));
    assert_int_equal(count, 1);
    assert_int_equal(list[0]->key.len, 0);
    assert_int_equal(list[0]->range_end.len, 1);
}

static void test_a_single_key_is_just_that(void **state)
{
    struct fixture *f = *state;
    alice_with(f, AUTHPB__PERMISSION__TYPE__READ, SLICE("foo"), NONE);
    assert_true(reads(f, "alice", SLICE("foo"), NONE));
    assert_false(reads(f, "alice", SLICE("fo"), NONE));
    assert_false(reads(f, "alice", SLICE("foo\0"), NONE));
    assert_false(reads(f, "alice", SLICE("fooo"), NONE));
    assert_true(reads(f, "alice", SLICE("foo"), SLICE("foo\0")));
    assert_false(reads(f, "alice", SLICE("foo"), SLICE("fop")));
    assert_false(writes(f, "alice", SLICE("foo"), NONE));
}

/* GHSA-xg4h-6gfc-h4m8: one key must never open all that follow it. */
static void test_an_open_end_is_no_single_key(void **state)
{
    struct fixture *f = *state;
    alice_with(f, AUTHPB__PERMISSION__TYPE__READWRITE, SLICE("foo"), NONE);
    assert_false(reads(f, "alice", SLICE("foo"), NUL));
    assert_false(writes(f, "alice", SLICE("foo"), NUL));
    assert_false(reads(f, "alice", NUL, NUL));
}

static void test_a_range_holds_what_lies_in_it(void **state)
{
    struct fixture *f = *state;
    alice_with(f, AUTHPB__PERMISSION__TYPE__WRITE, SLICE("b"), SLICE("d"));
    assert_true(writes(f, "alice", SLICE("b"), NONE));
    assert_true(writes(f, "alice", SLICE("czzz"), NONE));
    assert_false(writes(f, "alice", SLICE("d"), NONE));
    assert_true(writes(f, "alice", SLICE("b"), SLICE("d")));
    assert_false(writes(f, "alice", SLICE("b"), SLICE("d\0")));
    assert_false(writes(f, "alice", SLICE("a"), SLICE("c")));
    assert_false(writes(f, "alice", SLICE("b"), NUL));
    assert_false(reads(f, "alice", SLICE("b"), NONE));
}

static void test_an_open_permission_holds_all_that_follow(void **state)
{
    struct fixture *f = *state;
    alice_with(f, AUTHPB__PERMISSION__TYPE__READWRITE, SLICE("m"), NUL);
    assert_true(reads(f, "alice", SLICE("m"), NUL));
    assert_true(writes(f, "alice", SLICE("zzz"), SLICE("zzzz")));
    assert_false(reads(f, "alice", SLICE("l"), NUL));
    assert_false(reads(f, "alice", NUL, NUL));
}

/* Two ranges that touch are one; with a gap they are not. */
static void test_touching_ranges_are_one(void **state)
{
    struct fixture *f = *state;
    alice_with(f, AUTHPB__PERMISSION__TYPE__READ, SLICE("a"), SLICE("c"));
    ok(auth_role_add(f->table, "s", f->batch));
    ok(grant(f, "s", AUTHPB__PERMISSION__TYPE__READ, SLICE("c"), SLICE("e")));
    ok(grant(f, "s", AUTHPB__PERMISSION__TYPE__READ, SLICE("f"), SLICE("h")));
    ok(auth_user_grant_role(f->table, "alice", "s", f->batch));
    assert_true(reads(f, "alice", SLICE("a"), SLICE("e")));
    assert_false(reads(f, "alice", SLICE("a"), SLICE("g")));
    ok(auth_role_revoke(f->table, "s", SLICE("c"), SLICE("e"), f->batch));
    assert_false(reads(f, "alice", SLICE("a"), SLICE("e")));
}

static void test_nobody_and_old_revisions_are_told_so(void **state)
{
    struct fixture *f = *state;
    struct auth_caller nobody = {NULL, 0};
    alice_with(f, AUTHPB__PERMISSION__TYPE__READ, SLICE("k"), NONE);
    struct auth_caller alice = caller(f, "alice");
    struct auth_caller ghost = caller(f, "ghost");
    assert_true(IS(auth_may_read(f->table, &nobody, SLICE("k"), NONE), USER_EMPTY));
    assert_true(IS(auth_may_administer(f->table, &nobody), USER_EMPTY));
    assert_true(IS(auth_may_administer(f->table, &ghost), USER_NOT_FOUND));
    assert_true(IS(auth_may_administer(f->table, &alice), PERMISSION_DENIED));
    assert_true(IS(auth_may_read(f->table, &ghost, SLICE("k"), NONE), PERMISSION_DENIED));
    ok(auth_may_read(f->table, &alice, SLICE("k"), NONE));
    ok(user_add(f, "bob"));
    assert_true(IS(auth_may_read(f->table, &alice, SLICE("k"), NONE), AUTH_OLD_REVISION));
    auth_disable(f->table, f->batch);
    ok(auth_may_write(f->table, &nobody, SLICE("x"), NONE));
    ok(auth_may_administer(f->table, &nobody));
}

static void test_root_may_everything(void **state)
{
    struct fixture *f = *state;
    enable(f);
    struct auth_caller root = caller(f, "root");
    ok(auth_may_administer(f->table, &root));
    assert_true(reads(f, "root", NUL, NUL));
    assert_true(writes(f, "root", SLICE("x"), SLICE("y")));
}

static void test_the_store_brings_all_of_it_back(void **state)
{
    struct fixture *f = *state;
    const char *hash;
    uint64_t rev;
    alice_with(f, AUTHPB__PERMISSION__TYPE__READ, SLICE("b"), SLICE("d"));
    ok(auth_user_add(f->table, "cert", &NONE, true, f->batch));
    ok(backend_write(f->backend, f->batch, NULL));
    struct auth_table *again = auth_table_new();
    ok(auth_load(again, f->backend, NULL));
    auth_table_free(f->table);
    f->table = again;
    assert_true(auth_is_enabled(f->table));
    assert_true(reads(f, "alice", SLICE("c"), NONE));
    assert_false(reads(f, "alice", SLICE("d"), NONE));
    ok(auth_password(f->table, "alice", f->arena, &hash, &rev));
    assert_string_equal(hash, "$2a$04$hash");
    assert_int_equal(rev, auth_revision(f->table));
    assert_true(IS(auth_password(f->table, "cert", f->arena, &hash, &rev), NO_PASSWORD_USER));
    assert_true(IS(auth_password(f->table, "x", f->arena, &hash, &rev), AUTH_FAILED));
}

/* Many grants that fit a request each make a role as long as they please. */
static void test_a_huge_role_is_kept_whole(void **state)
{
    enum { KEY_BYTES = 66 * 1024 * 1024 };
    struct fixture *f = *state;
    char *key = mem_alloc(KEY_BYTES);
    memset(key, 'k', KEY_BYTES);
    ok(auth_role_add(f->table, "huge", f->batch));
    ok(grant(f, "huge", AUTHPB__PERMISSION__TYPE__READ, slice_of(key, KEY_BYTES), NONE));
    ok(grant(f, "huge", AUTHPB__PERMISSION__TYPE__READ, SLICE("z"), NONE));
    free(key);
    ok(backend_write(f->backend, f->batch, NULL));
    struct auth_table *again = auth_table_new();
    Authpb__Permission **list;
    size_t count;
    ok(auth_load(again, f->backend, NULL));
    ok(auth_role_permissions(again, "huge", f->arena, &list, &count));
    assert_int_equal(count, 2);
    assert_int_equal(list[0]->key.len, KEY_BYTES);
    auth_table_free(again);
}

static void test_malformed_rows_are_refused(void **state)
{
    struct fixture *f = *state;
    struct why why = {""};
    backend_batch_put(f->batch, SLICE("mauth_user/x"), SLICE("\x0a\x7f"));
    ok(backend_write(f->backend, f->batch, NULL));
    assert_true(IS(auth_load(f->table, f->backend, &why), BAD_FORMAT));
    assert_non_null(strstr(why.text, "users or roles"));
    backend_batch_reset(f->batch);
    backend_batch_put(f->batch, SLICE("mauth_user/x"), NONE);
    ok(backend_write(f->backend, f->batch, NULL));
    assert_true(IS(auth_load(f->table, f->backend, &why), BAD_FORMAT)); /* no name */
    backend_batch_reset(f->batch);
    backend_batch_put(f->batch, SLICE("mauth_user/x"), SLICE("\x0a\x01y"));
    backend_batch_put(f->batch, SLICE("mauth_user/y"), SLICE("\x0a\x01y"));
    ok(backend_write(f->backend, f->batch, NULL));
    assert_true(IS(auth_load(f->table, f->backend, &why), BAD_FORMAT)); /* one name twice */
}

/* Its options came from a client of an etcd, which keeps what it cannot name: here a group. */
static void test_a_row_with_fields_that_nobody_can_name(void **state)
{
    struct fixture *f = *state;
    enable(f);
    backend_batch_put(
        f->batch, SLICE("mauth_user/x"), SLICE("\x0a\x01x\x22\x06\x08\x01\xa3\x06\xa4\x06"));
    ok(backend_write(f->backend, f->batch, NULL));
    struct auth_table *again = auth_table_new();
    const char *hash;
    uint64_t rev;
    ok(auth_load(again, f->backend, NULL));
    assert_true(IS(auth_password(again, "x", f->arena, &hash, &rev), NO_PASSWORD_USER));
    auth_table_free(again);
}

static const struct auth_table *loading;

bool __real_backend_iter_next(
    struct backend_iter *iter, struct slice *out_key, struct slice *out_value);
bool __wrap_backend_iter_next(
    struct backend_iter *iter, struct slice *out_key, struct slice *out_value);
bool __wrap_backend_iter_next(
    struct backend_iter *iter, struct slice *out_key, struct slice *out_value)
{
    if (loading) {
        assert_true(auth_is_enabled(loading));
        assert_true(auth_revision(loading) > 0);
    }
    return __real_backend_iter_next(iter, out_key, out_value);
}

/* Others ask what they may while a snapshot's users take the place of these. */
static void test_access_control_stays_on_while_it_is_loaded(void **state)
{
    struct fixture *f = *state;
    enable(f);
    ok(backend_write(f->backend, f->batch, NULL));
    loading = f->table;
    ok(auth_load(f->table, f->backend, NULL));
    loading = NULL;
    assert_true(auth_is_enabled(f->table));
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_enable_wants_a_root_user_with_the_root_role),
        T(test_every_change_counts),
        T(test_malformed_passwords_count_for_who_has_one),
        T(test_what_is_not_there_is_refused),
        T(test_root_cannot_be_taken_away_while_enabled),
        T(test_names_come_sorted),
        T(test_permissions_are_kept_by_key),
        T(test_a_single_key_is_just_that),
        T(test_an_open_end_is_no_single_key),
        T(test_a_range_holds_what_lies_in_it),
        T(test_an_open_permission_holds_all_that_follow),
        T(test_touching_ranges_are_one),
        T(test_nobody_and_old_revisions_are_told_so),
        T(test_root_may_everything),
        T(test_the_store_brings_all_of_it_back),
        T(test_a_huge_role_is_kept_whole),
        T(test_malformed_rows_are_refused),
        T(test_a_row_with_fields_that_nobody_can_name),
        T(test_access_control_stays_on_while_it_is_loaded),
    };
    return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}
