/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

#include "base/clock.h"
#include "base/mem.h"
#include "peer/inner.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 15000 };

static void receive(void *arg, struct raft_message *message)
{
    struct node *node = arg;
    pthread_mutex_lock(&node->mutex);
    if (node->heard_count < NODE_HEARD_MAX) {
        node->heard[node->heard_count++] = *message;
    } else {
        raft_message_fini(message);
    }
    pthread_mutex_unlock(&node->mutex);
}

static void count(struct node *node, size_t *what)
{
    pthread_mutex_lock(&node->mutex);
    (*what)++;
    pthread_mutex_unlock(&node->mutex);
}

static void report_unreachable(void *arg, uint64_t id)
{
    struct node *node = arg;
    (void)id;
    count(node, &node->unreachable);
}

static void report_snapshot(void *arg, uint64_t id, bool is_ok)
{
    struct node *node = arg;
    (void)id;
    count(node, is_ok ? &node->snapshots_ok : &node->snapshots_failed);
}

static void receive_snapshot(
    void *arg, struct raft_message *message, const char *path, struct peer_call *call)
{
    struct node *node = arg;
    pthread_mutex_lock(&node->mutex);
    free(node->snapshot_path);
    node->snapshot_path = mem_strdup(path);
    pthread_mutex_unlock(&node->mutex);
    receive(node, message);
    *message = (struct raft_message){0};
    peer_snapshot_taken(call, OK);
}

static struct err give_keys(void *arg, struct snap_export *export, struct why *why)
{
    const struct node *node = arg;
    uint8_t *value = mem_new(1 << 16);
    struct err err = OK;
    for (int64_t i = 1; i * (1 << 16) <= (int64_t)node->export_bytes && !err_is(err); i++) {
        struct snap_key key = {.main = i, .key = SLICE("k"), .value = slice_of(value, 1 << 16)};
        key.create = key.mod = i;
        key.version = 1;
        err = snap_export_key(export, &key, why);
    }
    free(value);
    return err;
}

static struct err open_database(
    struct node *node, uint64_t index, struct snap_export **out, struct why *why)
{
    struct snap_export *export;
    TRY(snap_export_open(disk_real(), node->snap_dir, &export, why));
    snap_export_index(export, index, 1);
    struct err err = snap_export_finish(export, give_keys, node, why);
    if (err_is(err)) {
        snap_export_close(export);
        return err;
    }
    *out = export;
    return OK;
}

static struct err snapshot_open(void *arg, struct raft_message *message, bool as_rows,
    struct snap_export **out, struct why *why)
{
    struct node *node = arg;
    struct blob *data = blob_new(SLICE("{\"Root\":{}}"));
    struct err err = OK;
    if (as_rows) {
        *out = snap_export_rows(node->store, backend_snapshot_take(node->store));
    } else {
        err = open_database(node, message->snapshot->meta.index, out, why);
    }
    struct raft_snapshot *snapshot = raft_snapshot_new(&message->snapshot->meta, data);
    raft_snapshot_unref(message->snapshot);
    message->snapshot = snapshot;
    blob_unref(data);
    return err;
}

static bool is_removed(void *arg, uint64_t id)
{
    struct node *node = arg;
    pthread_mutex_lock(&node->mutex);
    bool is = id && id == node->removed_id;
    pthread_mutex_unlock(&node->mutex);
    return is;
}

static void on_self_removed(void *arg)
{
    struct node *node = arg;
    count(node, &node->removed_told);
}

/* What is asked is answered by what the question says, so that a test sees both. */

static void members(void *arg, struct peer_call *call)
{
    (void)arg;
    peer_answer_members(call, SLICE("[{\"id\":1}]"));
}

static void version(void *arg, struct peer_call *call)
{
    (void)arg;
    peer_answer_version(call, "3.6.0", NULL);
}

static void downgrade_enabled(void *arg, struct peer_call *call)
{
    (void)arg;
    peer_answer_downgrade_enabled(call, OK, true);
}

static void promote(void *arg, uint64_t id, struct peer_call *call)
{
    (void)arg;
    struct err err = id == 404   ? ERR(MEMBER_NOT_FOUND)
                     : id == 412 ? ERR(LEARNER_NOT_READY)
                     : id == 413 ? ERR(MEMBER_NOT_LEARNER)
                                 : OK;
    peer_answer_promote(call, err, SLICE("[{\"id\":2}]"));
}

static void hash(void *arg, int64_t revision, struct peer_call *call)
{
    (void)arg;
    struct peer_hash answer = {7, 0xfedcba98, -1, revision};
    struct err err = revision == 1 ? ERR(COMPACTED) : revision == 99 ? ERR(FUTURE_REV) : OK;
    peer_answer_hash(call, err, &answer);
}

static struct err lease_err(int64_t id)
{
    return id == 404   ? ERR(LEASE_NOT_FOUND)
           : id == 408 ? ERR(TIMEDOUT)
           : id == 500 ? ERR(NOT_LEADER)
                       : OK;
}

static void lease_renew(void *arg, int64_t id, struct peer_call *call)
{
    (void)arg;
    peer_answer_lease_renew(call, lease_err(id), 60);
}

static void lease_ttl(void *arg, int64_t id, bool with_keys, struct peer_call *call)
{
    static const struct slice keys[] = {{(const uint8_t *)"a", 1}, {(const uint8_t *)"bc", 2}};
    struct peer_lease lease = {id, 30, 60, keys, with_keys ? 2 : 0};
    (void)arg;
    peer_answer_lease_ttl(call, lease_err(id), &lease);
}

static SSL_CTX *server_tls(void *arg)
{
    struct node *node = arg;
    SSL_CTX_up_ref(node->server_context);
    return node->server_context;
}

SSL_CTX *node_client_tls(void *arg)
{
    struct node *node = arg;
    atomic_fetch_add(&node->contexts_asked, 1);
    SSL_CTX_up_ref(node->client_context);
    return node->client_context;
}

static bool vouch(X509 *cert, const char *ip, void *arg)
{
    struct node *node = arg;
    usleep(node->vouch_ms * 1000);
    atomic_fetch_add(&node->vouched, 1);
    return !node->is_vouch_no && cert && strcmp(ip, "127.0.0.1") == 0;
}

static void *accept_all(void *arg)
{
    struct node *node = arg;
    int fd;
    while ((fd = accept(node->listen_fd, NULL, NULL)) >= 0) {
        http_adopt(peer_http(node->peer), &node->site, fd, "test");
    }
    return NULL;
}

void node_init(struct node *node, uint64_t id, bool is_tls)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    memset(node, 0, sizeof(*node));
    node->id = id;
    pthread_mutex_init(&node->mutex, NULL);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    node->listen_fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(node->listen_fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(node->listen_fd, (struct sockaddr *)&address, &size), 0);
    snprintf(node->url, sizeof(node->url), "%s://127.0.0.1:%u", is_tls ? "https" : "http",
        ntohs(address.sin_port));
    node->urls[0] = node->url;
    snprintf(node->snap_dir, sizeof(node->snap_dir), "/tmp/unit_peer_XXXXXX");
    assert_non_null(mkdtemp(node->snap_dir));
}

void node_start(struct node *node, uint64_t cluster_id)
{
    struct peer_options options = {
        .self_id = node->id,
        .cluster_id = cluster_id,
        .peer_urls = node->urls,
        .peer_urls_count = 1,
        .disk = node->disk ? node->disk : disk_real(),
        .snap_dir = node->snap_dir,
        .rows_format = node->rows_format,
        .dialing = {.tls = node->client_context ? node_client_tls : NULL,
            .admit = node->admit,
            .arg = node,
            .local_address = node->local_address},
        .read_ms = node->read_ms,
        .arg = node,
        .receive = receive,
        .report_unreachable = report_unreachable,
        .report_snapshot = report_snapshot,
        .receive_snapshot = receive_snapshot,
        .snapshot_open = snapshot_open,
        .is_removed = is_removed,
        .on_self_removed = on_self_removed,
        .members = members,
        .version = version,
        .downgrade_enabled = downgrade_enabled,
        .promote = promote,
        .hash = hash,
        .lease_renew = lease_renew,
        .lease_ttl = lease_ttl,
    };
    node->peer = peer_new(&options);
    node->site = (struct http_site){.serve = peer_serve, .arg = node->peer, .tls_arg = node};
    node->site.tls = node->server_context ? server_tls : NULL;
    node->site.vouch = vouch;
    assert_false(err_is(peer_start(node->peer, NULL)));
    assert_int_equal(listen(node->listen_fd, 64), 0);
    assert_int_equal(pthread_create(&node->acceptor, NULL, accept_all, node), 0);
}

void node_stop(struct node *node)
{
    if (node->peer) {
        shutdown(node->listen_fd, SHUT_RDWR);
        pthread_join(node->acceptor, NULL);
        peer_stop(node->peer);
        peer_free(node->peer);
    }
    close(node->listen_fd);
    for (size_t i = 0; i < node->heard_count; i++) {
        raft_message_fini(&node->heard[i]);
    }
    free(node->snapshot_path);
    assert_false(err_is(disk_remove_all(disk_real(), node->snap_dir, NULL)));
    pthread_mutex_destroy(&node->mutex);
}

void node_knows(struct node *node, const struct node *other)
{
    peer_add(node->peer, other->id, other->urls, 1);
}

int node_dial(const struct node *node)
{
    struct sockaddr_in address;
    socklen_t size = sizeof(address);
    struct timeval timeout = {WAIT_MS / 1000, 0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(getsockname(node->listen_fd, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    return fd;
}

bool node_await_active(struct node *node, uint64_t id, bool is_active)
{
    int64_t deadline = clock_mono_ms() + WAIT_MS;
    while ((peer_active_since_ms(node->peer, id) != 0) != is_active) {
        if (clock_mono_ms() > deadline) {
            return false;
        }
        usleep(2000);
    }
    return true;
}

bool node_await(const size_t *what, struct node *node, size_t at_least)
{
    int64_t deadline = clock_mono_ms() + WAIT_MS;
    for (;;) {
        pthread_mutex_lock(&node->mutex);
        bool is_there = *what >= at_least;
        pthread_mutex_unlock(&node->mutex);
        if (is_there || clock_mono_ms() > deadline) {
            return is_there;
        }
        usleep(2000);
    }
}

bool node_await_rows(struct node *node, uint64_t id)
{
    int64_t deadline = clock_mono_ms() + WAIT_MS;
    struct remote *remote = remote_find(node->peer, id); /* nobody changes the members meanwhile */
    while (!atomic_load(&remote->takes_rows)) {
        if (clock_mono_ms() > deadline) {
            return false;
        }
        usleep(2000);
    }
    return true;
}

bool node_await_heard(struct node *node, size_t count_wanted)
{
    return node_await(&node->heard_count, node, count_wanted);
}
