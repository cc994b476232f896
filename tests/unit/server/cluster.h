/* SPDX-License-Identifier: Apache-2.0
 * Whole members in one process, each on a folder of its own, joined by a network of one thread that
 * delays, loses and cuts. */
#ifndef TEST_SERVER_CLUSTER_H
#define TEST_SERVER_CLUSTER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster_net.h"
#include "cluster_request.h"

enum { TICK_MS = 40, ELECTION_TICKS = 10, WAIT_MS = 45000 };
enum { INSTALL_WELL, INSTALL_HELD, CRASH_BEFORE, CRASH_MIDWAY, CRASH_AFTER, CRASH_BETWEEN };
struct cluster;

struct node {
    struct cluster *cluster;
    size_t place;
    char *path;
    char name[32];
    struct config config;
    struct storage storage;
    struct server *server; /* NULL: down */
    uint64_t id;           /* 0: never started */
    atomic_int fatals;
    atomic_int install_fault; /* what a received snapshot meets; HELD: until it is another */
    atomic_bool is_holding;   /* one back */
    atomic_int removals;      /* it applied its own */
    atomic_bool is_gone;      /* others told it so, as a 410 does */
};

struct cluster {
    char path[64];
    size_t count;
    uint64_t snapshot_count;
    uint64_t catch_up_entries;
    enum snapshot_form form; /* of snapshots between them */
    int64_t election_ticks;
    bool initial_tick_advance;
    const char *username;                         /* who asks; NULL: nobody */
    void (*tune)(struct server_options *options); /* NULL: as ever */
    /* Whose clock this thread goes by from now on, NULL the machine's; gives whose it was. NULL:
     * all go by the machine's. */
    struct node *(*as)(struct node *node);
    struct node nodes[NODES_MAX];
    struct net net;
};

/* Members that wait to be started. */
void cluster_init(struct cluster *cluster, size_t count);
void cluster_init_slow(struct cluster *cluster, size_t count, int64_t election_ticks);
void cluster_fini(struct cluster *cluster);

void node_start(struct node *node);
/* Without a word to the others. */
void node_crash(struct node *node);
/* As SIGTERM: hands over leadership. */
void node_stop(struct node *node);
void cluster_start(struct cluster *cluster);

/* The one that a majority follows; fails the test when there is none in time. */
struct node *cluster_leader(struct cluster *cluster);
/* Some node that is up and does not lead. */
struct node *cluster_follower(struct cluster *cluster);
/* Until all that are up have applied the same. */
void cluster_settle(struct cluster *cluster);
/* Whether all that are up hold the same keys. */
bool cluster_agrees(struct cluster *cluster);

struct err node_put(struct node *node, const char *key, const char *value, int64_t lease);
/* Asks for a read index, then reads here. "" when there is no such key. */
struct err node_get(struct node *node, const char *key, char out[64]);
struct err node_get_serializable(struct node *node, const char *key, char out[64]);
void node_grant(struct node *node, int64_t id, int64_t ttl_s); /* repeats until it is there */
/* Keys are not asked for. */
struct err node_ask_lease(struct node *node, int64_t id, bool is_look, struct server_lease *out);
struct err node_change(struct node *node, enum raft_conf_change_type type, uint64_t id,
    const struct member *member, bool is_promote);
/* Repeats until it succeeds. */
void cluster_put(struct cluster *cluster, const char *key, const char *value);
struct node *cluster_as(struct cluster *cluster, struct node *node);
/* Whether a node has what members propose of their own accord after a start, which would come
 * between what a test does. */
bool node_is_at_rest(void *node);
bool wait_until(bool (*is_true)(void *arg), void *arg);

#endif
