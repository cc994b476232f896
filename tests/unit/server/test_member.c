/* SPDX-License-Identifier: Apache-2.0
 * A whole single member on a folder of its own: proposing, stopping, restarting, a disk that
 * fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/mem.h"
#include "base/pb.h"
#include "boot/install.h"
#include "boot/storage.h"
#include "tests/shared/folder.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { PUT_FIELD = 4, TXN_FIELD = 6, THREADS = 4, PUTS = 100 };

struct member_place {
    char path[FOLDER_PATH_MAX];
    struct config config;
    struct storage storage;
    struct server *server;
    uint64_t snapshot_count;
    size_t request_bytes_max;
    atomic_int fatals;
    uint64_t v2_index; /* what was applied when the v2 store was made */
    atomic_size_t files;
    useconds_t slow_us; /* a file of a snapshot takes */
    int64_t file_ended_ms;
    int64_t file_rest_ms; /* before the last */
};

static atomic_bool is_sync_failing;

static struct err failing_sync(struct disk_file *file, bool is_data_only, struct why *why)
{
    if (atomic_load(&is_sync_failing)) {
        return why_set(why, ERR(IO), "sync: told to fail");
    }
    return disk_real()->ops->sync(file, is_data_only, why);
}

static struct disk *failing_disk(void)
{
    static struct disk_ops ops;
    static struct disk disk = {&ops};
    ops = *disk_real()->ops;
    ops.sync = failing_sync;
    return &disk;
}

static void on_fatal(void *arg, const char *what)
{
    (void)what;
    atomic_fetch_add(&((struct member_place *)arg)->fatals, 1);
}

static struct blob *snapshot_v2(void *arg)
{
    struct member_place *place = arg;
    place->v2_index = apply_index(place->storage.apply);
    return storage_snapshot_v2(&place->storage);
}

/* The members in the file are those of its index, whatever was applied since. */
static struct err keep_snapshot(
    void *arg, const struct raft_snapshot_meta *meta, struct slice v2, struct why *why)
{
    struct member_place *place = arg;
    assert_int_equal(place->v2_index, meta->index);
    place->file_rest_ms = clock_mono_ms() - place->file_ended_ms;
    place->files++;
    usleep(place->slow_us);
    struct err err = storage_keep_snapshot(&place->storage, meta, v2, why);
    place->file_ended_ms = clock_mono_ms();
    return err;
}

static void start(struct member_place *place)
{
    struct why why = {""};
    place->storage = (struct storage){.config = &place->config, .disk = failing_disk()};
    struct err err = storage_dirs(&place->storage, &why);
    if (!err_is(err)) {
        err = storage_log(&place->storage, &why);
    }
    if (err_is(err)) {
        fail_msg("%s: %s", err_name(err), why.text);
    }
    struct storage *s = &place->storage;
    place->server = server_start(&(struct server_options){.disk = s->disk,
        .raft = s->raft,
        .wal = s->wal,
        .backend = s->backend,
        .mvcc = s->mvcc,
        .leases = s->leases,
        .members = s->members,
        .hub = s->hub,
        .apply = s->apply,
        .snapshot_v2 = snapshot_v2,
        .keep_snapshot = keep_snapshot,
        .snapshot_arg = place,
        .snapshot_index = s->snapshot_index,
        .snapshot_count = place->snapshot_count,
        .catch_up_entries = 10,
        .wals_max = 5,
        .tick_ms = 20,
        .election_ticks = 10,
        .max_request_bytes = place->request_bytes_max,
        .request_ms = 60000,
        .name = "m\xff",
        .on_fatal = on_fatal,
        .on_fatal_arg = place});
    s->server = place->server;
    assert_true(server_wait_ready(place->server, 60000));
}

static void stop(struct member_place *place)
{
    server_stop(place->server);
    server_free(place->server);
    storage_close(&place->storage, false);
}

static int setup(void **state)
{
    struct member_place *place = mem_new(sizeof(*place));
    struct config_notes notes = {0};
    struct why why = {""};
    char *environ_none[] = {NULL};
    atomic_store(&is_sync_failing, false);
    folder_make(place->path);
    char program[] = "etcd";
    char name[] = "--name=m";
    char flag[] = "--data-dir";
    char *argv[] = {program, name, flag, place->path, NULL};
    struct config_source source = {4, argv, environ_none, "/nonexistent", 0};
    struct err err = config_load(&source, &place->config, &notes, &why);
    config_notes_fini(&notes);
    if (err_is(err)) {
        fail_msg("%s", why.text);
    }
    place->snapshot_count = 100000;
    place->request_bytes_max = 4096;
    start(place);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct member_place *place = *state;
    if (place->storage.server) {
        stop(place);
    }
    config_fini(&place->config);
    folder_remove(place->path);
    free(place);
    return 0;
}

struct waiting {
    struct server_proposal proposal;
    atomic_int dones;
};

static void done(struct server_proposal *proposal)
{
    atomic_fetch_add(&CONTAINER_OF(proposal, struct waiting, proposal)->dones, 1);
}

static struct err propose(
    struct member_place *place, uint32_t field, struct slice request, struct arena *arena)
{
    struct waiting waiting = {.proposal = {.field = field, .request = request, .done = done}};
    waiting.proposal.result.arena = arena;
    server_propose(place->server, &waiting.proposal);
    for (int i = 0; i < 60000 && !atomic_load(&waiting.dones); i++) {
        usleep(1000);
    }
    assert_int_equal(atomic_load(&waiting.dones), 1); /* nobody waits for ever */
    return waiting.proposal.result.err;
}

static struct slice put_of(const char *key, size_t value_len, struct arena *arena)
{
    static char value[8192];
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    request.key = (ProtobufCBinaryData){strlen(key), (uint8_t *)(uintptr_t)key};
    request.value = (ProtobufCBinaryData){value_len, (uint8_t *)value};
    return pb_pack_arena(&request, arena);
}

static struct err put(struct member_place *place, const char *key, size_t value_len)
{
    struct arena *arena = arena_new(0);
    struct err err = propose(place, PUT_FIELD, put_of(key, value_len, arena), arena);
    arena_free(arena);
    return err;
}

static void *put_many(void *arg)
{
    struct member_place *place = arg;
    char key[32];
    for (int i = 0; i < PUTS; i++) {
        snprintf(key, sizeof(key), "%lx-%d", (unsigned long)pthread_self(), i);
        assert_false(err_is(put(place, key, 10)));
    }
    return NULL;
}

static void test_what_many_threads_put_is_there_after_a_restart(void **state)
{
    struct member_place *place = *state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, put_many, place);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(mvcc_keys(place->storage.mvcc), THREADS * PUTS);
    revision rev = mvcc_revision(place->storage.mvcc);
    stop(place);
    start(place);
    assert_int_equal(mvcc_keys(place->storage.mvcc), THREADS * PUTS);
    assert_int_equal(mvcc_revision(place->storage.mvcc), rev);
}

/* Nothing of the log is applied again to say otherwise. */
static void pretend_version(struct member_place *place, const char *version)
{
    struct storage storage;
    struct why why = {""};
    struct backend_batch *batch = backend_batch_new();
    server_stop(place->server);
    server_free(place->server);
    storage_close(&place->storage, true);
    assert_false(err_is(storage_open(&storage, &place->config, &why)));
    backend_batch_put(batch, SLICE("mcluster_version"), slice_str(version));
    assert_false(err_is(backend_write(storage.backend, batch, &why)));
    backend_batch_free(batch);
    storage_close(&storage, true);
}

/* How often the member told of itself in the form of a v2 request. */
static size_t count_v2(struct member_place *place)
{
    struct wal_log log;
    size_t count = 0;
    char *dir = disk_path(place->path, "member/wal");
    assert_false(err_is(wal_read(disk_real(), dir, 0, 0, &log, NULL)));
    for (size_t i = 0; i < log.entries_count; i++) {
        const struct blob *data = log.entries[i].data;
        count += data && memmem(data->data, data->len, "/attributes", 11) != NULL;
    }
    wal_log_fini(&log);
    free(dir);
    return count;
}

/* The name, as JSON has it. */
static void assert_published(struct member_place *place)
{
    struct arena *arena = arena_new(0);
    struct member self;
    assert_true(
        member_find(place->storage.members, member_self_id(place->storage.members), arena, &self));
    assert_string_equal(self.name, "m\xef\xbf\xbd");
    arena_free(arena);
}

/* They would end at the newer form. */
static void test_members_before_3_5_are_told_in_their_own_form(void **state)
{
    struct member_place *place = *state;
    assert_published(place);
    assert_int_equal(count_v2(place), 0);
    pretend_version(place, "3.4.0");
    start(place); /* ready: it was published, and heard of it */
    assert_int_equal(count_v2(place), 1);
    assert_published(place);
    pretend_version(place, "3.5.0");
    start(place);
    assert_int_equal(count_v2(place), 1);
}

static void test_too_large_is_refused(void **state)
{
    struct member_place *place = *state;
    assert_true(IS(put(place, "k", 5000), REQUEST_TOO_LARGE));
    assert_false(err_is(put(place, "k", 3000)));
}

static struct slice wrap(uint32_t field, struct slice inner, struct arena *arena)
{
    struct buf buf;
    buf_init(&buf, inner.len + 16);
    wire_add_bytes(&buf, field, inner);
    struct slice bytes = arena_dup(arena, buf_slice(&buf));
    buf_fini(&buf);
    return bytes;
}

/* One put, in as many transactions as an entry may hold in one another. */
static struct slice nested_txn(struct arena *arena)
{
    enum { OP_PUT = 2, OP_TXN = 4, SUCCESS = 2, LEVELS = (PB_DEPTH_LOG_MAX - 2) / 2 };
    struct slice op = wrap(OP_PUT, put_of("deep", 1, arena), arena);
    for (int i = 1; i < LEVELS; i++) {
        op = wrap(OP_TXN, wrap(SUCCESS, op, arena), arena);
    }
    return wrap(SUCCESS, op, arena);
}

/* Whatever the shell's limit says that threads get. */
static void test_entries_nested_as_deep_as_may_be_find_room_on_the_stack(void **state)
{
    struct member_place *place = *state;
    struct arena *arena = arena_new(0);
    pthread_attr_t usual;
    pthread_attr_t little;
    pthread_getattr_default_np(&usual);
    pthread_attr_init(&little);
    pthread_attr_setstacksize(&little, 1 << 20);
    stop(place);
    place->request_bytes_max = 1 << 20;
    pthread_setattr_default_np(&little);
    start(place);
    pthread_setattr_default_np(&usual);
    assert_false(err_is(propose(place, TXN_FIELD, nested_txn(arena), arena)));
    assert_int_equal(mvcc_keys(place->storage.mvcc), 1);
    pthread_attr_destroy(&usual);
    pthread_attr_destroy(&little);
    arena_free(arena);
}

static void test_snapshots_of_the_log_replay(void **state)
{
    struct member_place *place = *state;
    char key[16];
    stop(place);
    place->snapshot_count = 20;
    start(place);
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_false(err_is(put(place, key, 1)));
    }
    stop(place);
    start(place);
    assert_true(place->storage.snapshot_index > 0);
    assert_true(place->files > 0);
    assert_int_equal(mvcc_keys(place->storage.mvcc), 100);
}

/* After one that took long there is a rest, and nothing need be applied for the next to begin. */
static void test_a_snapshot_of_the_log_comes_after_the_rest(void **state)
{
    enum { SLOW_US = 30000, COUNT = 50 };
    struct member_place *place = *state;
    stop(place);
    place->snapshot_count = 20;
    place->slow_us = SLOW_US;
    start(place);
    for (int i = 0; i < COUNT; i++) {
        assert_false(err_is(put(place, "k", 1)));
    }
    for (int i = 0; i < 60000 && atomic_load(&place->files) < 2; i++) {
        usleep(1000);
    }
    assert_true(atomic_load(&place->files) >= 2);
    stop(place);
    assert_true(place->file_rest_ms * 1000 >= 7 * SLOW_US);
    start(place);
}

static void test_stopped_refuses(void **state)
{
    struct member_place *place = *state;
    server_stop(place->server);
    assert_true(IS(put(place, "k", 1), STOPPED));
    server_free(place->server);
    storage_close(&place->storage, false);
}

/* The failure is told once; what was proposed is not acknowledged, then or later. */
static void test_failed_sync_ends_the_member(void **state)
{
    struct member_place *place = *state;
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct waiting waiting = {.proposal = {.field = PUT_FIELD, .done = done}};
    struct arena *arena = arena_new(0);
    assert_false(err_is(put(place, "before", 1)));
    atomic_store(&is_sync_failing, true);
    request.key = (ProtobufCBinaryData){1, (uint8_t *)"k"};
    waiting.proposal.request = pb_pack_arena(&request, arena);
    waiting.proposal.result.arena = arena;
    server_propose(place->server, &waiting.proposal);
    for (int i = 0; i < 60000 && !atomic_load(&place->fatals); i++) {
        usleep(1000);
    }
    assert_int_equal(atomic_load(&place->fatals), 1);
    atomic_store(&is_sync_failing, false); /* a disk that recovers changes nothing */
    usleep(50000);
    assert_int_equal(atomic_load(&waiting.dones), 0);
    stop(place);
    assert_int_equal(atomic_load(&waiting.dones), 1);
    assert_true(IS(waiting.proposal.result.err, STOPPED));
    assert_int_equal(atomic_load(&place->fatals), 1);
    arena_free(arena);
}

static struct err change(struct member_place *place, enum raft_conf_change_type type, uint64_t id,
    const char *url, size_t *out_members)
{
    struct arena *arena = arena_new(0);
    struct member member = {.id = id, .name = "", .peer_urls = &url, .peer_urls_count = 1};
    struct raft_conf_change conf = {
        .changes = {{type, id}}, .changes_count = 1, .context = member_to_json(&member, arena)};
    struct waiting waiting = {.proposal = {.conf = &conf, .done = done, .result.arena = arena}};
    server_propose(place->server, &waiting.proposal);
    for (int i = 0; i < 60000 && !atomic_load(&waiting.dones); i++) {
        usleep(1000);
    }
    assert_int_equal(atomic_load(&waiting.dones), 1);
    *out_members = waiting.proposal.result.members_count;
    arena_free(arena);
    return waiting.proposal.result.err;
}

static void test_a_proposed_conf_change_answers_with_the_members(void **state)
{
    struct member_place *place = *state;
    size_t members = 0;
    const char *url = "http://127.0.0.1:1";
    assert_false(err_is(change(place, RAFT_ADD_LEARNER_NODE, 5, url, &members)));
    assert_int_equal(members, 2);
    assert_true(IS(change(place, RAFT_ADD_LEARNER_NODE, 6, url, &members), PEER_URL_EXIST));
    assert_false(err_is(change(place, RAFT_REMOVE_NODE, 5, url, &members)));
    assert_int_equal(members, 1);
    assert_false(err_is(put(place, "k", 10))); /* and the group of one goes on */
}

struct looking {
    struct server_ask ask;
    struct server_transfer transfer;
    uint64_t last_index;
    atomic_int dones;
};

static void look(struct server_ask *ask, struct raft *raft)
{
    struct looking *looking = CONTAINER_OF(ask, struct looking, ask);
    looking->last_index = raft_last_index(raft);
    atomic_fetch_add(&looking->dones, 1);
}

static void transferred(struct server_transfer *transfer)
{
    atomic_fetch_add(&CONTAINER_OF(transfer, struct looking, transfer)->dones, 1);
}

static void wait_for(struct looking *looking)
{
    for (int i = 0; i < 60000 && !atomic_load(&looking->dones); i++) {
        usleep(1000);
    }
    assert_int_equal(atomic_load(&looking->dones), 1);
    atomic_store(&looking->dones, 0);
}

static void test_leadership_goes_to_who_has_it_or_times_out(void **state)
{
    struct member_place *place = *state;
    struct looking looking = {.ask.run = look, .transfer.done = transferred};
    struct server_status status;
    server_status_get(place->server, &status);
    assert_true(server_on_core(place->server, &looking.ask));
    wait_for(&looking);
    assert_true(looking.last_index >= 2);
    looking.transfer.target = status.member_id;
    looking.transfer.deadline_ms = INT64_MAX;
    server_transfer_leader(place->server, &looking.transfer);
    wait_for(&looking);
    assert_false(err_is(looking.transfer.err));
    looking.transfer.target = 77;
    looking.transfer.deadline_ms = 0;
    server_transfer_leader(place->server, &looking.transfer);
    wait_for(&looking);
    assert_true(IS(looking.transfer.err, TIMEOUT_LEADER_TRANSFER));
}

#define MEMBER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEMBER_TEST(test_what_many_threads_put_is_there_after_a_restart),
        MEMBER_TEST(test_too_large_is_refused),
        MEMBER_TEST(test_entries_nested_as_deep_as_may_be_find_room_on_the_stack),
        MEMBER_TEST(test_members_before_3_5_are_told_in_their_own_form),
        MEMBER_TEST(test_snapshots_of_the_log_replay),
        MEMBER_TEST(test_a_snapshot_of_the_log_comes_after_the_rest),
        MEMBER_TEST(test_stopped_refuses),
        MEMBER_TEST(test_a_proposed_conf_change_answers_with_the_members),
        MEMBER_TEST(test_leadership_goes_to_who_has_it_or_times_out),
        MEMBER_TEST(test_failed_sync_ends_the_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
