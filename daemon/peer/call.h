/* SPDX-License-Identifier: Apache-2.0
 *
 * A request of another member that the owner of the peer answers.
 */
#ifndef PEER_CALL_H
#define PEER_CALL_H

#include "http/http.h"
#include "peer/peer.h"

struct peer_call {
    struct peer *peer;
    struct http_request *request;
    int64_t id; /* what was asked: a lease */
};

struct peer_call *call_new(struct peer *peer, struct http_request *request);
/* Whether that is the method; if not, answers 405. */
bool call_allow(struct http_request *request, const char *method);
/* Sets X-Etcd-Cluster-Id. */
void call_set_cluster(struct http_request *request, const struct peer *peer);

/* Serve those paths. */
void call_serve_members(struct peer *peer, struct http_request *request);
void call_serve_version(struct peer *peer, struct http_request *request);
void call_serve_downgrade(struct peer *peer, struct http_request *request);
void call_serve_promote(struct peer *peer, struct http_request *request, struct slice id);
void call_serve_hash(struct peer *peer, struct http_request *request);
void call_serve_leases(struct peer *peer, struct http_request *request, bool is_internal);

#endif
