/* SPDX-License-Identifier: Apache-2.0
 * What the cases about clusters share. */
#include "cluster_case.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <unistd.h>

int cluster_setup(void **state)
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    cluster_init(cluster, 3);
    cluster_start(cluster);
    *state = cluster;
    return 0;
}

int cluster_teardown(void **state)
{
    cluster_fini(*state);
    free(*state);
    return 0;
}

static void be_patient(struct server_options *options)
{
    options->request_ms = WAIT_MS;
}

int cluster_setup_patient(void **state)
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    cluster_init(cluster, 3);
    cluster->tune = be_patient;
    cluster_start(cluster);
    *state = cluster;
    return 0;
}

static int setup_small_log(void **state, enum snapshot_form form)
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    cluster_init(cluster, 3);
    cluster->form = form;
    cluster->snapshot_count = 20;
    cluster->catch_up_entries = 5;
    cluster_start(cluster);
    *state = cluster;
    return 0;
}

int cluster_setup_small_log(void **state)
{
    return setup_small_log(state, SNAPSHOT_DATABASE);
}

int cluster_setup_sending_rows(void **state)
{
    return setup_small_log(state, SNAPSHOT_ROWS);
}

int cluster_setup_sending_files(void **state)
{
    return setup_small_log(state, SNAPSHOT_FILES);
}

void assert_reads(struct node *node, const char *key, const char *value)
{
    char found[64] = "";
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    struct err err = node_get(node, key, found);
    while (err_is(err) && clock_mono_ms() < deadline_ms) {
        err = node_get(node, key, found);
    }
    assert_int_equal(err.code, ERR_OK);
    assert_string_equal(found, value);
}

void put_leased(struct cluster *cluster, const char *key, int64_t lease)
{
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    while (err_is(node_put(cluster_leader(cluster), key, "x", lease))) {
        assert_true(clock_mono_ms() < deadline_ms);
    }
}

/* Whether one that was lost, or is asked for once more, has happened. */
static bool is_as_wanted(struct err err, enum raft_conf_change_type type, bool is_promote)
{
    return type == RAFT_REMOVE_NODE ? IS(err, MEMBER_NOT_FOUND)
           : is_promote             ? IS(err, MEMBER_NOT_LEARNER)
                                    : IS(err, MEMBER_EXIST);
}

void change_member(struct node *node, enum raft_conf_change_type type, uint64_t id,
    const struct member *member, bool is_promote)
{
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    struct err err = node_change(node, type, id, member, is_promote);
    while (err_is(err) && !is_as_wanted(err, type, is_promote)) {
        assert_true(clock_mono_ms() < deadline_ms);
        err = node_change(node, type, id, member, is_promote);
    }
}

void put_many(struct cluster *cluster, const char *prefix, int count)
{
    char key[32];
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "%s%d", prefix, i);
        cluster_put(cluster, key, prefix);
    }
}

struct log_look {
    struct server_ask ask;
    uint64_t first_index;
    uint64_t last_index;
    atomic_bool is_done;
};

static void look(struct server_ask *ask, struct raft *raft)
{
    struct log_look *log = CONTAINER_OF(ask, struct log_look, ask);
    struct raft_status status;
    raft_status_get(raft, &status);
    log->first_index = status.first_index;
    log->last_index = status.last_index;
    atomic_store(&log->is_done, true);
}

static void log_of(struct node *node, struct log_look *out)
{
    *out = (struct log_look){.ask.run = look};
    assert_true(server_on_core(node->server, &out->ask));
    while (!atomic_load(&out->is_done)) {
        usleep(1000);
    }
}

struct forgetting {
    struct cluster *cluster;
    uint64_t index;
    int64_t leases;
};

/* The log grows by leases: they take no revision. */
static bool is_forgotten(void *arg)
{
    struct forgetting *forgetting = arg;
    struct node *leader = cluster_leader(forgetting->cluster);
    struct log_look log;
    log_of(leader, &log);
    if (log.first_index > forgetting->index + 1) {
        return true;
    }
    node_grant(leader, 1000 + forgetting->leases++, 1000);
    return false;
}

void reconnect_by_snapshot(struct cluster *cluster, struct node *behind)
{
    struct log_look log;
    log_of(behind, &log);
    struct forgetting forgetting = {cluster, log.last_index, 0};
    assert_true(wait_until(is_forgotten, &forgetting));
    net_isolate(cluster, behind->place, false);
}

static void stand_in(void *arg)
{
    struct door *door = arg;
    atomic_store(&door->is_in, true);
    while (!atomic_load(&door->is_open)) {
        usleep(1000);
    }
}

static bool is_in(void *arg)
{
    return atomic_load(&((struct door *)arg)->is_in);
}

static void stand_in_core(struct server_ask *ask, struct raft *raft)
{
    (void)raft;
    stand_in(CONTAINER_OF(ask, struct door, ask));
}

void door_stop_core(struct door *door, struct node *node)
{
    *door = (struct door){.ask.run = stand_in_core, .node = node};
    assert_true(server_on_core(node->server, &door->ask));
    assert_true(wait_until(is_in, door));
}

static void *stop_applying(void *arg)
{
    struct door *door = arg;
    server_between_applies(door->node->server, stand_in, door);
    return NULL;
}

void door_stop_apply(struct door *door, struct node *node)
{
    *door = (struct door){.node = node};
    pthread_create(&door->thread, NULL, stop_applying, door);
    assert_true(wait_until(is_in, door));
}

void door_open(struct door *door)
{
    atomic_store(&door->is_open, true);
    if (!door->ask.run) {
        pthread_join(door->thread, NULL);
    }
}
