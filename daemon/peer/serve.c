/* SPDX-License-Identifier: Apache-2.0
 *
 * The paths of the peer listener, and raft's own among them. Statuses and texts are etcd's, but for
 * one: a message to another member gets 412 where etcd says 403, because a member of etcd that gets
 * 403 takes itself for removed and ends.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/version.h"
#include "peer/call.h"
#include "peer/codec.h"
#include "peer/frame.h"
#include "peer/inner.h"
#include "peer/receive.h"
#include "peer/remote.h"
#include "peer/snapreceive.h"
#include "peer/told.h"
#include "peer/version.h"

#include <time.h>

enum { REMOTES_MAX = RAFT_MEMBERS_MAX };

/* Who asks. */

/* NULL: fine. */
static const char *check_headers(struct peer *peer, struct http_request *request)
{
    struct slice cluster = http_header(request, "X-Etcd-Cluster-ID");
    struct slice server = http_header(request, "X-Server-Version");
    const char *wrong = NULL;
    if (!version_is_compatible(server, http_header(request, "X-Min-Cluster-Version"))) {
        wrong = "incompatible version";
    } else if (!slice_eq(cluster, slice_str(peer->cluster_text))) {
        wrong = "cluster ID mismatch";
    }
    if (wrong) {
        LOG_WARN("refused request of a peer", LOG_ERR(wrong),
            LOG_STR("local-member-id", peer->self_text),
            LOG_STR("local-member-cluster-id", peer->cluster_text),
            LOG_BYTES("remote-peer-server-name", http_header(request, "X-Server-From")),
            LOG_BYTES("remote-peer-server-version", server),
            LOG_BYTES("remote-peer-cluster-id", cluster),
            LOG_STR("remote-addr", http_peer(request)));
    }
    return wrong;
}

static size_t count_remotes(struct peer *peer)
{
    size_t count = 0;
    LIST_EACH(node, &peer->remotes)
    {
        count += !LIST_ITEM(node, struct remote, node)->is_member;
    }
    return count;
}

/* Somebody of this cluster whom this member does not know yet: an answer can reach it. */
static void add_stranger(struct peer *peer, struct http_request *request, uint64_t id)
{
    struct slice header = http_header(request, "X-PeerURLs");
    const char *urls[TOLD_URLS_MAX];
    if (header.len == 0 || id == 0 || id == peer->options.self_id || remote_find(peer, id) ||
        count_remotes(peer) >= REMOTES_MAX) {
        return;
    }
    struct arena *arena = arena_new(0);
    size_t count = told_urls(header, arena, urls);
    remote_add(peer, id, urls, count, false);
    arena_free(arena);
}

static void add_sender(struct peer *peer, struct http_request *request)
{
    uint64_t id;
    if (text_parse_id(http_header(request, "X-Server-From"), &id)) {
        add_stranger(peer, request, id);
    }
}

/* Posts. */

static void respond_removed(struct http_request *request)
{
    http_set_header(request, "Content-Type", "application/json");
    http_respond(
        request, 403, SLICE("{\"message\":\"cannot process message from removed member\"}"));
}

static void take_post(struct peer *peer, struct http_request *request, struct slice bytes)
{
    struct raft_message message;
    struct metric *received = peer->metrics.received_bytes;
    char from[17];
    if (err_is(codec_parse_message(bytes, &message))) {
        metric_inc(metrics_of(peer->metrics.received_failures, http_peer(request)));
        http_respond_error(request, 400, "error unmarshalling raft message");
        return;
    }
    snprintf(from, sizeof(from), "%llx", (unsigned long long)message.from);
    if (remote_find(peer, message.from)) {
        metric_add(metrics_of(received, from), (double)bytes.len);
    }
    switch (receive_message(peer, &message)) {
    case RECEIVE_OK:
        http_respond(request, 204, (struct slice){0});
        break;
    case RECEIVE_FROM_REMOVED:
        respond_removed(request);
        break;
    case RECEIVE_NOT_OURS:
        http_respond_error(request, 412, "cannot process message to mismatch member");
        break;
    case RECEIVE_BAD:
        http_respond_error(request, 500, "error processing raft message");
        break;
    }
}

static void on_post_body(
    struct http_request *request, enum http_body_event event, struct slice bytes, void *arg)
{
    if (event == HTTP_BODY_GONE) {
        http_abort(request);
    } else if (event == HTTP_BODY_END) {
        take_post(arg, request, bytes);
    } else {
        http_respond_error(request, 400, "error reading raft message");
    }
}

/* True: it may go on; else it was answered. */
static bool is_welcome(struct peer *peer, struct http_request *request, const char *method)
{
    if (!call_allow(request, method)) {
        return false;
    }
    call_set_cluster(request, peer);
    const char *wrong = check_headers(peer, request);
    if (wrong) {
        http_respond_error(request, 412, wrong);
    }
    return !wrong;
}

static void serve_post(struct peer *peer, struct http_request *request)
{
    if (is_welcome(peer, request, "POST")) {
        add_sender(peer, request);
        http_body_gather(request, FRAME_BYTES_MAX, on_post_body, peer);
    }
}

static void serve_snapshot(struct peer *peer, struct http_request *request)
{
    if (is_welcome(peer, request, "POST")) {
        add_sender(peer, request);
        snapreceive_serve(peer, request);
    }
}

/* Streams. */

static void refuse_stream(
    struct peer *peer, struct http_request *request, int status, const char *text, uint64_t from)
{
    LOG_WARN("refused stream of remote peer", LOG_STR("local-member-id", peer->self_text),
        LOG_HEX("remote-peer-id-from", from), LOG_STR("cluster-id", peer->cluster_text),
        LOG_ERR(text));
    http_respond_error(request, status, text);
}

static void attach(
    struct peer *peer, struct http_request *request, enum frame_kind kind, uint64_t from)
{
    const struct peer_options *options = &peer->options;
    struct remote *remote = remote_find(peer, from);
    if (options->is_removed(options->arg, from)) {
        refuse_stream(peer, request, 410, "removed member", from);
    } else if (!remote || !remote->is_member) {
        add_stranger(peer, request, from);
        refuse_stream(peer, request, 404, "error sender not found", from);
    } else if (!slice_eq(http_header(request, "X-Raft-To"), slice_str(peer->self_text))) {
        refuse_stream(peer, request, 412, "to field mismatch", from);
    } else {
        writer_attach(&remote->writers[kind], request);
        remote_takes(remote, peer_form_of(peer, request, PEER_FILES_HEADER, PEER_ROWS_HEADER));
    }
}

static bool take_prefix(struct slice *path, const char *prefix)
{
    struct slice want = slice_str(prefix);
    if (!slice_has_prefix(*path, want)) {
        return false;
    }
    *path = slice_of(path->data + want.len, path->len - want.len);
    return true;
}

static void serve_stream(struct peer *peer, struct http_request *request)
{
    struct slice path = http_path(request);
    uint64_t from;
    if (!call_allow(request, "GET")) {
        return;
    }
    http_set_header(request, "X-Server-Version", KETCD_ETCD_VERSION);
    call_set_cluster(request, peer);
    const char *wrong = check_headers(peer, request);
    if (wrong) {
        http_respond_error(request, 412, wrong);
        return;
    }
    bool is_msgapp = take_prefix(&path, "/raft/stream/msgapp/");
    if ((!is_msgapp && !take_prefix(&path, "/raft/stream/message/")) ||
        memchr(path.data, '/', path.len)) {
        http_respond_error(request, 404, "invalid path");
    } else if (!text_parse_id(path, &from)) {
        http_respond_error(request, 404, "invalid from");
    } else {
        attach(peer, request, is_msgapp ? FRAME_MSGAPP : FRAME_MESSAGE, from);
    }
}

/* The others. */

static void serve_probe(struct http_request *request)
{
    char body[96];
    int64_t now_ns = clock_wall_ns();
    time_t now = (time_t)(now_ns / 1000000000);
    struct tm at;
    gmtime_r(&now, &at);
    int len = snprintf(body, sizeof(body),
        "{\"OK\":true,\"Now\":\"%04d-%02d-%02dT%02d:%02d:%02d.%09dZ\"}\n", at.tm_year + 1900,
        at.tm_mon + 1, at.tm_mday, at.tm_hour, at.tm_min, at.tm_sec, (int)(now_ns % 1000000000));
    http_respond(request, 200, slice_of(body, (size_t)len));
}

static bool is_path(struct http_request *request, const char *path)
{
    return slice_eq(http_path(request), slice_str(path));
}

static void serve_others(struct peer *peer, struct http_request *request)
{
    struct slice path = http_path(request);
    if (is_path(request, "/members")) {
        call_serve_members(peer, request);
    } else if (is_path(request, "/members/hashkv")) {
        call_serve_hash(peer, request);
    } else if (take_prefix(&path, "/members/promote/")) {
        call_serve_promote(peer, request, path);
    } else if (is_path(request, "/leases")) {
        call_serve_leases(peer, request, false);
    } else if (is_path(request, "/leases/internal")) {
        call_serve_leases(peer, request, true);
    } else if (is_path(request, "/downgrade/enabled")) {
        call_serve_downgrade(peer, request);
    } else if (is_path(request, "/version")) {
        call_serve_version(peer, request);
    } else {
        http_respond_error(request, 404, "404 page not found");
    }
}

void peer_serve(struct http_request *request, void *arg)
{
    struct peer *peer = arg;
    struct slice path = http_path(request);
    if (is_path(request, "/raft")) {
        serve_post(peer, request);
    } else if (take_prefix(&path, "/raft/stream/")) {
        serve_stream(peer, request);
    } else if (is_path(request, "/raft/snapshot")) {
        serve_snapshot(peer, request);
    } else if (is_path(request, "/raft/probing")) {
        serve_probe(request);
    } else {
        serve_others(peer, request);
    }
}
