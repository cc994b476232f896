/* SPDX-License-Identifier: Apache-2.0 */
#include "node.h"

#include "base/clock.h"
#include "base/mem.h"
#include "peer/remote.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

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

static struct err give_keys(void *arg, struct snapshot_export *export, struct why *why)
{
    const struct node *node = arg;
    uint8_t *value = mem_new(1 << 16);
    struct err err = OK;
    for (int64_t i = 1; i * (1 << 16) <= (int64_t)node->export_bytes && !err_is(err); i++) {
        struct snapshot_key key = {.main = i, .key = SLICE("k"), .value = slice_of(value, 1 << 16)};
        key.create = key.mod = i;
        key.version = 1;
        err = snapshot_export_key(export, &key, why);
    }
    free(value);
    return err;
}

static struct err open_database(
    struct node *node, uint64_t index, struct snapshot_export **out, struct why *why)
{
    struct snapshot_export *export;
    TRY(snapshot_export_open(disk_real(), node->snap_dir, &export, why));
    snapshot_export_index(export, index, 1);
    struct err err = snapshot_export_finish(export, give_keys, node, why);
    if (err_is(err)) {
        snapshot_export_close(export);
        return err;
    }
    *out = export;
    return OK;
}

void node_add_database(struct node *node, struct buf *out)
{
    struct snapshot_export *export;
    uint8_t piece[4096];
    size_t got;
    assert_false(err_is(open_database(node, 1, &export, NULL)));
    do {
        assert_false(err_is(snapshot_export_read(export, piece, sizeof(piece), &got, NULL)));
        buf_add(out, piece, got);
    } while (got);
    snapshot_export_close(export);
}

static void wait_while(const atomic_bool *is_held)
{
    int64_t deadline = clock_mono_ms() + NODE_WAIT_MS;
    while (atomic_load(is_held) && clock_mono_ms() < deadline) {
        usleep(1000);
    }
}

/* As one that walks over a large store. */
static bool hold_open(struct node *node, const struct snapshot_order *order)
{
    int64_t deadline = clock_mono_ms() + NODE_WAIT_MS;
    while (atomic_load(&node->is_open_held) && clock_mono_ms() < deadline) {
        if (order->is_over(order->arg)) {
            return false;
        }
        usleep(1000);
    }
    return true;
}

static struct err snapshot_open(void *arg, struct raft_message *message,
    const struct snapshot_order *order, struct snapshot_export **out, struct why *why)
{
    struct node *node = arg;
    atomic_fetch_add(&node->opening, 1);
    if (!hold_open(node, order)) {
        return ERR(STOPPED);
    }
    struct blob *data = blob_new(SLICE("{\"Root\":{}}"));
    struct err err = OK;
    if (order->best == SNAPSHOT_FILES) {
        err = snapshot_export_files(disk_real(), node->snap_dir, node->store, out, why);
    } else if (order->best == SNAPSHOT_ROWS) {
        *out = snapshot_export_rows(node->store, backend_snapshot_take(node->store));
    } else {
        err = open_database(node, message->snapshot->meta.index, out, why);
    }
    struct raft_snapshot *snapshot = raft_snapshot_new(&message->snapshot->meta, data);
    raft_snapshot_unref(message->snapshot);
    message->snapshot = snapshot;
    blob_unref(data);
    return err;
}

static struct err check_store(
    void *arg, const struct raft_snapshot *snapshot, struct backend *store, struct why *why)
{
    const struct node *node = arg;
    assert_non_null(store);
    assert_true(slice_eq(blob_slice(snapshot->data), SLICE("{\"Root\":{}}")));
    return node->is_store_refused ? why_set(why, ERR(BAD_FORMAT), "not such a store") : OK;
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

static struct err vouch(X509 *cert, const char *ip, void *arg, struct why *why)
{
    struct node *node = arg;
    atomic_fetch_add(&node->vouching, 1);
    wait_while(&node->is_vouch_held);
    bool is_good = !node->is_vouch_no && cert && strcmp(ip, "127.0.0.1") == 0;
    return is_good ? OK : why_set(why, ERR(DENIED), "from elsewhere");
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
        .files_format = node->files_format,
        .dialing = {.tls = node->client_context ? node_client_tls : NULL,
            .admit = node->admit,
            .arg = node,
            .local_address = node->local_address,
            .dial_ms = NODE_WAIT_MS},
        .read_ms = node->read_ms ? node->read_ms : NODE_WAIT_MS,
        .write_ms = node->write_ms ? node->write_ms : NODE_WAIT_MS,
        .progress_ms = node->progress_ms ? node->progress_ms : NODE_WAIT_MS,
        .arg = node,
        .receive = receive,
        .report_unreachable = report_unreachable,
        .report_snapshot = report_snapshot,
        .receive_snapshot = receive_snapshot,
        .check_store = check_store,
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
    struct timeval timeout = {NODE_WAIT_MS / 1000, 0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(getsockname(node->listen_fd, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    return fd;
}

/* Waiting. */

bool node_await_until(bool (*is_so)(void *arg), void *arg)
{
    int64_t deadline = clock_mono_ms() + NODE_WAIT_MS;
    while (!is_so(arg)) {
        if (clock_mono_ms() > deadline) {
            return false;
        }
        usleep(2000);
    }
    return true;
}

struct active_wait {
    struct node *node;
    uint64_t id;
    bool is_active;
};

static bool is_as_active(void *arg)
{
    const struct active_wait *wait = arg;
    return (peer_active_since_ms(wait->node->peer, wait->id) != 0) == wait->is_active;
}

bool node_await_active(struct node *node, uint64_t id, bool is_active)
{
    return node_await_until(is_as_active, &(struct active_wait){node, id, is_active});
}

struct count_wait {
    struct node *node;
    const size_t *what;
    size_t at_least;
};

static bool is_counted(void *arg)
{
    const struct count_wait *wait = arg;
    pthread_mutex_lock(&wait->node->mutex);
    bool is_there = *wait->what >= wait->at_least;
    pthread_mutex_unlock(&wait->node->mutex);
    return is_there;
}

bool node_has(const size_t *what, struct node *node, size_t at_least)
{
    return is_counted(&(struct count_wait){node, what, at_least});
}

bool node_await(const size_t *what, struct node *node, size_t at_least)
{
    return node_await_until(is_counted, &(struct count_wait){node, what, at_least});
}

bool node_await_heard(struct node *node, size_t count_wanted)
{
    return node_await(&node->heard_count, node, count_wanted);
}

struct atomic_wait {
    const atomic_size_t *what;
    size_t at_least;
};

static bool is_counted_atomic(void *arg)
{
    const struct atomic_wait *wait = arg;
    return atomic_load(wait->what) >= wait->at_least;
}

bool node_await_atomic(const atomic_size_t *what, size_t at_least)
{
    return node_await_until(is_counted_atomic, &(struct atomic_wait){what, at_least});
}

/* A look at a remote, on the thread that may. */
struct look {
    struct http_task task;
    struct node *node;
    uint64_t id;
    const char *words;
    bool has_streams;
    bool is_heard;   /* on one of them at least */
    bool is_refused; /* with these words */
    atomic_bool is_done;
};

static void run_look(struct http_task *task)
{
    struct look *look = CONTAINER_OF(task, struct look, task);
    struct remote *remote = remote_find(look->node->peer, look->id);
    look->is_heard = false;
    look->has_streams = look->is_refused = remote && remote->is_member;
    for (size_t i = 0; remote && remote->is_member && i < COUNT_OF(remote->readers); i++) {
        const struct reader *reader = &remote->readers[i];
        bool is_heard = writer_is_attached(&remote->writers[i]);
        bool stands = reader->is_reading && is_heard;
        look->is_heard = look->is_heard || is_heard;
        look->has_streams = look->has_streams && stands;
        look->is_refused =
            look->is_refused && look->words && reader->said[0] && strstr(reader->said, look->words);
    }
    atomic_store(&look->is_done, true);
}

static void look_at(struct look *look)
{
    look->task.run = run_look;
    atomic_store(&look->is_done, false);
    http_run(peer_http(look->node->peer), &look->task);
    while (!atomic_load(&look->is_done)) {
        usleep(1000);
    }
}

static bool has_streams(void *arg)
{
    struct look *look = arg;
    look_at(look);
    return look->has_streams;
}

bool node_await_streams(struct node *node, uint64_t id)
{
    return node_await_until(has_streams, &(struct look){.node = node, .id = id});
}

static bool is_silent(void *arg)
{
    struct look *look = arg;
    look_at(look);
    return !look->is_heard;
}

bool node_await_silence(struct node *node, uint64_t id)
{
    return node_await_until(is_silent, &(struct look){.node = node, .id = id});
}

static bool is_refused(void *arg)
{
    struct look *look = arg;
    look_at(look);
    return look->is_refused;
}

bool node_await_refusals(struct node *node, uint64_t id, const char *words)
{
    return node_await_until(is_refused, &(struct look){.node = node, .id = id, .words = words});
}

bool node_has_files(const struct node *node)
{
    struct disk_names names;
    assert_false(err_is(disk_list(disk_real(), node->snap_dir, &names, NULL)));
    bool has = names.count > 0;
    disk_names_fini(&names);
    return has;
}

static bool has_files(void *arg)
{
    return node_has_files(arg);
}

static bool has_no_files(void *arg)
{
    return !node_has_files(arg);
}

bool node_await_snap_dir(struct node *node, bool is_empty)
{
    return node_await_until(is_empty ? has_no_files : has_files, node);
}
