/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/mem.h"
#include "base/pb.h"
#include "server/parts.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

enum { FIELD_PUT = 4, FIELD_LEASE_GRANT = 8 };

struct node *cluster_as(struct cluster *cluster, struct node *node)
{
    return cluster->as ? cluster->as(node) : NULL;
}

static void on_fatal(void *arg, const char *what)
{
    atomic_fetch_add(&((struct node *)arg)->fatals, 1);
    fprintf(stderr, "%s: fatal: %s\n", ((struct node *)arg)->name, what);
}

static void on_removed(void *arg)
{
    atomic_fetch_add(&((struct node *)arg)->removals, 1);
}

static void add_members(const struct cluster *cluster, struct buf *out)
{
    buf_add_str(out, "--initial-cluster=");
    for (size_t i = 0; i < cluster->count; i++) {
        buf_printf(out, "%sn%zu=http://10.0.0.%zu:2380", i ? "," : "", i, i + 1);
    }
}

static void load_config(struct node *node)
{
    char program[] = "etcd";
    char beat[] = "--heartbeat-interval=40";
    char *environ_none[] = {NULL};
    struct config_notes notes = {0};
    struct why why = {""};
    struct buf cluster;
    buf_init(&cluster, 4096);
    add_members(node->cluster, &cluster);
    char *name = mem_printf("--name=%s", node->name);
    char *data_dir = mem_printf("--data-dir=%s", node->path);
    char *own = mem_printf("--initial-advertise-peer-urls=http://10.0.0.%zu:2380", node->place + 1);
    char *members = mem_strdup(buf_text(&cluster));
    char *election =
        mem_printf("--election-timeout=%lld", (long long)(TICK_MS * node->cluster->election_ticks));
    char *argv[] = {program, name, data_dir, own, members, beat, election, NULL};
    struct config_source source = {7, argv, environ_none, "/nonexistent", 0};
    struct err err = config_load(&source, &node->config, &notes, &why);
    config_notes_fini(&notes);
    buf_fini(&cluster);
    free(name);
    free(data_dir);
    free(own);
    free(members);
    free(election);
    if (err_is(err)) {
        fail_msg("%s", why.text);
    }
}

void cluster_init(struct cluster *cluster, size_t count)
{
    cluster_init_slow(cluster, count, ELECTION_TICKS);
}

void cluster_init_slow(struct cluster *cluster, size_t count, int64_t election_ticks)
{
    *cluster = (struct cluster){.count = count,
        .snapshot_count = 100000,
        .catch_up_entries = 5000,
        .election_ticks = election_ticks};
    snprintf(cluster->path, sizeof(cluster->path), "/tmp/ketcd-cluster-XXXXXX");
    assert_non_null(mkdtemp(cluster->path));
    net_start(&cluster->net);
    for (size_t i = 0; i < count; i++) {
        struct node *node = &cluster->nodes[i];
        node->cluster = cluster;
        node->place = i;
        cluster->net.versions[i] = "3.6.1";
        snprintf(node->name, sizeof(node->name), "n%zu", i);
        node->path = disk_path(cluster->path, node->name);
        load_config(node);
    }
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void cluster_fini(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++) {
        if (cluster->nodes[i].server) {
            node_crash(&cluster->nodes[i]);
        }
        config_fini(&cluster->nodes[i].config);
        free(cluster->nodes[i].path);
        assert_int_equal(atomic_load(&cluster->nodes[i].fatals), 0);
    }
    net_stop(&cluster->net);
    nftw(cluster->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void write_mark(struct storage *storage, uint64_t index)
{
    uint8_t mark[16] = {0};
    struct backend_batch *batch = backend_batch_new();
    put_be64(mark, index);
    backend_batch_put(batch, SLICE("minstalling"), slice_of(mark, sizeof(mark)));
    assert_false(err_is(backend_write(storage->backend, batch, NULL)));
    backend_batch_free(batch);
}

static struct err take_list(
    struct storage *storage, const struct raft_snapshot_meta *meta, struct why *why)
{
    struct snapshot_list list;
    struct backend *backend = storage->backend;
    assert_false(err_is(backend_clear(backend, SLICE("l"), SLICE("m"), why)));
    assert_false(err_is(backend_clear(backend, SLICE("d"), SLICE("e"), why)));
    assert_false(
        err_is(snapshot_list_read(storage->disk, storage->snap_dir, meta->index, &list, why)));
    struct err err = backend_take_files(backend, list.paths, list.count, why);
    snapshot_list_fini(&list);
    return err;
}

/* The old store is there too. */
static struct err take_folder(struct storage *storage, const char *folder, struct why *why)
{
    char *old = disk_path(storage->member_dir, "store.old");
    struct err err = backend_replace(storage->backend, folder, old, why);
    free(old);
    return err;
}

/* The list stays behind, its files do not. */
static struct err install_all_but_the_end(
    struct storage *storage, const struct raft_snapshot_meta *meta, struct why *why)
{
    char *folder = snapshot_files_folder(storage->disk, storage->snap_dir, meta->index);
    write_mark(storage, meta->index);
    assert_false(
        err_is(folder ? take_folder(storage, folder, why) : take_list(storage, meta, why)));
    free(folder);
    assert_false(err_is(backend_flush(storage->backend, why)));
    return why_set(why, ERR(IO), "told to fail");
}

/* One folder is away from the store's place, and the other not there yet. */
static void move_away(struct storage *storage)
{
    char *old = disk_path(storage->member_dir, "store.old");
    assert_false(err_is(backend_flush(storage->backend, NULL)));
    assert_false(err_is(disk_rename(storage->disk, storage->store_dir, old, NULL)));
    free(old);
}

/* Halfway the store holds neither the old state nor the new one. */
static struct err install(
    void *arg, const struct raft_snapshot_meta *meta, struct slice v2, struct why *why)
{
    struct storage *storage = arg;
    struct node *node = CONTAINER_OF(storage, struct node, storage);
    int fault;
    while ((fault = atomic_load(&node->install_fault)) == INSTALL_HELD) {
        atomic_store(&node->is_holding, true);
        usleep(1000);
    }
    if (fault == INSTALL_WELL) {
        return storage_install_snapshot(arg, meta, v2, why);
    }
    if (fault == CRASH_AFTER) {
        return install_all_but_the_end(storage, meta, why);
    }
    if (fault == CRASH_BETWEEN) {
        move_away(storage);
    }
    if (fault == CRASH_MIDWAY) {
        write_mark(storage, meta->index);
        assert_false(err_is(backend_clear(storage->backend, SLICE("l"), SLICE("m"), why)));
        assert_false(err_is(backend_flush(storage->backend, why)));
    }
    return why_set(why, ERR(IO), "told to fail");
}

void node_start(struct node *node)
{
    struct why why = {""};
    struct storage *s = &node->storage;
    struct node *was = cluster_as(node->cluster, node);
    struct err err = storage_open(s, &node->config, &why);
    if (err_is(err)) {
        fail_msg("%s: %s: %s", node->name, err_name(err), why.text);
    }
    net_name(node, member_self_id(s->members));
    struct server_options options = {.disk = s->disk,
        .raft = s->raft,
        .wal = s->wal,
        .backend = s->backend,
        .mvcc = s->mvcc,
        .leases = s->leases,
        .members = s->members,
        .hub = s->hub,
        .apply = s->apply,
        .snapshot_v2 = storage_snapshot_v2,
        .keep_snapshot = storage_keep_snapshot,
        .install_snapshot = install,
        .snapshot_arg = s,
        .transport = net_transport(node),
        .asking = net_asking(node),
        .snapshot_index = s->snapshot_index,
        .snapshot_count = node->cluster->snapshot_count,
        .catch_up_entries = node->cluster->catch_up_entries,
        .wals_max = 5,
        .tick_ms = TICK_MS,
        .election_ticks = node->cluster->election_ticks,
        .initial_tick_advance = node->cluster->initial_tick_advance,
        .tick_advance_ms = WAIT_MS,
        .max_request_bytes = 4096,
        .request_ms = 1200,
        .name = node->name,
        .on_fatal = on_fatal,
        .on_fatal_arg = node,
        .on_removed = on_removed,
        .on_removed_arg = node};
    if (node->cluster->tune) {
        node->cluster->tune(&options);
    }
    node->server = server_start(&options);
    s->server = node->server;
    cluster_as(node->cluster, was);
    net_up(node, true);
}

static void close_node(struct node *node)
{
    struct node *was = cluster_as(node->cluster, node);
    server_stop(node->server);
    server_free(node->server);
    storage_close(&node->storage, false);
    cluster_as(node->cluster, was);
    node->server = NULL;
}

void node_crash(struct node *node)
{
    net_up(node, false);
    close_node(node);
}

void node_stop(struct node *node)
{
    server_hand_over(node->server);
    net_up(node, false);
    close_node(node);
}

void cluster_start(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++) {
        node_start(&cluster->nodes[i]);
    }
}

bool node_is_at_rest(void *arg)
{
    struct node *node = arg;
    return atomic_load(&node->server->is_published) &&
           strcmp(member_cluster_version(node->storage.members), "not_decided") != 0;
}

bool wait_until(bool (*is_true)(void *arg), void *arg)
{
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    while (!is_true(arg)) {
        if (clock_mono_ms() > deadline_ms) {
            return false;
        }
        usleep(2000);
    }
    return true;
}

/* How many nodes that are up follow it. */
static size_t followers_of(struct cluster *cluster, uint64_t leader)
{
    size_t count = 0;
    for (size_t i = 0; i < cluster->count; i++) {
        struct server_status status = {0};
        if (cluster->nodes[i].server) {
            server_status_get(cluster->nodes[i].server, &status);
        }
        count += status.leader == leader;
    }
    return count;
}

static struct node *find_leader(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++) {
        struct server_status status = {0};
        struct node *node = &cluster->nodes[i];
        if (node->server) {
            server_status_get(node->server, &status);
        }
        if (status.is_leader && followers_of(cluster, node->id) > cluster->count / 2) {
            return node;
        }
    }
    return NULL;
}

static bool has_leader(void *arg)
{
    return find_leader(arg) != NULL;
}

struct node *cluster_leader(struct cluster *cluster)
{
    for (;;) {
        assert_true(wait_until(has_leader, cluster));
        struct node *leader = find_leader(cluster);
        if (leader) {
            return leader;
        }
    }
}

struct node *cluster_follower(struct cluster *cluster)
{
    struct node *leader = cluster_leader(cluster);
    for (size_t i = 1; i < cluster->count; i++) {
        struct node *node = &cluster->nodes[(leader->place + i) % cluster->count];
        if (node->server) {
            return node;
        }
    }
    fail_msg("no follower is up");
    return NULL;
}

static bool is_settled(void *arg)
{
    struct cluster *cluster = arg;
    uint64_t applied = 0;
    bool is_same = true;
    for (size_t i = 0; i < cluster->count; i++) {
        struct server_status status;
        if (!cluster->nodes[i].server) {
            continue;
        }
        server_status_get(cluster->nodes[i].server, &status);
        is_same = is_same && status.applied_index == status.commit_index &&
                  (applied == 0 || status.applied_index == applied);
        applied = status.applied_index;
    }
    return is_same;
}

void cluster_settle(struct cluster *cluster)
{
    assert_true(wait_until(is_settled, cluster));
}

bool cluster_agrees(struct cluster *cluster)
{
    struct mvcc_hash first = {0};
    bool is_same = true;
    bool has_first = false;
    cluster_settle(cluster);
    for (size_t i = 0; i < cluster->count; i++) {
        struct mvcc_hash hash;
        if (!cluster->nodes[i].server) {
            continue;
        }
        assert_false(err_is(mvcc_hash_kv(cluster->nodes[i].storage.mvcc, 0, &hash, NULL)));
        is_same = is_same && (!has_first || (hash.hash == first.hash && hash.rev == first.rev));
        first = hash;
        has_first = true;
    }
    return is_same;
}

static void proposed(struct server_proposal *proposal)
{
    atomic_fetch_add(&CONTAINER_OF(proposal, struct request, proposal)->dones, 1);
}

static void has_read(struct server_read *read)
{
    atomic_fetch_add(&CONTAINER_OF(read, struct request, read)->dones, 1);
}

static void propose(struct request *request, struct node *node)
{
    struct node *was = cluster_as(node->cluster, node);
    request->proposal.result.arena = request->arena;
    request->proposal.done = proposed;
    server_propose(node->server, &request->proposal);
    cluster_as(node->cluster, was);
}

void request_begin(
    struct request *request, struct node *node, uint32_t field, const ProtobufCMessage *message)
{
    *request = (struct request){.arena = arena_new(0)};
    request->proposal.field = field;
    request->proposal.username = node->cluster->username;
    request->proposal.auth_revision = auth_revision(node->storage.auth);
    request->proposal.request = pb_pack_arena(message, request->arena);
    propose(request, node);
}

void request_begin_conf(
    struct request *request, struct node *node, const struct raft_conf_change *change)
{
    *request = (struct request){.arena = arena_new(0)};
    request->proposal.conf = change;
    propose(request, node);
}

void request_begin_read(struct request *request, struct node *node)
{
    struct node *was = cluster_as(node->cluster, node);
    *request = (struct request){.arena = arena_new(0), .read.done = has_read};
    server_read_index(node->server, &request->read);
    cluster_as(node->cluster, was);
}

static void lease_asked(struct server_lease_ask *ask)
{
    atomic_fetch_add(&CONTAINER_OF(ask, struct request, lease)->dones, 1);
}

void request_begin_lease(struct request *request, struct node *node, int64_t id, bool is_look)
{
    struct node *was = cluster_as(node->cluster, node);
    *request = (struct request){.arena = arena_new(0)};
    request->lease = (struct server_lease_ask){
        .id = id, .is_look = is_look, .arena = request->arena, .done = lease_asked};
    server_lease_ask(node->server, &request->lease);
    cluster_as(node->cluster, was);
}

struct err request_wait(struct request *request)
{
    for (int i = 0; i < WAIT_MS && !atomic_load(&request->dones); i++) {
        usleep(1000);
    }
    assert_int_equal(atomic_load(&request->dones), 1); /* nobody waits for ever, nor hears twice */
    if (request->lease.done) {
        return request->lease.err;
    }
    return request->read.done ? request->read.err : request->proposal.result.err;
}

void request_fini(struct request *request)
{
    arena_free(request->arena);
}

static struct err call(struct node *node, uint32_t field, const ProtobufCMessage *message)
{
    struct request request;
    request_begin(&request, node, field, message);
    struct err err = request_wait(&request);
    request_fini(&request);
    return err;
}

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

struct err node_put(struct node *node, const char *key, const char *value, int64_t lease)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = bytes_of(key);
    put.value = bytes_of(value);
    put.lease = lease;
    return call(node, FIELD_PUT, &put.base);
}

void node_grant(struct node *node, int64_t id, int64_t ttl_s)
{
    Etcdserverpb__LeaseGrantRequest grant = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    struct err err = ERR(TIMEOUT);
    grant.id = id;
    grant.ttl = ttl_s;
    /* One that got no answer may have happened. */
    while (err_is(err) && !IS(err, LEASE_EXIST)) {
        assert_true(clock_mono_ms() < deadline_ms);
        err = call(node, FIELD_LEASE_GRANT, &grant.base);
    }
}

struct err node_ask_lease(struct node *node, int64_t id, bool is_look, struct server_lease *out)
{
    struct request request;
    request_begin_lease(&request, node, id, is_look);
    struct err err = request_wait(&request);
    *out = request.lease.lease;
    request_fini(&request);
    return err;
}

struct err node_get_serializable(struct node *node, const char *key, char out[64])
{
    struct mvcc_range_options options = {.key = slice_str(key)};
    struct mvcc_range_result result;
    struct arena *arena = arena_new(0);
    struct err err = mvcc_range(node->storage.mvcc, &options, arena, &result);
    if (!err_is(err)) {
        struct slice value = result.kvs_count ? result.kvs[0].value : (struct slice){0};
        snprintf(out, 64, "%.*s", (int)value.len, value.len ? (const char *)value.data : "");
    }
    arena_free(arena);
    return err;
}

struct err node_get(struct node *node, const char *key, char out[64])
{
    struct request request;
    request_begin_read(&request, node);
    struct err err = request_wait(&request);
    request_fini(&request);
    TRY(err);
    return node_get_serializable(node, key, out);
}

struct err node_change(struct node *node, enum raft_conf_change_type type, uint64_t id,
    const struct member *member, bool is_promote)
{
    struct request request;
    struct arena *arena = arena_new(0);
    struct raft_conf_change change = {.is_v1 = true, .changes = {{type, id}}, .changes_count = 1};
    if (member) {
        struct slice json = member_to_json(member, arena);
        char *text = mem_printf("%.*s%s", (int)json.len - 1, (const char *)json.data,
            is_promote ? ",\"isPromote\":true}" : "}");
        change.context = arena_dup(arena, slice_str(text));
        free(text);
    }
    request_begin_conf(&request, node, &change);
    struct err err = request_wait(&request);
    request_fini(&request);
    arena_free(arena);
    return err;
}

void cluster_put(struct cluster *cluster, const char *key, const char *value)
{
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    while (err_is(node_put(cluster_leader(cluster), key, value, 0))) {
        assert_true(clock_mono_ms() < deadline_ms);
    }
}
