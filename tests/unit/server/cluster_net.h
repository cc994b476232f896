/* SPDX-License-Identifier: Apache-2.0
 * The network of a cluster in one process: a thread that delays, loses and cuts. Include cluster.h.
 */
#ifndef TEST_SERVER_CLUSTER_NET_H
#define TEST_SERVER_CLUSTER_NET_H

#include "boot/install.h"

#include <pthread.h>

enum { NODES_MAX = 5 };

struct cluster;
struct node;

/* What is on its way; network thread and whoever sends. */
struct parcel {
    struct list node;
    size_t from;
    size_t to;
    int64_t due_ms;
    struct raft_message message;
};

struct net {
    pthread_t thread;
    pthread_mutex_t mutex; /* everything here */
    pthread_cond_t cond;
    pthread_cond_t idle;
    struct list parcels;
    bool is_cut[NODES_MAX][NODES_MAX]; /* from, to */
    bool is_up[NODES_MAX];
    int64_t since_ms[NODES_MAX];   /* a node is up */
    int64_t refused_ms[NODES_MAX]; /* since when its host says that it is gone; 0: it does not */
    int busy[NODES_MAX];           /* snapshots that it sends or takes */
    int delay_ms;
    int loss_percent;
    uint64_t snapshots[NODES_MAX]; /* delivered there */
    uint64_t delivered[NODES_MAX]; /* all else */
    uint64_t seed;
    const char *versions[NODES_MAX]; /* what the members say they are */
    bool is_ending;
};

/* Each message so late, and so many lost. */
void net_spoil(struct cluster *cluster, int delay_ms, int loss_percent);
/* Both ways. */
void net_cut(struct cluster *cluster, size_t a, size_t b, bool is_cut);
void net_isolate(struct cluster *cluster, size_t node, bool is_cut);
void net_start(struct net *net);
void net_stop(struct net *net);
void net_name(struct node *node, uint64_t id);
void net_up(struct node *node, bool is_up);
/* Messages that came there. */
uint64_t net_delivered(struct node *node);
struct server_transport net_transport(struct node *node);
struct server_asking net_asking(struct node *node);

#endif
