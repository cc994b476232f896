/* SPDX-License-Identifier: Apache-2.0
 *
 * What other members ask: the questions and the answers as etcd's peer handlers give them, status
 * by status and text by text.
 */
#include "peer/call.h"

#include "base/codec.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/version.h"
#include "peer/inner.h"
#include "peer/told.h"

#include <json-c/json.h>

enum { BODY_MAX = TOLD_SMALL_MAX };

struct peer_call *call_new(struct peer *peer, struct http_request *request)
{
    struct peer_call *call = mem_new(sizeof(*call));
    call->peer = peer;
    call->request = request;
    return call;
}

void call_set_cluster(struct http_request *request, const struct peer *peer)
{
    http_set_header(request, "X-Etcd-Cluster-Id", peer->cluster_text);
}

bool call_allow(struct http_request *request, const char *method)
{
    if (slice_eq(http_method(request), slice_str(method))) {
        return true;
    }
    http_set_header(request, "Allow", method);
    http_respond_error(request, 405, "Method Not Allowed");
    return false;
}

static void respond(struct peer_call *call, int status, const char *content_type, struct slice body)
{
    http_set_header(call->request, "Content-Type", content_type);
    http_respond(call->request, status, body);
    free(call);
}

static void respond_error(struct peer_call *call, int status, const char *text)
{
    http_respond_error(call->request, status, text);
    free(call);
}

static void respond_lines(struct peer_call *call, struct slice json)
{
    struct buf body;
    buf_init(&body, SIZE_MAX);
    buf_add_slice(&body, json);
    buf_add_byte(&body, '\n');
    respond(call, 200, "application/json", buf_slice(&body));
    buf_fini(&body);
}

/* Members. */

void call_serve_members(struct peer *peer, struct http_request *request)
{
    if (call_allow(request, "GET")) {
        call_set_cluster(request, peer);
        peer->options.members(peer->options.arg, call_new(peer, request));
    }
}

void peer_answer_members(struct peer_call *call, struct slice json)
{
    respond_lines(call, json);
}

/* Versions. */

void call_serve_version(struct peer *peer, struct http_request *request)
{
    if (call_allow(request, "GET")) {
        peer->options.version(peer->options.arg, call_new(peer, request));
    }
}

void peer_answer_version(struct peer_call *call, const char *cluster, const char *storage)
{
    struct buf body;
    struct json json;
    buf_init(&body, BODY_MAX);
    json_init(&json, &body, JSON_HTML_SAFE);
    json_open(&json, '{');
    json_add_key(&json, "etcdserver");
    json_add_str(&json, KETCD_ETCD_VERSION);
    json_add_key(&json, "etcdcluster");
    json_add_str(&json, cluster ? cluster : "not_decided");
    json_add_key(&json, "storage");
    json_add_str(&json, storage ? storage : "unknown");
    json_close(&json, '}');
    respond(call, 200, "application/json", buf_slice(&body));
    buf_fini(&body);
}

void call_serve_downgrade(struct peer *peer, struct http_request *request)
{
    if (call_allow(request, "GET")) {
        call_set_cluster(request, peer);
        peer->options.downgrade_enabled(peer->options.arg, call_new(peer, request));
    }
}

void peer_answer_downgrade_enabled(struct peer_call *call, struct err err, bool is_enabled)
{
    if (err_is(err)) {
        struct why text;
        why_set(&text, err, "failed linearized read: %s", err_text(err));
        respond_error(call, 500, text.text);
        return;
    }
    respond(call, 200, "text/plain", is_enabled ? SLICE("true") : SLICE("false"));
}

/* Promotion. */

void call_serve_promote(struct peer *peer, struct http_request *request, struct slice id)
{
    char digits[32];
    uint64_t number = 0;
    if (!call_allow(request, "POST")) {
        return;
    }
    call_set_cluster(request, peer);
    bool is_number = id.len > 0 && id.len <= 20;
    for (size_t i = 0; i < id.len; i++) {
        is_number = is_number && id.data[i] >= '0' && id.data[i] <= '9';
    }
    snprintf(digits, sizeof(digits), "%.*s", (int)(is_number ? id.len : 0),
        id.data ? (const char *)id.data : "");
    const char *plain = digits;
    while (plain[0] == '0' && plain[1]) {
        plain++;
    }
    if (!is_number || text_parse_uint(plain, 64, &number) != TEXT_NUMBER_OK) {
        struct why text;
        why_set(&text, OK, "member %.*s not found in cluster", (int)(id.len < 256 ? id.len : 256),
            id.len ? (const char *)id.data : "");
        http_respond_error(request, 404, text.text);
        return;
    }
    peer->options.promote(peer->options.arg, number, call_new(peer, request));
}

void peer_answer_promote(struct peer_call *call, struct err err, struct slice members_json)
{
    if (!err_is(err)) {
        respond_lines(call, members_json);
    } else if (IS(err, MEMBER_NOT_FOUND)) {
        respond_error(call, 404, "membership: ID not found");
    } else if (IS(err, MEMBER_NOT_LEARNER)) {
        respond_error(call, 412, "membership: can only promote a learner member");
    } else if (IS(err, LEARNER_NOT_READY)) {
        respond_error(call, 412, err_text(err));
    } else {
        respond(call, 500, "application/json", SLICE("{\"message\":\"Internal Server Error\"}"));
    }
}

/* Hashes. */

static void on_hash_body(
    struct http_request *request, enum http_body_event event, struct slice bytes, void *arg)
{
    struct peer *peer = arg;
    int64_t revision = 0;
    if (event == HTTP_BODY_GONE) {
        http_abort(request);
    } else if (event != HTTP_BODY_END) {
        http_respond_error(request, 400, "error reading body");
    } else if (!asked_hash(bytes, &revision)) {
        http_respond_error(request, 400, "error unmarshalling request");
    } else {
        peer->options.hash(peer->options.arg, revision, call_new(peer, request));
    }
}

void call_serve_hash(struct peer *peer, struct http_request *request)
{
    struct slice cluster = http_header(request, "X-Etcd-Cluster-ID");
    if (!call_allow(request, "GET")) {
        return;
    }
    if (cluster.len && !slice_eq(cluster, slice_str(peer->cluster_text))) {
        http_respond_error(request, 412, "cluster ID mismatch");
        return;
    }
    http_body_gather(request, BODY_MAX, on_hash_body, peer);
}

static void add_number(struct json *json, const char *name, int64_t number)
{
    if (number) {
        json_add_key(json, name);
        json_add_int(json, number);
    }
}

void peer_answer_hash(struct peer_call *call, struct err err, const struct peer_hash *hash)
{
    struct buf body;
    struct json json;
    if (IS(err, COMPACTED) || IS(err, FUTURE_REV)) {
        respond_error(call, 400, err_text(err) + strlen("etcdserver: "));
        return;
    }
    if (err_is(err)) {
        respond_error(call, 400, err_text(err));
        return;
    }
    buf_init(&body, BODY_MAX);
    json_init(&json, &body, JSON_HTML_SAFE);
    json_open(&json, '{');
    json_add_key(&json, "header");
    json_open(&json, '{');
    add_number(&json, "revision", hash->revision);
    json_close(&json, '}');
    add_number(&json, "hash", hash->hash);
    add_number(&json, "compact_revision", hash->compact_revision);
    add_number(&json, "hash_revision", hash->hash_revision);
    json_close(&json, '}');
    call_set_cluster(call->request, call->peer);
    respond(call, 200, "application/json", buf_slice(&body));
    buf_fini(&body);
}

/* Leases. */

static bool has_lease_body(struct http_request *request, enum http_body_event event)
{
    switch (event) {
    case HTTP_BODY_END:
        return true;
    case HTTP_BODY_GONE:
        http_abort(request);
        return false;
    case HTTP_BODY_TOO_BIG:
        http_respond_error(request, 413, "request body too large");
        return false;
    case HTTP_BODY_NO_ROOM:
        http_respond_error(request, 503, "error reading body");
        return false;
    case HTTP_BODY_BYTES:
    case HTTP_BODY_BROKEN:
        break;
    }
    http_respond_error(request, 400, "error reading body");
    return false;
}

static void on_renew_body(
    struct http_request *request, enum http_body_event event, struct slice bytes, void *arg)
{
    struct peer *peer = arg;
    int64_t id;
    bool with_keys;
    if (!has_lease_body(request, event)) {
        return;
    }
    if (err_is(asked_lease(bytes, &id, &with_keys))) {
        http_respond_error(request, 400, "error unmarshalling request");
        return;
    }
    struct peer_call *call = call_new(peer, request);
    call->id = id;
    peer->options.lease_renew(peer->options.arg, id, call);
}

static void on_ttl_body(
    struct http_request *request, enum http_body_event event, struct slice bytes, void *arg)
{
    struct peer *peer = arg;
    int64_t id;
    bool with_keys;
    if (!has_lease_body(request, event)) {
        return;
    }
    if (err_is(asked_lease_internal(bytes, &id, &with_keys))) {
        http_respond_error(request, 400, "error unmarshalling request");
        return;
    }
    struct peer_call *call = call_new(peer, request);
    call->id = id;
    peer->options.lease_ttl(peer->options.arg, id, with_keys, call);
}

void call_serve_leases(struct peer *peer, struct http_request *request, bool is_internal)
{
    if (!slice_eq(http_method(request), SLICE("POST"))) {
        http_respond_error(request, 405, "Method Not Allowed");
        return;
    }
    http_body_gather(request, BODY_MAX, is_internal ? on_ttl_body : on_renew_body, peer);
}

/* False: answered. */
static bool is_lease_good(struct peer_call *call, struct err err, int other)
{
    if (IS(err, TIMEDOUT)) {
        respond_error(call, 408, "waiting for node to catch up its applied index has timed out");
    } else if (IS(err, LEASE_NOT_FOUND)) {
        respond_error(call, 404, "lease not found");
    } else if (IS(err, NOT_LEADER)) {
        respond_error(call, other, "not a primary lessor");
    } else if (err_is(err)) {
        respond_error(call, other, err_text(err));
    }
    return !err_is(err);
}

void peer_answer_lease_renew(struct peer_call *call, struct err err, int64_t ttl)
{
    struct buf body;
    if (!is_lease_good(call, err, 400)) {
        return;
    }
    buf_init(&body, BODY_MAX);
    wire_add_varint_nz(&body, 2, (uint64_t)call->id);
    wire_add_varint_nz(&body, 3, (uint64_t)ttl);
    respond(call, 200, "application/protobuf", buf_slice(&body));
    buf_fini(&body);
}

void peer_answer_lease_ttl(struct peer_call *call, struct err err, const struct peer_lease *lease)
{
    struct buf inner;
    struct buf body;
    if (!is_lease_good(call, err, 500)) {
        return;
    }
    buf_init(&inner, SIZE_MAX);
    buf_init(&body, SIZE_MAX);
    wire_add_head(&inner, 1, 0);
    wire_add_varint_nz(&inner, 2, (uint64_t)call->id);
    wire_add_varint_nz(&inner, 3, (uint64_t)lease->ttl);
    wire_add_varint_nz(&inner, 4, (uint64_t)lease->granted_ttl);
    for (size_t i = 0; i < lease->keys_count; i++) {
        wire_add_bytes(&inner, 5, lease->keys[i]);
    }
    wire_add_bytes(&body, 1, buf_slice(&inner));
    respond(call, 200, "application/protobuf", buf_slice(&body));
    buf_fini(&inner);
    buf_fini(&body);
}
