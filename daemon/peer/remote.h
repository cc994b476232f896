/* SPDX-License-Identifier: Apache-2.0
 *
 * Another member as this one reaches it: where, by which ways, and whether it answers. The peer
 * thread holds it.
 */
#ifndef PEER_REMOTE_H
#define PEER_REMOTE_H

#include "base/arena.h"
#include "base/list.h"
#include "base/url.h"
#include "peer/ask.h"
#include "peer/metrics.h"
#include "peer/peer.h"
#include "peer/pipeline.h"
#include "peer/probe.h"
#include "peer/reader.h"
#include "peer/writer.h"

struct slot;

struct remote {
    struct list node;
    struct peer *peer;
    uint64_t id;
    char id_text[17];
    bool is_member; /* else the pipeline only */
    struct arena *arena;
    struct url_list urls;
    const struct http_target *targets; /* one for each */
    size_t picked;                     /* of them */
    struct slot *slot;
    size_t refusals; /* of connections, one after the other */
    bool is_active;
    struct remote_metrics metrics;
    struct writer writers[2]; /* by enum frame_kind */
    struct reader readers[2];
    struct pipeline pipeline;
    struct probe probe;
    struct asker asker;
};

/* NULL: unknown. */
struct remote *remote_find(struct peer *peer, uint64_t id);
/* URLs are copied; NULL when none of them can be used. */
struct remote *remote_add(
    struct peer *peer, uint64_t id, const char *const *urls, size_t count, bool is_member);
void remote_update(struct remote *remote, const char *const *urls, size_t count);
void remote_free(struct remote *remote);

/* Takes over the message's contents. remote_flush once for all that were sent. */
void remote_send(struct remote *remote, struct raft_message *message);
void remote_flush(struct remote *remote);

/* Where to call it now; lent. */
struct http_target remote_target(const struct remote *remote);
/* The URL that target was made of did not work: the next one. */
void remote_unreachable(struct remote *remote, const struct http_target *target);
struct http_target remote_url_target(struct arena *arena, const struct url *url);

/* In which form it takes stores at best, from now on. */
void remote_takes(struct remote *remote, enum snapshot_form form);
void remote_activate(struct remote *remote);
/* Of a dialed stream: whether nobody listens there. */
void remote_dialed(struct remote *remote, bool is_refused);
/* "failed to <action> <id> on <source> (<why>)". */
void remote_deactivate(
    struct remote *remote, const char *source, const char *action, const char *why);
/* A message that cannot go. Takes over its contents. */
void remote_drop(struct remote *remote, struct raft_message *message);

#endif
