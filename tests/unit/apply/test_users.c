/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include "base/pb.h"

typedef Etcdserverpb__InternalRaftRequest request_t;

#define REQUEST(name, kind, upper)                                                                 \
    request_t request = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;                                 \
    kind name = upper##__INIT

static void ok(struct err err)
{
    if (err_is(err)) {
        fail_msg("%s", err_text(err));
    }
}

static char *text(const char *t)
{
    return (char *)(uintptr_t)t; /* protobuf-c only reads it */
}

static struct err user_add(struct machine *m, const char *name, const char *plain)
{
    REQUEST(add, Etcdserverpb__AuthUserAddRequest, ETCDSERVERPB__AUTH_USER_ADD_REQUEST);
    add.name = text(name);
    add.password = text(plain);
    add.hashedpassword = plain[0] ? text("") : text("JDJhJDA0JHg="); /* $2a$04$x */
    request.auth_user_add = &add;
    return machine_apply(m, &request);
}

static struct err grant_role(struct machine *m, const char *user, const char *role)
{
    REQUEST(
        grant, Etcdserverpb__AuthUserGrantRoleRequest, ETCDSERVERPB__AUTH_USER_GRANT_ROLE_REQUEST);
    grant.user = text(user);
    grant.role = text(role);
    request.auth_user_grant_role = &grant;
    return machine_apply(m, &request);
}

static struct err role_add(struct machine *m, const char *name)
{
    REQUEST(add, Etcdserverpb__AuthRoleAddRequest, ETCDSERVERPB__AUTH_ROLE_ADD_REQUEST);
    add.name = text(name);
    request.auth_role_add = &add;
    return machine_apply(m, &request);
}

static struct err grant(struct machine *m, const char *role, Authpb__Permission__Type type,
    const char *key, const char *end)
{
    REQUEST(give, Etcdserverpb__AuthRoleGrantPermissionRequest,
        ETCDSERVERPB__AUTH_ROLE_GRANT_PERMISSION_REQUEST);
    Authpb__Permission permission = AUTHPB__PERMISSION__INIT;
    permission.permtype = type;
    permission.key = text_bytes(key);
    permission.range_end = text_bytes(end);
    give.name = text(role);
    give.perm = &permission;
    request.auth_role_grant_permission = &give;
    return machine_apply(m, &request);
}

static struct err enable(struct machine *m)
{
    REQUEST(on, Etcdserverpb__AuthEnableRequest, ETCDSERVERPB__AUTH_ENABLE_REQUEST);
    request.auth_enable = &on;
    return machine_apply(m, &request);
}

static struct err lease_grant_at(struct machine *m, int64_t id)
{
    REQUEST(lease, Etcdserverpb__LeaseGrantRequest, ETCDSERVERPB__LEASE_GRANT_REQUEST);
    lease.id = id;
    lease.ttl = 100;
    request.lease_grant = &lease;
    return machine_apply(m, &request);
}

static struct err lease_revoke_at(struct machine *m, int64_t id)
{
    REQUEST(lease, Etcdserverpb__LeaseRevokeRequest, ETCDSERVERPB__LEASE_REVOKE_REQUEST);
    lease.id = id;
    request.lease_revoke = &lease;
    return machine_apply(m, &request);
}

static struct err delete_key(struct machine *m, const char *key, const char *end, bool prev_kv)
{
    REQUEST(delete, Etcdserverpb__DeleteRangeRequest, ETCDSERVERPB__DELETE_RANGE_REQUEST);
    delete.key = text_bytes(key);
    delete.range_end = text_bytes(end);
    delete.prev_kv = prev_kv;
    request.delete_range = &delete;
    return machine_apply(m, &request);
}

/* A put inside depth nested transactions. */
static struct err nested_put(struct machine *m, const char *key, int depth)
{
    enum { DEPTH_MAX = 4 };
    request_t request = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__TxnRequest txns[DEPTH_MAX];
    Etcdserverpb__RequestOp ops[DEPTH_MAX];
    Etcdserverpb__RequestOp *refs[DEPTH_MAX];
    put.key = text_bytes(key);
    for (int i = 0; i <= depth; i++) {
        etcdserverpb__txn_request__init(&txns[i]);
        etcdserverpb__request_op__init(&ops[i]);
        refs[i] = &ops[i];
        txns[i].n_success = 1;
        txns[i].success = &refs[i];
        ops[i].request_case = i == depth ? ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT
                                         : ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
        if (i == depth) {
            ops[i].request_put = &put;
        } else {
            ops[i].request_txn = &txns[i + 1];
        }
    }
    request.txn = &txns[0];
    return machine_apply(m, &request);
}

/* alice may write [a, b) and read nothing. */
static void furnish(struct machine *m)
{
    ok(machine_put(m, "secret", "1", 0));
    ok(user_add(m, "root", ""));
    ok(grant_role(m, "root", "root"));
    ok(user_add(m, "alice", ""));
    ok(role_add(m, "r"));
    ok(grant(m, "r", AUTHPB__PERMISSION__TYPE__WRITE, "a", "b"));
    ok(grant_role(m, "alice", "r"));
    ok(enable(m));
}

static void test_what_is_denied_changes_nothing(void **state)
{
    struct machine *m = *state;
    furnish(m);
    revision before = mvcc_revision(m->options.mvcc);
    uint32_t hash = machine_hash(m);
    m->username = "alice";
    assert_true(IS(machine_put(m, "secret", "2", 0), PERMISSION_DENIED));
    assert_true(IS(delete_key(m, "secret", "", false), PERMISSION_DENIED));
    assert_true(IS(delete_key(m, "a", "c", false), PERMISSION_DENIED));
    assert_true(IS(delete_key(m, "a", "b", true), PERMISSION_DENIED)); /* shows what it deletes */
    for (int depth = 0; depth < 4; depth++) {
        assert_true(IS(nested_put(m, "secret", depth), PERMISSION_DENIED));
    }
    assert_true(IS(user_add(m, "eve", ""), PERMISSION_DENIED));
    assert_true(IS(grant_role(m, "alice", "root"), PERMISSION_DENIED));
    m->username = NULL;
    assert_true(IS(machine_put(m, "a", "2", 0), USER_EMPTY));
    assert_true(IS(role_add(m, "x"), USER_EMPTY));
    assert_true(mvcc_revision(m->options.mvcc) == before);
    assert_int_equal(machine_hash(m), hash);
    m->username = "alice";
    ok(machine_put(m, "a", "2", 0));
    ok(nested_put(m, "aa", 3));
    ok(delete_key(m, "a", "b", false));
}

static void test_leases_belong_to_who_may_write_their_keys(void **state)
{
    struct machine *m = *state;
    furnish(m);
    m->username = "root";
    ok(lease_grant_at(m, 7));
    ok(machine_put(m, "secret", "2", 7));
    m->username = "alice";
    assert_true(IS(lease_revoke_at(m, 7), PERMISSION_DENIED));
    assert_true(IS(machine_put(m, "a", "1", 7), PERMISSION_DENIED));
    ok(lease_grant_at(m, 8));
    ok(machine_put(m, "a", "1", 8));
    ok(lease_revoke_at(m, 8));
    m->username = "root";
    ok(lease_revoke_at(m, 7));
}

static struct err authenticate(struct machine *m, const char *name)
{
    REQUEST(login, Etcdserverpb__InternalAuthenticateRequest,
        ETCDSERVERPB__INTERNAL_AUTHENTICATE_REQUEST);
    login.name = text(name);
    login.simple_token = text("abcdefghijklmnop");
    request.authenticate = &login;
    return machine_apply(m, &request);
}

static void test_tokens_name_their_entry_and_go_with_the_password(void **state)
{
    struct machine *m = *state;
    struct auth_caller out;
    const struct auth_now now = {1, 1000, 1};
    assert_true(IS(authenticate(m, "alice"), AUTH_NOT_ENABLED));
    furnish(m);
    assert_true(IS(authenticate(m, "nobody"), AUTH_FAILED));
    apply_set_time(m->apply, 1000, 1);
    ok(authenticate(m, "alice"));
    const Etcdserverpb__AuthenticateResponse *response = (const void *)m->result.response;
    char *token = arena_strdup(m->arena, response->token);
    char expected[64];
    snprintf(expected, sizeof(expected), "abcdefghijklmnop.%llu", (unsigned long long)m->index);
    assert_string_equal(token, expected);
    ok(auth_token_caller(m->options.tokens, expected, &now, m->arena, &out));
    assert_string_equal(out.username, "alice");
    REQUEST(change, Etcdserverpb__AuthUserChangePasswordRequest,
        ETCDSERVERPB__AUTH_USER_CHANGE_PASSWORD_REQUEST);
    change.name = text("alice");
    change.hashedpassword = text("JDJhJDA0JHg=");
    request.auth_user_change_password = &change;
    m->username = "root";
    ok(machine_apply(m, &request));
    assert_true(IS(
        auth_token_caller(m->options.tokens, expected, &now, m->arena, &out), INVALID_AUTH_TOKEN));
}

/* The salt is the entry's, so every member has the same user. */
static void test_plain_passwords_of_old_members_hash_alike(void **state)
{
    struct machine *m = *state;
    struct machine other;
    const char *mine;
    const char *others;
    uint64_t rev;
    machine_init(&other, 0);
    struct machine *both[] = {m, &other};
    for (size_t i = 0; i < 2; i++) {
        ok(user_add(both[i], "root", "letmein"));
        ok(grant_role(both[i], "root", "root"));
        ok(enable(both[i]));
    }
    ok(auth_password(m->options.auth, "root", m->arena, &mine, &rev));
    ok(auth_password(other.options.auth, "root", m->arena, &others, &rev));
    assert_string_equal(mine, others);
    assert_true(auth_password_matches(mine, "letmein"));
    machine_fini(&other);
}

static void test_a_restart_keeps_who_may_what(void **state)
{
    struct machine *m = *state;
    furnish(m);
    machine_restart(m);
    m->username = "alice";
    assert_true(IS(machine_put(m, "secret", "2", 0), PERMISSION_DENIED));
    ok(machine_put(m, "a", "2", 0));
}

int run_users_tests(void)
{
    const struct CMUnitTest tests[] = {
        MACHINE_TEST(test_what_is_denied_changes_nothing),
        MACHINE_TEST(test_leases_belong_to_who_may_write_their_keys),
        MACHINE_TEST(test_tokens_name_their_entry_and_go_with_the_password),
        MACHINE_TEST(test_plain_passwords_of_old_members_hash_alike),
        MACHINE_TEST(test_a_restart_keeps_who_may_what),
    };
    return cmocka_run_group_tests_name("apply: users", tests, NULL, NULL);
}
