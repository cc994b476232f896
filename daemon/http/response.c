/* SPDX-License-Identifier: Apache-2.0
 *
 * The answer. A handler's thread writes the head and copies the body; what depends on the
 * connection (does it stay open, is the rest of the request's body still to come) is added on the
 * server's thread. Headers stand in Go's order: the handler's sorted by name, then Date,
 * Content-Length, a guessed Content-Type, Connection, Transfer-Encoding.
 */
#include "http/request.h"

#include <event2/buffer.h>
#include <strings.h>
#include <time.h>

enum { FIELDS_MAX = 32, DRAINABLE_MAX = 256 << 10 };

enum { OUT_HEAD = 1, OUT_BODY = 2, OUT_LAST = 4, OUT_ABORT = 8 };

struct out {
    struct http_task task;
    struct http_request *request;
    unsigned what;
    struct buf head;
    struct buf body;
    bool is_counted; /* body is in request->pending */
    bool is_queued;  /* is in request->queued */
};

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {412, "Precondition Failed"},
        {413, "Request Entity Too Large"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (texts[i].status == status) {
            return texts[i].text;
        }
    }
    return "Unknown";
}

void http_set_header(struct http_request *request, const char *name, const char *value)
{
    check(request->field_count < FIELDS_MAX);
    if (!request->fields) {
        request->fields = mem_new(FIELDS_MAX * sizeof(*request->fields));
    }
    size_t at = request->field_count++;
    for (; at > 0 && strcmp(request->fields[at - 1].name, name) > 0; at--) {
        request->fields[at] = request->fields[at - 1];
    }
    request->fields[at] = (struct field_set){mem_strdup(name), mem_strdup(value)};
    for (char *c = request->fields[at].value; *c; c++) {
        *c = (unsigned char)*c < ' ' ? ' ' : *c; /* a value never ends its line */
    }
}

static bool is_set(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->field_count; i++) {
        if (strcasecmp(request->fields[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void add_date(struct buf *head)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = time(NULL);
    struct tm at;
    gmtime_r(&now, &at);
    buf_printf(head, "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", days[at.tm_wday], at.tm_mday,
        months[at.tm_mon], at.tm_year + 1900, at.tm_hour, at.tm_min, at.tm_sec);
}

/* length -1: not known yet. */
static void add_head(struct http_request *request, int status, int64_t length, struct buf *head)
{
    buf_printf(head, "HTTP/1.%d %03d %s\r\n", request->head.minor ? 1 : 0, status,
        http_status_text(status));
    for (size_t i = 0; i < request->field_count; i++) {
        buf_printf(head, "%s: %s\r\n", request->fields[i].name, request->fields[i].value);
    }
    if (!is_set(request, "Date")) {
        add_date(head);
    }
    bool is_unsaid = length == 0 && slice_eq(request->head.method, SLICE("HEAD"));
    if (length >= 0 && !head_has_no_body(status) && !is_unsaid) {
        buf_printf(head, "Content-Length: %lld\r\n", (long long)length);
        if (length > 0 && !is_set(request, "Content-Type")) {
            buf_add_str(head, "Content-Type: text/plain; charset=utf-8\r\n");
        }
    }
}

/* The server's thread. */

/* Whether what is left of the request's body can be thrown away, so that the connection serves
 * another. */
static bool can_stay(const struct http_request *request)
{
    const struct head *head = &request->head;
    if (request->conn->closes) {
        return false;
    }
    if (body_is_done(&request->body)) {
        return true;
    }
    return !(head->expects_continue && !request->has_continued) &&
           head->content_length <= DRAINABLE_MAX;
}

static void send_head(struct http_request *request, struct out *out, struct evbuffer *output)
{
    request->conn->closes = !can_stay(request);
    if (!(out->what & OUT_LAST) && !request->is_chunked) {
        request->conn->closes = true; /* the end of such a body is the end of the connection */
    }
    if (request->conn->closes && request->head.minor > 0) {
        buf_add_str(&out->head, "Connection: close\r\n");
    } else if (!request->conn->closes && request->head.minor == 0) {
        buf_add_str(&out->head, "Connection: keep-alive\r\n");
    }
    if (request->is_chunked) {
        buf_add_str(&out->head, "Transfer-Encoding: chunked\r\n");
    }
    buf_add_str(&out->head, "\r\n");
    evbuffer_add(output, out->head.data, out->head.len);
}

static void on_sent(const void *data, size_t len, void *arg)
{
    struct http_request *request = arg;
    free((void *)(uintptr_t)data);
    atomic_fetch_sub(&request->pending, len);
    request_unref(request);
}

static void send_body(struct http_request *request, struct out *out, struct evbuffer *output)
{
    size_t len;
    if (out->body.len == 0 || slice_eq(request->head.method, SLICE("HEAD"))) {
        return;
    }
    if (request->is_chunked) {
        evbuffer_add_printf(output, "%zx\r\n", out->body.len);
    }
    uint8_t *data = buf_take(&out->body, &len);
    request->refs++;
    out->is_counted = false;
    evbuffer_add_reference(output, data, len, on_sent, request);
    if (request->is_chunked) {
        evbuffer_add(output, "\r\n", 2);
    }
}

static void send_out(struct http_request *request, struct out *out)
{
    struct conn *conn = request->conn;
    struct evbuffer *output = out->is_queued ? conn_output(conn) : conn_write_begin(conn);
    if (out->what & OUT_HEAD) {
        send_head(request, out, output);
    }
    if (out->what & OUT_BODY) {
        send_body(request, out, output);
    }
    if (out->what & OUT_LAST) {
        if (request->is_chunked && !slice_eq(request->head.method, SLICE("HEAD"))) {
            evbuffer_add(output, "0\r\n\r\n", 5);
        }
        conn_answered(conn);
    } else if (!out->is_queued) {
        conn_write_end(conn);
    }
}

static void run_out(struct http_task *task)
{
    struct out *out = CONTAINER_OF(task, struct out, task);
    struct http_request *request = out->request;
    if (out->is_queued) {
        atomic_fetch_sub(&request->queued, 1);
    }
    if (request->conn && out->what & OUT_ABORT) {
        struct conn *conn = request->conn;
        conn->request = NULL;
        request->conn = NULL;
        conn_close(conn);
    } else if (request->conn) {
        send_out(request, out);
    }
    if (out->is_counted) {
        atomic_fetch_sub(&request->pending, out->body.len);
    }
    if (out->what & (OUT_LAST | OUT_ABORT)) {
        request_unref(request);
    }
    buf_fini(&out->head);
    buf_fini(&out->body);
    free(out);
}

/* Any thread. */

static struct out *out_new(struct http_request *request, unsigned what)
{
    struct out *out = mem_new(sizeof(*out));
    out->task.run = run_out;
    out->request = request;
    out->what = what;
    buf_init(&out->head, SIZE_MAX);
    buf_init(&out->body, SIZE_MAX);
    return out;
}

/* Pieces of a stream that are written on the server's thread itself need not queue behind
 * themselves: a task, a wake and a turn of the loop less for each. What ends a request always
 * queues, since its handler may still be on the stack. */
static bool can_go_now(const struct out *out)
{
    return !(out->what & (OUT_LAST | OUT_ABORT)) && server_is_here(out->request->server) &&
           atomic_load(&out->request->queued) == 0;
}

static void post(struct out *out)
{
    if (out->what & (OUT_LAST | OUT_ABORT)) {
        check(!atomic_exchange(&out->request->is_given_back, true));
    }
    if (out->body.len) {
        out->is_counted = true;
        atomic_fetch_add(&out->request->pending, out->body.len);
    }
    if (can_go_now(out)) {
        run_out(&out->task);
        return;
    }
    out->is_queued = true;
    atomic_fetch_add(&out->request->queued, 1);
    http_run(out->request->server, &out->task);
}

void http_respond(struct http_request *request, int status, struct slice body)
{
    struct out *out = out_new(request, OUT_HEAD | OUT_BODY | OUT_LAST);
    add_head(request, status, (int64_t)body.len, &out->head);
    if (!head_has_no_body(status)) {
        buf_add_slice(&out->body, body);
    }
    post(out);
}

void http_respond_error(struct http_request *request, int status, const char *text)
{
    struct buf body;
    buf_init(&body, SIZE_MAX);
    buf_add_str(&body, text);
    buf_add_byte(&body, '\n');
    http_set_header(request, "Content-Type", "text/plain; charset=utf-8");
    http_set_header(request, "X-Content-Type-Options", "nosniff");
    http_respond(request, status, buf_slice(&body));
    buf_fini(&body);
}

void http_start(struct http_request *request, int status)
{
    struct out *out = out_new(request, OUT_HEAD);
    add_head(request, status, -1, &out->head);
    request->is_chunked = request->head.minor > 0 && !head_has_no_body(status);
    post(out);
}

void http_write(struct http_request *request, struct buf *bytes)
{
    struct out *out = out_new(request, OUT_BODY);
    out->body.data = buf_take(bytes, &out->body.len);
    out->body.cap = out->body.len;
    post(out);
}

void http_upgrade(struct http_request *request, struct buf *head)
{
    body_init_endless(&request->body);
    if (request->conn) {
        request->conn->closes = true;
    }
    http_write(request, head);
}

size_t http_pending(const struct http_request *request)
{
    return atomic_load(&request->pending);
}

void http_keep(struct http_request *request, struct payload_home home)
{
    check(!request->home.release);
    request->home = home;
}

void http_end(struct http_request *request)
{
    post(out_new(request, OUT_LAST));
}

void http_abort(struct http_request *request)
{
    post(out_new(request, OUT_ABORT));
}

void refusal_add(struct evbuffer *out, const struct head_refusal *refusal)
{
    const char *text = http_status_text(refusal->status);
    if (refusal->status == 501) {
        evbuffer_add_printf(out,
            "HTTP/1.1 501 %s\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: "
            "close\r\n\r\n%s",
            text, refusal->detail);
        return;
    }
    if (refusal->status == 417) {
        evbuffer_add_printf(
            out, "HTTP/1.1 417 %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", text);
        return;
    }
    const char *colon = refusal->detail ? ": " : "";
    const char *detail = refusal->detail ? refusal->detail : "";
    evbuffer_add_printf(out,
        "HTTP/1.1 %d %s%s%s\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: "
        "close\r\n\r\n",
        refusal->status, text, colon, detail);
    evbuffer_add_printf(out, "%d %s%s%s", refusal->status, text, colon, detail);
}
