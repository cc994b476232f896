/* SPDX-License-Identifier: Apache-2.0
 * Entries about members: configuration changes, and what members of 3.5 say of themselves. */
#include "base/pb.h"
#include "machine.h"

#include <v2.pb-c.h>

static void apply_raw(struct machine *machine, struct slice bytes, enum raft_entry_type type)
{
    struct raft_entry entry = {
        .term = 1, .index = ++machine->index, .type = type, .data = blob_new(bytes)};
    assert_false(err_is(machine_entry(machine, &entry)));
    blob_unref(entry.data);
}

/* Whether it came into force. Its end is in machine->result. */
static bool change(
    struct machine *machine, enum raft_conf_change_type type, uint64_t id, const char *context)
{
    struct raft_conf_change change = {.is_v1 = true,
        .id = 9,
        .changes = {{type, id}},
        .changes_count = 1,
        .context = slice_str(context)};
    struct buf bytes;
    int confs = machine->confs;
    buf_init(&bytes, 4096);
    raft_conf_change_encode(&change, &bytes);
    machine->waits_for = change.id;
    apply_raw(machine, buf_slice(&bytes), RAFT_ENTRY_CONF_CHANGE);
    buf_fini(&bytes);
    return machine->confs == confs + 1;
}

static void apply_v2(struct machine *machine, const char *method, const char *path, const char *val)
{
    Etcdserverpb__Request request = ETCDSERVERPB__REQUEST__INIT;
    struct arena *arena = arena_new(0);
    request.id = 1234567;
    request.has_id = true;
    request.method = (char *)(uintptr_t)method;
    request.path = (char *)(uintptr_t)path;
    request.val = (char *)(uintptr_t)val;
    machine->waits_for = 0;
    apply_raw(machine, pb_pack_arena(&request, arena), RAFT_ENTRY_NORMAL);
    arena_free(arena);
}

static struct member look(struct machine *machine, uint64_t id)
{
    struct member member = {0};
    assert_true(member_find(machine->options.members, id, machine->arena, &member));
    return member;
}

static void test_bare_v2_requests_tell_attributes_and_version(void **state)
{
    struct machine *machine = *state;
    assert_true(change(machine, RAFT_ADD_NODE, 0xab, "{\"id\":171,\"peerURLs\":[\"http://a:1\"]}"));
    apply_v2(machine, "PUT", "/0/members/ab/attributes",
        "{\"name\":\"m1\",\"clientURLs\":[\"http://c:1\"]}");
    assert_string_equal(look(machine, 0xab).name, "m1");
    assert_string_equal(look(machine, 0xab).client_urls[0], "http://c:1");
    assert_string_equal(look(machine, 0xab).peer_urls[0], "http://a:1");
    apply_v2(machine, "PUT", "/0/version", "3.5.0");
    assert_string_equal(member_cluster_version(machine->options.members), "3.5.0");
}

static void test_other_v2_requests_change_nothing(void **state)
{
    struct machine *machine = *state;
    assert_true(change(machine, RAFT_ADD_NODE, 0xab, "{\"id\":171,\"peerURLs\":[\"http://a:1\"]}"));
    apply_v2(machine, "PUT", "/0/version", "3.5.0");
    apply_v2(machine, "PUT", "/1/key", "value");
    apply_v2(machine, "DELETE", "/0/version", "");
    apply_v2(machine, "SYNC", "", "");
    apply_v2(machine, "PUT", "/0/version", "what");
    apply_v2(machine, "PUT", "/0/members/ab/attributes", "[]");
    apply_v2(machine, "PUT", "/0/members/ff/attributes", "{\"name\":\"x\"}");
    assert_string_equal(member_cluster_version(machine->options.members), "3.5.0");
    assert_string_equal(look(machine, 0xab).name, "");
    assert_false(member_find(machine->options.members, 0xff, machine->arena, &(struct member){0}));
    assert_string_equal(machine_list(machine), "");
}

static void test_conf_changes_are_refused_as_etcd_does(void **state)
{
    struct machine *machine = *state;
    const char *one = "{\"id\":1,\"peerURLs\":[\"http://a:1\"]}";
    const char *two = "{\"id\":2,\"peerURLs\":[\"http://b:1\"],\"isLearner\":true}";
    assert_true(change(machine, RAFT_ADD_NODE, 1, one));
    assert_false(change(machine, RAFT_ADD_NODE, 1, one));
    assert_false(change(machine, RAFT_ADD_NODE, 3, "{\"id\":3,\"peerURLs\":[\"http://a:1\"]}"));
    assert_true(change(machine, RAFT_ADD_LEARNER_NODE, 2, two));
    assert_false(change(machine, RAFT_ADD_LEARNER_NODE, 3,
        "{\"id\":3,\"peerURLs\":[\"http://c:1\"],\"isLearner\":true}"));
    assert_false(change(machine, RAFT_UPDATE_NODE, 2, "{\"id\":2,\"peerURLs\":[\"http://a:1\"]}"));
    assert_false(change(machine, RAFT_REMOVE_NODE, 7, ""));
    assert_false(change(machine, RAFT_ADD_NODE, 1, "{\"id\":1,\"isPromote\":true}"));
}

/* It came into force, or was refused with that error; either way who waits is told the members. */
static void ends(struct machine *machine, bool is_in_force, enum err_code code, size_t members)
{
    assert_int_equal(is_in_force, code == ERR_OK);
    assert_true(machine->is_done);
    assert_int_equal(machine->result.err.code, code);
    assert_int_equal(machine->result.members_count, members);
}

#define ENDS(type, id, context, code, members)                                                     \
    ends(machine, change(machine, type, id, context), code, members)

static void is_member(struct machine *machine, uint64_t id, const char *url, bool is_learner)
{
    struct member member = look(machine, id);
    assert_int_equal(member.peer_urls_count, 1);
    assert_string_equal(member.peer_urls[0], url);
    assert_int_equal(member.is_learner, is_learner);
}

static void test_every_conf_change_tells_its_end(void **state)
{
    struct machine *machine = *state;
    const char *learner = "{\"id\":2,\"peerURLs\":[\"http://b:1\"],\"isLearner\":true}";
    ENDS(RAFT_ADD_NODE, 1, "{\"id\":1,\"peerURLs\":[\"http://a:1\"]}", ERR_OK, 1);
    ENDS(RAFT_ADD_LEARNER_NODE, 2, learner, ERR_OK, 2);
    is_member(machine, 2, "http://b:1", true);
    ENDS(RAFT_UPDATE_NODE, 2, "{\"id\":2,\"peerURLs\":[\"http://c:1\"]}", ERR_OK, 2);
    is_member(machine, 2, "http://c:1", true);
    ENDS(RAFT_ADD_NODE, 2, "{\"id\":2,\"peerURLs\":null,\"isPromote\":true}", ERR_OK, 2);
    is_member(machine, 2, "http://c:1", false); /* a promotion says nothing of URLs */
    ENDS(RAFT_UPDATE_NODE, 1, "{\"id\":1,\"peerURLs\":[\"http://d:1\"]}", ERR_OK, 2);
    is_member(machine, 1, "http://d:1", false);
    ENDS(RAFT_ADD_NODE, 3, "{\"id\":3,\"peerURLs\":[\"http://a:1\"]}", ERR_OK, 3); /* free again */
    ENDS(RAFT_REMOVE_NODE, 1, "", ERR_OK, 2);
    machine_restart(machine);
    assert_false(member_find(machine->options.members, 1, machine->arena, &(struct member){0}));
    is_member(machine, 2, "http://c:1", false);
    is_member(machine, 3, "http://a:1", false);
}

static void test_every_refused_conf_change_tells_why(void **state)
{
    struct machine *machine = *state;
    const char *learner = "{\"id\":2,\"peerURLs\":[\"http://b:1\"],\"isLearner\":true}";
    const char *second = "{\"id\":3,\"peerURLs\":[\"http://c:1\"],\"isLearner\":true}";
    ENDS(RAFT_ADD_NODE, 1, "{\"id\":1,\"peerURLs\":[\"http://a:1\"]}", ERR_OK, 1);
    ENDS(RAFT_ADD_LEARNER_NODE, 2, learner, ERR_OK, 2);
    ENDS(RAFT_ADD_NODE, 1, "{\"id\":1,\"peerURLs\":[\"http://z:1\"]}", ERR_MEMBER_EXIST, 2);
    ENDS(RAFT_ADD_NODE, 3, "{\"id\":3,\"peerURLs\":[\"http://b:1\"]}", ERR_PEER_URL_EXIST, 2);
    ENDS(RAFT_ADD_LEARNER_NODE, 3, second, ERR_TOO_MANY_LEARNERS, 2);
    ENDS(RAFT_UPDATE_NODE, 2, "{\"id\":2,\"peerURLs\":[\"http://a:1\"]}", ERR_PEER_URL_EXIST, 2);
    ENDS(RAFT_UPDATE_NODE, 7, "{\"id\":7,\"peerURLs\":[\"http://x:1\"]}", ERR_MEMBER_NOT_FOUND, 2);
    ENDS(RAFT_ADD_NODE, 1, "{\"id\":1,\"isPromote\":true}", ERR_MEMBER_NOT_LEARNER, 2);
    ENDS(RAFT_ADD_NODE, 7, "{\"id\":7,\"isPromote\":true}", ERR_MEMBER_NOT_FOUND, 2);
    ENDS(RAFT_REMOVE_NODE, 7, "", ERR_MEMBER_NOT_FOUND, 2);
    ENDS(RAFT_ADD_NODE, 4, "{\"id\":5,\"peerURLs\":[\"http://y:1\"]}", ERR_BAD_FORMAT, 2);
    is_member(machine, 1, "http://a:1", false);
    is_member(machine, 2, "http://b:1", true);
    ENDS(RAFT_REMOVE_NODE, 2, "", ERR_OK, 1);
    ENDS(RAFT_ADD_LEARNER_NODE, 2, learner, ERR_MEMBER_NOT_FOUND, 1);
    ENDS(RAFT_REMOVE_NODE, 2, "", ERR_MEMBER_NOT_FOUND, 1);
}

/* An update says nothing of voting: a learner stays one. */
static void test_an_update_promotes_nobody(void **state)
{
    struct machine *machine = *state;
    const char *add = "{\"id\":2,\"peerURLs\":[\"http://b:1\"],\"isLearner\":true}";
    assert_true(change(machine, RAFT_ADD_LEARNER_NODE, 2, add));
    assert_true(change(machine, RAFT_UPDATE_NODE, 2, "{\"id\":2,\"peerURLs\":[\"http://d:1\"]}"));
    assert_true(look(machine, 2).is_learner);
    assert_string_equal(look(machine, 2).peer_urls[0], "http://d:1");
    assert_true(change(
        machine, RAFT_ADD_NODE, 2, "{\"id\":2,\"peerURLs\":[\"http://b:1\"],\"isPromote\":true}"));
    assert_false(look(machine, 2).is_learner);
}

static void test_removed_ids_never_come_back(void **state)
{
    struct machine *machine = *state;
    const char *add = "{\"id\":2,\"peerURLs\":[\"http://b:1\"]}";
    assert_true(change(machine, RAFT_ADD_NODE, 2, add));
    assert_true(change(machine, RAFT_REMOVE_NODE, 2, ""));
    assert_false(change(machine, RAFT_ADD_NODE, 2, add));
    machine_restart(machine);
    assert_true(member_is_removed(machine->options.members, 2));
    assert_false(change(machine, RAFT_ADD_NODE, 2, add));
}

int run_members_tests(void)
{
    const struct CMUnitTest tests[] = {
        MACHINE_TEST(test_bare_v2_requests_tell_attributes_and_version),
        MACHINE_TEST(test_other_v2_requests_change_nothing),
        MACHINE_TEST(test_conf_changes_are_refused_as_etcd_does),
        MACHINE_TEST(test_every_conf_change_tells_its_end),
        MACHINE_TEST(test_every_refused_conf_change_tells_why),
        MACHINE_TEST(test_an_update_promotes_nobody),
        MACHINE_TEST(test_removed_ids_never_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
