/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the gateway share.
 */
#ifndef GATEWAY_ROOM_H
#define GATEWAY_ROOM_H

#include "base/json.h"
#include "base/metric.h"
#include "gateway/gateway.h"

enum { JSON_BYTES_MAX = 1 << 30, ERROR_BYTES_MAX = 1 << 20 };

struct gateway_site {
    struct list node;
    struct http_site site;
    struct gateway *gateway;
    unsigned serves;
};

struct gateway {
    struct gateway_options options;
    struct list sites;
    struct metric *health_success;
    struct metric *health_failures;
    struct metric *check_gauge;
    struct metric *check_counter;
    struct metric *scrapes;
    struct metric *scraping;
};

/* call.c, stream.c: the JSON gateway. */

void call_start(
    struct gateway *gateway, struct http_request *request, const struct api_method *method);
void stream_start(
    struct gateway *gateway, struct http_request *request, const struct api_method *method);

/* websocket.c: whether the request asks for a WebSocket; serves it, for the method or (NULL: there
 * is none) to say so. */
bool websocket_wants(const struct http_request *request);
void websocket_serve(
    struct gateway *gateway, struct http_request *request, const struct api_method *method);
/* wscall.c, stream.c: a call, a stream over a connection that was upgraded. */
void call_start_upgraded(
    struct gateway *gateway, struct http_request *request, const struct api_method *method);
void stream_start_upgraded(
    struct gateway *gateway, struct http_request *request, const struct api_method *method);

/* After done: appends what the call is answered, its error too. *out_home: what the answer weighs,
 * to be released when it is sent; given. */
struct api_status call_compose(
    struct api_call *call, struct buf *body, struct payload_home *out_home);
/* A header's value as text; NULL: there is none. */
const char *text_in(struct arena *arena, struct slice bytes);
/* Who calls, by the request's headers; texts in the arena. */
struct api_caller caller_of(const struct http_request *request, struct arena *arena);
/* {"code":3, "message":"…"} with the status that the code maps to. Gives the request back. */
void respond_status(struct http_request *request, enum grpc_code code, const char *text);
/* Appends {"code":3, "message":"…"}. */
void write_status(struct buf *body, enum grpc_code code, const char *text);
/* Appends code and message as members, between braces of their own. */
void add_status(struct json *json, enum grpc_code code, const char *text);
int http_status_of(enum grpc_code code);
/* "1S" and the like into a deadline. False: no such timeout. */
bool parse_timeout(struct slice text, int64_t *out_ns);
/* Sets what every answer of a call that went well carries. */
void set_good_headers(struct http_request *request);

/* In health.c, pages.c: */

void health_metrics(struct gateway *gateway);
/* False: no such path. */
bool health_serve(struct gateway *gateway, struct http_request *request);
void metrics_serve(struct gateway *gateway, struct http_request *request);
void version_serve(struct gateway *gateway, struct http_request *request);
void vars_serve(struct gateway *gateway, struct http_request *request);
/* Answers 405 unless it is a GET. */
bool allow_get(struct http_request *request);

/* In access.c: */

/* Host, certificate's name and CORS. path: with the new prefix. False: the request was answered. */
bool access_check(const struct gateway_site *site, struct http_request *request, struct slice path);

/* In process.c: */

void process_metrics(void);

#endif
