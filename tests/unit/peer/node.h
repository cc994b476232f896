/* SPDX-License-Identifier: Apache-2.0
 *
 * Members for tests: each a whole peer with a listener of its own on loopback, remembering what it
 * was told.
 */
#ifndef TESTS_PEER_NODE_H
#define TESTS_PEER_NODE_H

#include "base/tls.h"
#include "peer/peer.h"

#include <pthread.h>

enum { NODE_HEARD_MAX = 256 };

struct node {
    uint64_t id;
    struct peer *peer;
    struct http_site site;
    int listen_fd;
    pthread_t acceptor;
    char url[64];
    const char *urls[1];
    SSL_CTX *server_context; /* NULL: plain */
    SSL_CTX *client_context;
    struct err (*admit)(SSL *ssl, void *arg, struct why *why); /* who is dialed */
    const char *local_address;
    int64_t read_ms;     /* 0: NODE_WAIT_MS, so that no stream ends because the machine is busy */
    int64_t write_ms;    /* the same */
    int64_t progress_ms; /* the same */
    char snap_dir[64];

    pthread_mutex_t mutex;
    struct raft_message heard[NODE_HEARD_MAX];
    size_t heard_count;
    size_t unreachable;
    size_t snapshots_ok;
    size_t snapshots_failed;
    size_t removed_told;
    char *snapshot_path; /* of the last that was received */
    uint64_t removed_id; /* is_removed says so of this one */
    struct disk *disk;   /* NULL: the machine's */
    uint64_t export_bytes;
    const char *rows_format; /* NULL: databases only */
    const char *files_format;
    atomic_size_t opening;    /* snapshots of this one that were begun */
    atomic_bool is_open_held; /* and come no further */
    struct backend *store;    /* whose rows or files are sent */
    bool is_store_refused;    /* one that comes as files */
    atomic_size_t contexts_asked;
    atomic_size_t vouching;    /* times that the site was asked */
    atomic_bool is_vouch_held; /* and does not answer for now */
    bool is_vouch_no;
};

/* What a test waits for at most: much longer than it ever takes. */
enum { NODE_WAIT_MS = 180000 };

/* A free port is taken now, so that others may know the URL; node_start listens. is_tls: of the
 * URL. */
void node_init(struct node *node, uint64_t id, bool is_tls);
void node_start(struct node *node, uint64_t cluster_id);
void node_stop(struct node *node);
/* For struct http_dialing. */
SSL_CTX *node_client_tls(void *arg);
void node_knows(struct node *node, const struct node *other);
/* A connected socket that gives up reading after NODE_WAIT_MS. */
int node_dial(const struct node *node);

/* These wait up to NODE_WAIT_MS. */

bool node_await_active(struct node *node, uint64_t id, bool is_active);
/* That both streams which the member dials stand, and both that it is dialed. */
bool node_await_streams(struct node *node, uint64_t id);
/* That both streams which the member dials were refused with words that have these in them. */
bool node_await_refusals(struct node *node, uint64_t id, const char *words);
/* That it has dialed none, or lost all it dialed. */
bool node_await_silence(struct node *node, uint64_t id);
bool node_await_heard(struct node *node, size_t count);
bool node_has(const size_t *what, struct node *node, size_t at_least);
bool node_await(const size_t *what, struct node *node, size_t at_least);
bool node_await_atomic(const atomic_size_t *what, size_t at_least);
bool node_await_until(bool (*is_so)(void *arg), void *arg);
/* Of files in its folder. */
bool node_await_snap_dir(struct node *node, bool is_empty);
/* Appends a small database. */
void node_add_database(struct node *node, struct buf *out);
bool node_has_files(const struct node *node);

#endif
