/* SPDX-License-Identifier: Apache-2.0
 * Two members over real sockets: messages each way, snapshots, what is lost, what is refused, what
 * they ask each other; plain and over mutual TLS. */
#include "../base/pki.h"
#include "base/clock.h"
#include "base/mem.h"
#include "pair.h"
#include "tests/shared/folder.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLUSTER = 0xc1, ONE = 0x11, TWO = 0x22, MESSAGE_ROOM = 200 };

static struct node one;
static struct node two;

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    node_init(&one, ONE, false);
    node_init(&two, TWO, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    node_stop(&one);
    node_stop(&two);
    return 0;
}

static void start_both(void)
{
    node_start(&one, CLUSTER);
    node_start(&two, CLUSTER);
    node_knows(&one, &two);
    node_knows(&two, &one);
    assert_true(node_await_active(&one, TWO, true));
    assert_true(node_await_active(&two, ONE, true));
}

static struct raft_message heartbeat(uint64_t to, uint64_t from, uint64_t commit)
{
    return (struct raft_message){
        .type = RAFT_MSG_HEARTBEAT, .to = to, .from = from, .term = 1, .commit = commit};
}

static struct raft_message append(uint64_t index, size_t entries_count, size_t bytes)
{
    struct raft_message message = {.type = RAFT_MSG_APP,
        .to = TWO,
        .from = ONE,
        .term = 2,
        .log_term = index > 1 ? 2 : 1,
        .index = index,
        .commit = index};
    message.entries = mem_new(entries_count * sizeof(*message.entries));
    message.entries_count = entries_count;
    for (size_t i = 0; i < entries_count; i++) {
        struct blob *data = blob_new_size(bytes);
        memset(data->data, (int)(index + i), bytes);
        message.entries[i] = (struct raft_entry){.term = 2, .index = index + 1 + i, .data = data};
    }
    return message;
}

static void test_messages_go_both_ways(void **state)
{
    struct raft_message to_two[] = {heartbeat(TWO, ONE, 5), append(1, 2, 10), append(3, 1, 10)};
    struct raft_message to_one = heartbeat(ONE, TWO, 6);
    (void)state;
    start_both();
    peer_send(one.peer, to_two, 3);
    peer_send(two.peer, &to_one, 1);
    assert_null(to_two[1].entries);
    assert_true(node_await_heard(&two, 3));
    assert_true(node_await_heard(&one, 1));
    assert_int_equal(one.heard[0].commit, 6);
    size_t entries = 0;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(two.heard[i].from, ONE);
        entries += two.heard[i].entries_count;
        if (two.heard[i].type == RAFT_MSG_APP && two.heard[i].index == 3) {
            assert_int_equal(two.heard[i].log_term, 2);
            assert_int_equal(two.heard[i].entries[0].index, 4);
            assert_int_equal(two.heard[i].entries[0].data->data[0], 3);
        }
    }
    assert_int_equal(entries, 3);
    assert_int_equal(one.unreachable + two.unreachable, 0);
}

/* 20 MiB of appends are queued first; the heartbeat behind them arrives long before the last. */
static void test_heartbeats_do_not_wait_behind_appends(void **state)
{
    struct raft_message message;
    size_t heartbeat_at = SIZE_MAX;
    (void)state;
    start_both();
    for (uint64_t i = 0; i < 80; i++) {
        message = append(i + 1, 1, 256 << 10);
        peer_send(one.peer, &message, 1);
    }
    message = heartbeat(TWO, ONE, 1);
    peer_send(one.peer, &message, 1);
    assert_true(node_await_heard(&two, 81));
    for (size_t i = 0; i < 81; i++) {
        if (two.heard[i].type == RAFT_MSG_HEARTBEAT) {
            heartbeat_at = i;
        }
    }
    assert_in_range(heartbeat_at, 0, 60);
    assert_int_equal(one.unreachable, 0);
}

/* Nobody is there: what is sent is reported, and so is a snapshot. */
static void test_nobody_there_is_reported(void **state)
{
    struct raft_message message = heartbeat(TWO, ONE, 1);
    struct raft_snapshot_meta meta = {.index = 3, .term = 1};
    (void)state;
    node_start(&one, CLUSTER);
    node_knows(&one, &two); /* which does not listen */
    peer_send(one.peer, &message, 1);
    assert_true(node_await(&one.unreachable, &one, 1));
    assert_int_equal(peer_active_since_ms(one.peer, TWO), 0);
    message = (struct raft_message){.type = RAFT_MSG_SNAP, .to = TWO, .from = ONE, .term = 1};
    message.snapshot = raft_snapshot_new(&meta, NULL);
    peer_send(one.peer, &message, 1);
    assert_true(node_await(&one.snapshots_failed, &one, 1));
}

static bool await_refused(uint64_t id)
{
    int64_t deadline_ms = clock_mono_ms() + 20000;
    while (peer_refused_since_ms(one.peer, id) == 0 && clock_mono_ms() < deadline_ms) {
        usleep(2000);
    }
    return peer_refused_since_ms(one.peer, id) != 0;
}

/* A member that comes later, and one that comes back. That nobody listens is known until somebody
 * does; who answers in whatever way is there. */
static void test_streams_are_dialed_again(void **state)
{
    struct raft_message message;
    (void)state;
    node_start(&one, CLUSTER);
    node_knows(&one, &two);
    assert_int_equal(peer_refused_since_ms(one.peer, 0x33), 0);
    assert_true(await_refused(TWO));
    node_start(&two, CLUSTER);
    node_knows(&two, &one);
    assert_true(node_await_active(&one, TWO, true));
    assert_true(node_await_active(&two, ONE, true));
    assert_int_equal(peer_refused_since_ms(one.peer, TWO), 0);
    peer_remove(two.peer, ONE);
    assert_true(node_await_active(&one, TWO, false));
    assert_int_equal(peer_refused_since_ms(one.peer, TWO), 0);
    node_knows(&two, &one);
    assert_true(node_await_active(&one, TWO, true));
    message = heartbeat(TWO, ONE, 1);
    peer_send(one.peer, &message, 1);
    assert_true(node_await_heard(&two, 1));
}

/* Another cluster's member is not listened to, and hears nothing. */
static void test_another_cluster_is_refused(void **state)
{
    struct raft_message message = heartbeat(TWO, ONE, 1);
    (void)state;
    node_start(&one, CLUSTER);
    node_start(&two, CLUSTER + 1);
    node_knows(&one, &two);
    node_knows(&two, &one);
    peer_send(one.peer, &message, 1);
    assert_true(node_await(&one.unreachable, &one, 1));
    usleep(300000);
    assert_int_equal(peer_active_since_ms(one.peer, TWO), 0);
    assert_int_equal(two.heard_count, 0);
    assert_int_equal(one.removed_told, 0);
}

static void test_a_removed_member_is_told(void **state)
{
    (void)state;
    two.removed_id = ONE;
    node_start(&one, CLUSTER);
    node_start(&two, CLUSTER);
    node_knows(&one, &two);
    assert_true(node_await(&one.removed_told, &one, 1));
    usleep(300000);
    assert_int_equal(one.removed_told, 1);
}

/* By the pipeline: two has no streams to one, whom it does not know. */
static void test_a_stranger_is_heard_and_answered(void **state)
{
    struct raft_message message = heartbeat(TWO, ONE, 1);
    (void)state;
    node_start(&one, CLUSTER);
    node_start(&two, CLUSTER);
    node_knows(&one, &two);
    peer_send(one.peer, &message, 1);
    assert_true(node_await_heard(&two, 1));
    message = heartbeat(ONE, TWO, 2);
    peer_send(two.peer, &message, 1);
    assert_true(node_await_heard(&one, 1));
    assert_int_equal(one.heard[0].commit, 2);
}

static void send_snapshot(uint64_t index)
{
    struct raft_snapshot_meta meta = {.index = index, .term = 1};
    struct raft_message message = {.type = RAFT_MSG_SNAP, .to = TWO, .from = ONE, .term = 1};
    meta.conf.voters.ids[0] = ONE;
    meta.conf.voters.count = 1;
    message.snapshot = raft_snapshot_new(&meta, NULL);
    peer_send(one.peer, &message, 1);
}

static void test_a_snapshot_arrives_whole(void **state)
{
    struct snap_import *import;
    struct disk_stat stat;
    (void)state;
    one.export_bytes = 20 << 20;
    start_both();
    send_snapshot(0x1234);
    assert_true(node_await(&one.snapshots_ok, &one, 1));
    assert_int_equal(two.heard_count, 1);
    assert_int_equal(two.heard[0].type, RAFT_MSG_SNAP);
    assert_int_equal(two.heard[0].snapshot->meta.index, 0x1234);
    assert_true(slice_eq(blob_slice(two.heard[0].snapshot->data), SLICE("{\"Root\":{}}")));
    char *path = mem_printf("%s/0000000000001234.snap.db", two.snap_dir);
    assert_string_equal(two.snapshot_path, path);
    assert_false(err_is(disk_stat(disk_real(), path, &stat, NULL)));
    assert_true(stat.bytes > one.export_bytes);
    assert_false(err_is(snap_import_open(disk_real(), path, SNAP_HASH_IF_THERE, &import, NULL)));
    snap_import_close(import);
    free(path);
}

static void open_store(const char *dir, struct backend **out)
{
    struct backend_options options = {.path = dir};
    assert_false(err_is(backend_open(&options, out, NULL)));
}

static void fill_store(struct backend *store, size_t rows)
{
    struct backend_batch *batch = backend_batch_new();
    uint8_t *value = mem_new(1 << 16);
    char key[32];
    for (size_t i = 0; i < rows; i++) {
        snprintf(key, sizeof(key), "d%06zu", i);
        backend_batch_put(batch, slice_str(key), slice_of(value, 1 << 16));
    }
    assert_false(err_is(backend_write(store, batch, NULL)));
    backend_batch_free(batch);
    free(value);
}

static bool is_empty(const char *dir)
{
    struct disk_names names;
    assert_false(err_is(disk_list(disk_real(), dir, &names, NULL)));
    bool is = names.count == 0;
    disk_names_fini(&names);
    return is;
}

static struct err free_bytes(
    struct disk *disk, const char *path, uint64_t *out_bytes, struct why *why)
{
    (void)disk;
    (void)path;
    (void)why;
    *out_bytes = 5 << 20;
    return OK;
}

/* The database and the store that is made of it must fit, before the first byte is taken. */
static void test_a_database_that_does_not_fit_is_refused(void **state)
{
    struct disk_ops ops = *disk_real()->ops;
    struct disk small = {&ops};
    (void)state;
    ops.free_bytes = free_bytes;
    two.disk = &small;
    one.export_bytes = 3 << 20;
    start_both();
    send_snapshot(7);
    assert_true(node_await(&one.snapshots_failed, &one, 1));
    assert_true(is_empty(two.snap_dir));
    one.export_bytes = 2 << 20;
    send_snapshot(8);
    assert_true(node_await(&one.snapshots_ok, &one, 1));
    peer_stop(two.peer); /* the disk is this function's */
}

/* Rows come in chunks, so their sender says about how many bytes there are. */
static void test_rows_that_do_not_fit_are_refused(void **state)
{
    char dir[FOLDER_PATH_MAX];
    struct disk_ops ops = *disk_real()->ops;
    struct disk small = {&ops};
    (void)state;
    ops.free_bytes = free_bytes;
    two.disk = &small;
    folder_make(dir);
    open_store(dir, &one.store);
    fill_store(one.store, 79);
    one.rows_format = two.rows_format = "1";
    start_both();
    assert_true(node_await_rows(&one, TWO));
    send_snapshot(7);
    assert_true(node_await(&one.snapshots_failed, &one, 1));
    assert_true(is_empty(two.snap_dir));
    assert_false(err_is(backend_clear(one.store, SLICE("d000040"), SLICE("e"), NULL)));
    assert_false(err_is(backend_compact_files(one.store, NULL)));
    send_snapshot(8);
    assert_true(node_await(&one.snapshots_ok, &one, 1));
    peer_stop(two.peer); /* the disk is this function's */
    backend_close(one.store);
    folder_remove(dir);
}

static void send_rows(const char *ours, const char *theirs, char dir[FOLDER_PATH_MAX])
{
    folder_make(dir);
    open_store(dir, &one.store);
    fill_store(one.store, 200);
    one.rows_format = ours;
    two.rows_format = theirs;
    one.export_bytes = 1 << 20;
    start_both();
    bool are_same = theirs && strcmp(ours, theirs) == 0;
    assert_true(are_same ? node_await_rows(&one, TWO) : node_await_active(&one, TWO, true));
    send_snapshot(0x1234);
    assert_true(node_await(&one.snapshots_ok, &one, 1));
    backend_close(one.store);
    folder_remove(dir);
}

/* Members that keep their stores alike move rows. */
static void test_rows_arrive_instead_of_a_database(void **state)
{
    char dir[FOLDER_PATH_MAX];
    struct snap_list list;
    struct blob *row = NULL;
    struct backend *store;
    (void)state;
    send_rows("1", "1", dir);
    assert_true(snap_is_list(disk_real(), two.snapshot_path));
    assert_true(slice_eq(blob_slice(two.heard[0].snapshot->data), SLICE("{\"Root\":{}}")));
    assert_false(err_is(snap_list_read(disk_real(), two.snap_dir, 0x1234, &list, NULL)));
    folder_make(dir);
    open_store(dir, &store);
    assert_false(err_is(backend_take_files(store, list.paths, list.count, NULL)));
    assert_false(err_is(backend_get(store, NULL, SLICE("d000199"), &row, NULL)));
    assert_true(row && row->len == 1 << 16);
    blob_unref(row);
    backend_close(store);
    folder_remove(dir);
    snap_list_fini(&list);
}

/* One that keeps them otherwise, or is etcd, gets a database. */
static void test_rows_of_another_format_are_not_sent(void **state)
{
    char dir[FOLDER_PATH_MAX];
    (void)state;
    send_rows("1", "2", dir);
    assert_false(snap_is_list(disk_real(), two.snapshot_path));
}

static void test_members_without_rows_get_a_database(void **state)
{
    char dir[FOLDER_PATH_MAX];
    (void)state;
    send_rows("1", NULL, dir);
    assert_false(snap_is_list(disk_real(), two.snapshot_path));
}

/* The receiver ends in the middle: reported, and nothing is left lying there. */
static void test_a_broken_snapshot_leaves_nothing(void **state)
{
    (void)state;
    one.export_bytes = 64 << 20;
    start_both();
    send_snapshot(7);
    usleep(120000);
    peer_stop(two.peer);
    assert_true(node_await(&one.snapshots_failed, &one, 1) || one.snapshots_ok == 1);
    assert_true(is_empty(two.snap_dir) || two.snapshot_path);
}

static void test_broken_rows_leave_nothing(void **state)
{
    char dir[FOLDER_PATH_MAX];
    (void)state;
    folder_make(dir);
    open_store(dir, &one.store);
    fill_store(one.store, 1000);
    one.rows_format = two.rows_format = "1";
    start_both();
    assert_true(node_await_rows(&one, TWO));
    send_snapshot(7);
    usleep(50000);
    peer_stop(two.peer);
    assert_true(node_await(&one.snapshots_failed, &one, 1) || one.snapshots_ok == 1);
    assert_true(is_empty(two.snap_dir) || two.snapshot_path);
    backend_close(one.store);
    folder_remove(dir);
}

/* Questions. */

static struct {
    size_t answers;
    struct err err;
    int64_t ttl;
    struct peer_lease lease;
    struct peer_hash hash;
    int status;
    uint64_t cluster_id;
    char text[256];
} answered;

static void count_answer(void)
{
    pthread_mutex_lock(&one.mutex);
    answered.answers++;
    pthread_mutex_unlock(&one.mutex);
}

static void await_answer(void)
{
    static size_t awaited;
    assert_true(node_await(&answered.answers, &one, ++awaited));
}

static void on_ttl(void *arg, struct err err, int64_t ttl)
{
    (void)arg;
    answered.err = err;
    answered.ttl = ttl;
    count_answer();
}

static void on_lease(void *arg, struct err err, const struct peer_lease *lease)
{
    (void)arg;
    answered.err = err;
    answered.lease = lease ? *lease : (struct peer_lease){0};
    if (lease && lease->keys_count == 2) {
        assert_true(slice_eq(lease->keys[1], SLICE("bc")));
    }
    count_answer();
}

static void on_json(void *arg, struct err err, struct slice json)
{
    (void)arg;
    answered.err = err;
    snprintf(answered.text, sizeof(answered.text), "%.*s", (int)json.len,
        json.len ? (const char *)json.data : "");
    count_answer();
}

static void on_hash(void *arg, struct err err, const struct peer_hash *hash)
{
    (void)arg;
    answered.err = err;
    answered.hash = hash ? *hash : (struct peer_hash){0};
    count_answer();
}

static void on_answer(void *arg, const struct peer_answer *answer)
{
    (void)arg;
    answered.err = answer->err;
    answered.status = answer->status;
    answered.cluster_id = answer->cluster_id;
    snprintf(answered.text, sizeof(answered.text), "%.*s", (int)answer->body.len,
        answer->body.len ? (const char *)answer->body.data : "");
    count_answer();
}

static enum err_code renew(int64_t id)
{
    peer_ask_lease_renew(one.peer, TWO, id, 3000, on_ttl, NULL);
    await_answer();
    return answered.err.code;
}

static void test_leases_are_asked(void **state)
{
    (void)state;
    start_both();
    assert_int_equal(renew(1), ERR_OK);
    assert_int_equal(answered.ttl, 60);
    assert_int_equal(renew(-5), ERR_OK);
    assert_int_equal(renew(404), ERR_LEASE_NOT_FOUND);
    assert_int_equal(renew(408), ERR_TIMEDOUT);
    assert_int_equal(renew(500), ERR_NOT_LEADER);
    peer_ask_lease_ttl(one.peer, TWO, 9, true, 3000, on_lease, NULL);
    await_answer();
    assert_int_equal(answered.err.code, ERR_OK);
    assert_int_equal(answered.lease.ttl, 30);
    assert_int_equal(answered.lease.granted_ttl, 60);
    assert_int_equal(answered.lease.keys_count, 2);
    peer_ask_lease_ttl(one.peer, TWO, 500, false, 3000, on_lease, NULL);
    await_answer();
    assert_int_equal(answered.err.code, ERR_NOT_LEADER);
}

static void test_the_others_are_asked(void **state)
{
    (void)state;
    start_both();
    peer_ask_promote(one.peer, TWO, UINT64_MAX, 3000, on_json, NULL);
    await_answer();
    assert_string_equal(answered.text, "[{\"id\":2}]\n");
    const enum err_code codes[] = {
        ERR_MEMBER_NOT_FOUND, ERR_LEARNER_NOT_READY, ERR_MEMBER_NOT_LEARNER};
    const uint64_t ids[] = {404, 412, 413};
    for (size_t i = 0; i < 3; i++) {
        peer_ask_promote(one.peer, TWO, ids[i], 3000, on_json, NULL);
        await_answer();
        assert_int_equal(answered.err.code, codes[i]);
    }
    peer_ask_hash(one.peer, TWO, 5, 3000, on_hash, NULL);
    await_answer();
    assert_int_equal(answered.hash.revision, 7);
    assert_int_equal(answered.hash.hash, 0xfedcba98);
    assert_int_equal(answered.hash.compact_revision, -1);
    assert_int_equal(answered.hash.hash_revision, 5);
    peer_ask_hash(one.peer, TWO, 1, 3000, on_hash, NULL);
    await_answer();
    assert_int_equal(answered.err.code, ERR_COMPACTED);
    peer_ask_hash(one.peer, TWO, 99, 3000, on_hash, NULL);
    await_answer();
    assert_int_equal(answered.err.code, ERR_FUTURE_REV);
}

static void test_questions_to_nobody_are_answered(void **state)
{
    struct peer_question question = {"GET", "/members", {0}, NULL, 1024, 3000};
    (void)state;
    start_both();
    peer_ask(one.peer, TWO, &question, on_answer, NULL);
    await_answer();
    assert_int_equal(answered.status, 200);
    assert_int_equal(answered.cluster_id, CLUSTER);
    peer_ask(one.peer, 0x33, &question, on_answer, NULL);
    await_answer();
    assert_int_equal(answered.err.code, ERR_PEER_UNKNOWN);
    question.bytes_max = 3;
    peer_ask(one.peer, TWO, &question, on_answer, NULL);
    await_answer();
    assert_int_equal(answered.err.code, ERR_TOO_BIG);
}

static void test_fetch_blocks_for_an_answer(void **state)
{
    struct peer_question question = {"GET", "/version", {0}, NULL, 1024, 3000};
    struct peer_fetched got;
    struct why why;
    (void)state;
    node_start(&two, CLUSTER);
    assert_false(err_is(peer_fetch(two.url, &question, NULL, &got, &why)));
    assert_int_equal(got.status, 200);
    assert_string_equal(buf_text(&got.body),
        "{\"etcdserver\":\"3.6.14\",\"etcdcluster\":\"3.6.0\",\"storage\":\"unknown\"}");
    buf_fini(&got.body);
    question.path = "/members";
    assert_false(err_is(peer_fetch(two.url, &question, NULL, &got, &why)));
    assert_int_equal(got.cluster_id, CLUSTER);
    buf_fini(&got.body);
    assert_true(err_is(peer_fetch("http://127.0.0.1:1", &question, NULL, &got, &why)));
    assert_non_null(strstr(why.text, "Connection refused"));
}

/* Mutual TLS. */

static struct pki pki;

static SSL_CTX *make_context(const char *name, enum tls_role role)
{
    SSL_CTX *context = NULL;
    struct why why;
    char cert[32];
    char key[32];
    snprintf(cert, sizeof(cert), "%s.crt", name);
    snprintf(key, sizeof(key), "%s.key", name);
    struct tls_options options = {.cert_file = pki_path(&pki, cert),
        .key_file = pki_path(&pki, key),
        .trusted_ca_file = pki_path(&pki, "ca.crt"),
        .client_cert_auth = true};
    assert_false(err_is(tls_context_new(&options, role, &context, &why)));
    return context;
}

static int setup_tls(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    pki_init(&pki);
    pki_make(
        &pki, &(struct pki_spec){.name = "good", .cn = "m", .sans = "IP:127.0.0.1", .serial = 2});
    pki_make(&pki,
        &(struct pki_spec){.name = "elsewhere", .cn = "m", .sans = "IP:10.0.0.1", .serial = 3});
    node_init(&one, ONE, true);
    node_init(&two, TWO, true);
    one.server_context = make_context("good", TLS_SERVER);
    one.client_context = make_context("good", TLS_CLIENT);
    two.server_context = make_context("good", TLS_SERVER);
    two.client_context = make_context("good", TLS_CLIENT);
    return 0;
}

static int teardown_tls(void **state)
{
    SSL_CTX *contexts[] = {
        one.server_context, one.client_context, two.server_context, two.client_context};
    teardown(state);
    for (size_t i = 0; i < COUNT_OF(contexts); i++) {
        SSL_CTX_free(contexts[i]);
    }
    pki_fini(&pki);
    return 0;
}

static void test_tls_carries_everything(void **state)
{
    struct raft_message message = append(1, 1, 3 << 20);
    (void)state;
    one.export_bytes = 5 << 20;
    start_both();
    peer_send(one.peer, &message, 1);
    assert_true(node_await_heard(&two, 1));
    assert_int_equal(two.heard[0].entries[0].data->len, 3 << 20);
    assert_int_equal(renew(1), ERR_OK);
    send_snapshot(9);
    assert_true(node_await(&one.snapshots_ok, &one, 1));
    assert_non_null(two.snapshot_path);
}

/* Each handshake asks anew, so that a certificate that was replaced is in use from then on. */
static void test_tls_contexts_are_asked_anew(void **state)
{
    (void)state;
    start_both();
    size_t before = atomic_load(&one.contexts_asked);
    assert_true(before >= 2);
    peer_remove(one.peer, TWO);
    assert_true(node_await_active(&one, TWO, false));
    node_knows(&one, &two);
    assert_true(node_await_active(&one, TWO, true));
    assert_true(atomic_load(&one.contexts_asked) > before);
}

static void test_tls_server_for_another_host_is_refused(void **state)
{
    (void)state;
    SSL_CTX_free(two.server_context);
    two.server_context = make_context("elsewhere", TLS_SERVER);
    node_start(&one, CLUSTER);
    node_start(&two, CLUSTER);
    node_knows(&one, &two);
    usleep(400000);
    assert_int_equal(peer_active_since_ms(one.peer, TWO), 0);
    assert_int_equal(two.heard_count, 0);
}

/* Who waits a short time for the next byte gives up on one that says something every 1.7 s. */
static void test_tls_a_silent_stream_is_given_up(void **state)
{
    (void)state;
    one.read_ms = 300;
    start_both();
    for (int i = 0; i < 1500 && atomic_load(&one.contexts_asked) < 16; i++) {
        usleep(10000);
    }
    assert_true(atomic_load(&one.contexts_asked) >= 16);
}

/* With the same time on both sides each says something often enough; a slow machine gets several
 * tries. */
static void test_tls_a_stream_says_something_in_time(void **state)
{
    bool is_kept = false;
    (void)state;
    one.read_ms = two.read_ms = 600;
    start_both();
    for (int i = 0; i < 10 && !is_kept; i++) {
        size_t before = atomic_load(&one.contexts_asked);
        usleep(1000000);
        is_kept = atomic_load(&one.contexts_asked) == before;
    }
    assert_true(is_kept);
}

static struct err deny(SSL *ssl, void *arg, struct why *why)
{
    (void)arg;
    assert_non_null(SSL_get0_peer_certificate(ssl));
    return why_set(why, ERR(DENIED), "not the one");
}

/* Whose certificate verifies may still be somebody else. */
static void test_tls_server_of_another_name_is_refused(void **state)
{
    struct peer_question question = {"GET", "/version", {0}, NULL, 1024, 3000};
    struct http_dialing dialing = {.tls = node_client_tls, .admit = deny, .arg = &two};
    struct peer_fetched got;
    struct why why;
    (void)state;
    one.admit = deny;
    node_start(&one, CLUSTER);
    node_start(&two, CLUSTER);
    node_knows(&one, &two);
    assert_true(IS(peer_fetch(two.url, &question, &dialing, &got, &why), BAD_TLS));
    assert_non_null(strstr(why.text, "not the one"));
    usleep(400000);
    assert_int_equal(peer_active_since_ms(one.peer, TWO), 0);
}

/* How often it was asked for once both streams and the first probe are in. */
static size_t vouched_at_rest(struct node *node)
{
    size_t before;
    do {
        before = atomic_load(&node->vouched);
        usleep(400000);
    } while (before < 2 || atomic_load(&node->vouched) != before);
    return before;
}

/* Looking up where somebody comes from takes its time on a thread of its own: others go on. */
static void test_tls_vouching_holds_nobody_up(void **state)
{
    struct raft_message message;
    (void)state;
    start_both();
    size_t vouched = vouched_at_rest(&two);
    assert_true(vouched >= 2);
    two.vouch_ms = 2500;
    peer_ask_lease_renew(one.peer, TWO, 1, 10000, on_ttl, NULL); /* a new connection */
    usleep(200000);
    for (uint64_t i = 1; i <= 50; i++) {
        message = heartbeat(TWO, ONE, i);
        peer_send(one.peer, &message, 1);
    }
    assert_true(node_await_heard(&two, 50));
    assert_int_equal(atomic_load(&two.vouched), vouched); /* still at it */
    await_answer();
    assert_int_equal(answered.err.code, ERR_OK);
}

static void test_tls_nobody_comes_in_unvouched(void **state)
{
    (void)state;
    two.is_vouch_no = true;
    node_start(&one, CLUSTER);
    node_start(&two, CLUSTER);
    node_knows(&one, &two);
    usleep(500000);
    assert_int_equal(peer_active_since_ms(one.peer, TWO), 0);
    assert_true(atomic_load(&two.vouched) >= 2);
}

static void test_tls_plain_client_is_refused(void **state)
{
    struct peer_question question = {"GET", "/version", {0}, NULL, 1024, 3000};
    struct peer_fetched got;
    struct why why;
    (void)state;
    node_start(&two, CLUSTER);
    struct http_dialing dialing = {.tls = node_client_tls, .arg = &two};
    assert_false(err_is(peer_fetch(two.url, &question, &dialing, &got, &why)));
    buf_fini(&got.body);
    assert_int_equal(got.status, 200);
    char *plain = mem_printf("http%s", two.url + strlen("https"));
    assert_true(err_is(peer_fetch(plain, &question, NULL, &got, &why)));
    assert_true(err_is(peer_fetch(two.url, &question, NULL, &got, &why)));
    assert_non_null(strstr(why.text, "certificate"));
    free(plain);
}

#define PLAIN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define TLS(test) cmocka_unit_test_setup_teardown(test, setup_tls, teardown_tls)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAIN(test_messages_go_both_ways),
        PLAIN(test_heartbeats_do_not_wait_behind_appends),
        PLAIN(test_nobody_there_is_reported),
        PLAIN(test_streams_are_dialed_again),
        PLAIN(test_another_cluster_is_refused),
        PLAIN(test_a_removed_member_is_told),
        PLAIN(test_a_stranger_is_heard_and_answered),
        PLAIN(test_a_snapshot_arrives_whole),
        PLAIN(test_a_broken_snapshot_leaves_nothing),
        PLAIN(test_a_database_that_does_not_fit_is_refused),
        PLAIN(test_rows_arrive_instead_of_a_database),
        PLAIN(test_rows_of_another_format_are_not_sent),
        PLAIN(test_members_without_rows_get_a_database),
        PLAIN(test_broken_rows_leave_nothing),
        PLAIN(test_rows_that_do_not_fit_are_refused),
        PLAIN(test_leases_are_asked),
        PLAIN(test_the_others_are_asked),
        PLAIN(test_questions_to_nobody_are_answered),
        PLAIN(test_fetch_blocks_for_an_answer),
        TLS(test_tls_carries_everything),
        TLS(test_tls_contexts_are_asked_anew),
        TLS(test_tls_server_for_another_host_is_refused),
        TLS(test_tls_server_of_another_name_is_refused),
        TLS(test_tls_a_silent_stream_is_given_up),
        TLS(test_tls_a_stream_says_something_in_time),
        TLS(test_tls_vouching_holds_nobody_up),
        TLS(test_tls_nobody_comes_in_unvouched),
        TLS(test_tls_plain_client_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
