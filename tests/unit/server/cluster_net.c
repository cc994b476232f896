/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024 };

static uint64_t roll(struct net *net)
{
    net->seed = net->seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return net->seed >> 33;
}

static struct node *find(struct cluster *cluster, uint64_t id)
{
    for (size_t i = 0; i < cluster->count; i++) {
        if (cluster->nodes[i].id == id) {
            return &cluster->nodes[i];
        }
    }
    return NULL;
}

static bool is_lost(struct net *net, size_t from, size_t to)
{
    bool is_unlucky = net->loss_percent && roll(net) % 100 < (uint64_t)net->loss_percent;
    return net->is_cut[from][to] || is_unlucky;
}

/* What a peer's writer says when its connection is broken. */
static void report_lost(struct node *from, struct raft_message *message)
{
    if (message->type == RAFT_MSG_SNAP) {
        server_report_snapshot(from->server, message->to, false);
    } else {
        server_report_unreachable(from->server, message->to);
    }
    raft_message_fini(message);
}

static void send(void *arg, struct raft_message *messages, size_t count)
{
    struct node *node = arg;
    struct net *net = &node->cluster->net;
    struct node *was = cluster_as(node->cluster, NULL);
    pthread_mutex_lock(&net->mutex);
    for (size_t i = 0; i < count; i++) {
        struct node *to = find(node->cluster, messages[i].to);
        if (!to || is_lost(net, node->place, to->place)) {
            report_lost(node, &messages[i]);
        } else {
            struct parcel *parcel = mem_new(sizeof(*parcel));
            parcel->from = node->place;
            parcel->to = to->place;
            parcel->message = messages[i];
            parcel->due_ms = clock_mono_ms() + net->delay_ms;
            list_push(&net->parcels, &parcel->node);
        }
        messages[i] = (struct raft_message){0};
    }
    pthread_cond_signal(&net->cond);
    pthread_mutex_unlock(&net->mutex);
    cluster_as(node->cluster, was);
}

static void change(void *arg, uint64_t id, const char *const *peer_urls, size_t count)
{
    struct node *node = arg;
    assert_true(id != node->id);
    assert_true(count > 0 && peer_urls[0][0]);
}

static void drop(void *arg, uint64_t id)
{
    assert_true(id != ((struct node *)arg)->id);
}

static int64_t active_since_ms(void *arg, uint64_t id)
{
    struct node *node = arg;
    struct net *net = &node->cluster->net;
    pthread_mutex_lock(&net->mutex);
    struct node *other = find(node->cluster, id);
    bool is_cut = !other || net->is_cut[node->place][other->place] || !net->is_up[other->place] ||
                  !net->is_up[node->place];
    int64_t since_ms = is_cut ? 0 : net->since_ms[other->place];
    pthread_mutex_unlock(&net->mutex);
    return since_ms;
}

static int64_t refused_since_ms(void *arg, uint64_t id)
{
    struct node *node = arg;
    struct net *net = &node->cluster->net;
    pthread_mutex_lock(&net->mutex);
    struct node *other = find(node->cluster, id);
    int64_t since_ms = other ? net->refused_ms[other->place] : 0;
    pthread_mutex_unlock(&net->mutex);
    return since_ms;
}

struct server_transport net_transport(struct node *node)
{
    return (struct server_transport){
        send, change, change, drop, active_since_ms, refused_since_ms, node};
}

struct net_renewal {
    struct server_renewal renewal;
    void (*done)(void *done_arg, struct err err, int64_t ttl_s);
    void *done_arg;
};

static void renewed(struct server_renewal *renewal)
{
    struct net_renewal *asked = CONTAINER_OF(renewal, struct net_renewal, renewal);
    asked->done(asked->done_arg, renewal->err, renewal->ttl_s);
    free(asked);
}

/* Answers what the other does, if it can be reached. */
static void ask_renew(void *arg, uint64_t leader, int64_t id, int64_t timeout_ms,
    void (*done)(void *done_arg, struct err err, int64_t ttl_s), void *done_arg)
{
    struct node *node = arg;
    struct net *net = &node->cluster->net;
    struct net_renewal *asked = mem_new(sizeof(*asked));
    *asked = (struct net_renewal){
        {.id = id, .err = ERR(TIMEDOUT), .done = renewed}, .done = done, .done_arg = done_arg};
    bool is_there = false;
    (void)timeout_ms;
    pthread_mutex_lock(&net->mutex);
    struct node *other = find(node->cluster, leader);
    if (other && net->is_up[other->place] && !net->is_cut[node->place][other->place]) {
        struct node *was = cluster_as(node->cluster, other);
        is_there = true;
        server_renew(other->server, &asked->renewal);
        cluster_as(node->cluster, was);
    }
    pthread_mutex_unlock(&net->mutex);
    if (!is_there) {
        renewed(&asked->renewal);
    }
}

static void ask_look(void *arg, uint64_t leader, int64_t id, bool with_keys, int64_t timeout_ms,
    void (*done)(void *done_arg, struct err err, const struct server_lease *lease), void *done_arg)
{
    struct node *node = arg;
    struct net *net = &node->cluster->net;
    struct server_lease lease = {0};
    struct err err = ERR(TIMEDOUT);
    struct arena *arena = arena_new(0);
    (void)timeout_ms;
    pthread_mutex_lock(&net->mutex);
    struct node *other = find(node->cluster, leader);
    if (other && net->is_up[other->place] && !net->is_cut[node->place][other->place]) {
        struct lease_info info = {0};
        struct slice *keys = NULL;
        struct node *was = cluster_as(node->cluster, other);
        err = lease_look(other->storage.leases, id, clock_mono_ms(), arena, &info,
            with_keys ? &keys : NULL, &lease.keys_count);
        cluster_as(node->cluster, was);
        lease.ttl_s = info.remaining_s;
        lease.granted_s = info.granted_s;
        lease.keys = keys;
    }
    pthread_mutex_unlock(&net->mutex);
    done(done_arg, err, &lease);
    arena_free(arena);
}

static void ask_versions(void *arg,
    void (*done)(void *done_arg, const char *const *versions, size_t count), void *done_arg)
{
    struct node *node = arg;
    const char *versions[NODES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < node->cluster->count; i++) {
        if (i != node->place) {
            versions[count++] = node->cluster->net.versions[i];
        }
    }
    done(done_arg, versions, count);
}

struct server_asking net_asking(struct node *node)
{
    return (struct server_asking){ask_renew, ask_look, ask_versions, node};
}

/* The export as the receiver's file. */
static void copy_export(
    struct node *to, struct snapshot_export *export, const struct raft_snapshot *snapshot)
{
    static uint8_t chunk[CHUNK];
    char path[160];
    size_t got = 1;
    snprintf(path, sizeof(path), "%s/%016llx.snap.db", to->storage.snap_dir,
        (unsigned long long)snapshot->meta.index);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    while (got) {
        assert_false(err_is(snapshot_export_read(export, chunk, sizeof(chunk), &got, NULL)));
        assert_int_equal(fwrite(chunk, 1, got, file), got);
    }
    fclose(file);
}

static void copy_rows(
    struct node *to, struct snapshot_export *export, const struct raft_snapshot *snapshot)
{
    static uint8_t chunk[CHUNK];
    size_t got = 1;
    struct snapshot_refill *refill = snapshot_refill_new(
        disk_real(), to->storage.snap_dir, snapshot->meta.index, mvcc_check_row);
    while (got) {
        assert_false(err_is(snapshot_export_read(export, chunk, sizeof(chunk), &got, NULL)));
        assert_false(err_is(snapshot_refill_take(refill, slice_of(chunk, got), NULL)));
    }
    assert_false(err_is(snapshot_refill_end(refill, NULL)));
    snapshot_refill_free(refill, false);
}

struct received {
    struct storage *storage;
    const struct raft_snapshot *snapshot;
};

static struct err check_received(void *arg, struct backend *store, struct why *why)
{
    struct received *received = arg;
    return storage_check_received(received->storage, received->snapshot, store, why);
}

static void copy_files(
    struct node *to, struct snapshot_export *export, const struct raft_snapshot *snapshot)
{
    struct why why = {""};
    struct received received = {&to->storage, snapshot};
    struct snapshot_check check = {check_received, &received};
    static uint8_t chunk[CHUNK];
    size_t got = 1;
    struct snapshot_unpack *unpack =
        snapshot_unpack_new(disk_real(), to->storage.snap_dir, &snapshot->meta);
    while (got) {
        assert_false(err_is(snapshot_export_read(export, chunk, sizeof(chunk), &got, NULL)));
        assert_false(err_is(snapshot_unpack_take(unpack, slice_of(chunk, got), NULL)));
    }
    if (err_is(snapshot_unpack_end(unpack, &check, &why))) {
        fail_msg("%s", why.text);
    }
    snapshot_unpack_free(unpack, false);
}

static void (*const copy_as[])(
    struct node *to, struct snapshot_export *export, const struct raft_snapshot *snapshot) = {
    [SNAPSHOT_DATABASE] = copy_export, [SNAPSHOT_ROWS] = copy_rows, [SNAPSHOT_FILES] = copy_files};

/* Without the mutex: the sender's core must be able to send meanwhile. */
static void deliver_snapshot(struct node *from, struct node *to, struct raft_message *message)
{
    struct net *net = &from->cluster->net;
    struct snapshot_export *export = NULL;
    struct why why = {""};
    uint64_t id = message->to;
    net->busy[from->place]++;
    net->busy[to->place]++;
    pthread_mutex_unlock(&net->mutex);
    struct snapshot_order order = {.best = from->cluster->form};
    bool is_ok = !err_is(storage_snapshot_message(&from->storage, message, &order, &export, &why));
    if (is_ok) {
        assert_int_equal(snapshot_export_form(export), from->cluster->form);
        copy_as[from->cluster->form](to, export, message->snapshot);
        server_receive_snapshot(to->server, message, NULL, NULL);
        snapshot_export_close(export);
    }
    server_report_snapshot(from->server, id, is_ok);
    pthread_mutex_lock(&net->mutex);
    net->snapshots[to->place] += is_ok;
    net->busy[from->place]--;
    net->busy[to->place]--;
    pthread_cond_broadcast(&net->idle);
}

static void deliver(struct cluster *cluster, struct parcel *parcel)
{
    struct net *net = &cluster->net;
    struct node *from = &cluster->nodes[parcel->from];
    struct node *to = &cluster->nodes[parcel->to];
    bool is_snapshot = parcel->message.type == RAFT_MSG_SNAP;
    if (!net->is_up[parcel->from]) {
        raft_message_fini(&parcel->message);
    } else if (!net->is_up[parcel->to]) {
        report_lost(from, &parcel->message);
    } else if (member_is_removed(to->storage.members, from->id)) {
        atomic_store(&from->is_gone, true);
        raft_message_fini(&parcel->message);
    } else if (is_snapshot) {
        deliver_snapshot(from, to, &parcel->message);
        raft_message_fini(&parcel->message);
    } else {
        server_receive(to->server, &parcel->message);
        net->delivered[parcel->to]++;
    }
    free(parcel);
}

static struct parcel *next_due(struct net *net, int64_t now_ms)
{
    if (list_is_empty(&net->parcels)) {
        return NULL;
    }
    struct parcel *parcel = LIST_ITEM(net->parcels.next, struct parcel, node);
    if (parcel->due_ms > now_ms) {
        return NULL;
    }
    list_remove(&parcel->node);
    return parcel;
}

static void *run(void *arg)
{
    struct cluster *cluster = CONTAINER_OF(arg, struct cluster, net);
    struct net *net = arg;
    pthread_mutex_lock(&net->mutex);
    while (!net->is_ending) {
        struct parcel *parcel = next_due(net, clock_mono_ms());
        if (parcel) {
            deliver(cluster, parcel);
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (list_is_empty(&net->parcels)) {
            pthread_cond_wait(&net->cond, &net->mutex);
        } else {
            pthread_cond_timedwait(&net->cond, &net->mutex, &until);
        }
    }
    pthread_mutex_unlock(&net->mutex);
    return NULL;
}

void net_start(struct net *net)
{
    pthread_mutex_init(&net->mutex, NULL);
    pthread_cond_init(&net->cond, NULL);
    pthread_cond_init(&net->idle, NULL);
    list_init(&net->parcels);
    net->seed = 1;
    assert_int_equal(pthread_create(&net->thread, NULL, run, net), 0);
}

void net_stop(struct net *net)
{
    struct list *node;
    pthread_mutex_lock(&net->mutex);
    net->is_ending = true;
    pthread_cond_signal(&net->cond);
    pthread_mutex_unlock(&net->mutex);
    pthread_join(net->thread, NULL);
    while ((node = list_pop(&net->parcels))) {
        struct parcel *parcel = LIST_ITEM(node, struct parcel, node);
        raft_message_fini(&parcel->message);
        free(parcel);
    }
    pthread_mutex_destroy(&net->mutex);
    pthread_cond_destroy(&net->cond);
    pthread_cond_destroy(&net->idle);
}

void net_name(struct node *node, uint64_t id)
{
    struct net *net = &node->cluster->net;
    pthread_mutex_lock(&net->mutex);
    node->id = id;
    pthread_mutex_unlock(&net->mutex);
}

void net_up(struct node *node, bool is_up)
{
    struct net *net = &node->cluster->net;
    pthread_mutex_lock(&net->mutex);
    net->is_up[node->place] = is_up;
    net->since_ms[node->place] = clock_mono_ms();
    while (!is_up && net->busy[node->place]) {
        pthread_cond_wait(&net->idle, &net->mutex);
    }
    pthread_mutex_unlock(&net->mutex);
}

uint64_t net_delivered(struct node *node)
{
    struct net *net = &node->cluster->net;
    pthread_mutex_lock(&net->mutex);
    uint64_t count = net->delivered[node->place];
    pthread_mutex_unlock(&net->mutex);
    return count;
}

void net_cut(struct cluster *cluster, size_t a, size_t b, bool is_cut)
{
    struct net *net = &cluster->net;
    pthread_mutex_lock(&net->mutex);
    net->is_cut[a][b] = net->is_cut[b][a] = is_cut;
    pthread_mutex_unlock(&net->mutex);
}

void net_isolate(struct cluster *cluster, size_t node, bool is_cut)
{
    for (size_t i = 0; i < cluster->count; i++) {
        if (i != node) {
            net_cut(cluster, node, i, is_cut);
        }
    }
}

void net_spoil(struct cluster *cluster, int delay_ms, int loss_percent)
{
    struct net *net = &cluster->net;
    pthread_mutex_lock(&net->mutex);
    net->delay_ms = delay_ms;
    net->loss_percent = loss_percent;
    pthread_mutex_unlock(&net->mutex);
}
