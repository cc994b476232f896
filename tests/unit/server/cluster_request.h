/* SPDX-License-Identifier: Apache-2.0
 * What a member of a cluster in one process is asked. Include cluster.h. */
#ifndef TEST_SERVER_CLUSTER_REQUEST_H
#define TEST_SERVER_CLUSTER_REQUEST_H

#include "server/server.h"

#include <stdatomic.h>

struct node;

/* Finished when done; the arena holds the result until request_fini. */
struct request {
    struct server_proposal proposal;
    struct server_read read;
    struct server_lease_ask lease;
    atomic_int dones;
    struct arena *arena;
};

void request_begin(
    struct request *request, struct node *node, uint32_t field, const ProtobufCMessage *message);
void request_begin_conf(
    struct request *request, struct node *node, const struct raft_conf_change *change);
void request_begin_read(struct request *request, struct node *node);
/* Keys are not asked for. */
void request_begin_lease(struct request *request, struct node *node, int64_t id, bool is_look);
struct err request_wait(struct request *request);
void request_fini(struct request *request);

#endif
