/* SPDX-License-Identifier: Apache-2.0
 *
 * The pages that need no call: /version, /metrics, /debug/vars.
 */
#include "gateway/room.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

enum { METRICS_BYTES_MAX = 64 << 20, CMDLINE_BYTES_MAX = 1 << 16, PACK_PIECE = 32 << 10 };

bool allow_get(struct http_request *request)
{
    if (slice_eq(http_method(request), SLICE("GET"))) {
        return true;
    }
    http_set_header(request, "Allow", "GET");
    http_respond_error(request, 405, "Method Not Allowed");
    return false;
}

void version_serve(struct gateway *gateway, struct http_request *request)
{
    struct buf body;
    struct json json;
    const char *storage = api_storage_version(gateway->options.api);
    if (!allow_get(request)) {
        return;
    }
    buf_init(&body, ERROR_BYTES_MAX);
    json_init(&json, &body, JSON_HTML_SAFE);
    json_open(&json, '{');
    json_add_key(&json, "etcdserver");
    json_add_str(&json, api_server_version());
    json_add_key(&json, "etcdcluster");
    json_add_str(&json, api_cluster_version(gateway->options.api));
    json_add_key(&json, "storage");
    json_add_str(&json, storage ? storage : "unknown");
    json_close(&json, '}');
    http_set_header(request, "Content-Type", "application/json");
    http_respond(request, 200, buf_slice(&body));
    buf_fini(&body);
}

static bool takes_gzip(const struct http_request *request)
{
    struct slice list = http_header(request, "Accept-Encoding");
    struct slice part;
    while (http_list_next(&list, ',', &part)) {
        if (slice_eq(part, SLICE("gzip")) || slice_has_prefix(part, SLICE("gzip;"))) {
            return true;
        }
    }
    return false;
}

/* Into out, which is empty. */
static void pack(struct slice text, struct buf *out)
{
    z_stream z = {0};
    uint8_t piece[PACK_PIECE];
    int rc;
    check(deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 16 + MAX_WBITS, 8,
              Z_DEFAULT_STRATEGY) == Z_OK); /* 16: with a gzip header */
    z.next_in = (uint8_t *)(uintptr_t)text.data;
    z.avail_in = (unsigned)text.len;
    do {
        z.next_out = piece;
        z.avail_out = sizeof(piece);
        rc = deflate(&z, Z_FINISH);
        buf_add(out, piece, sizeof(piece) - z.avail_out);
    } while (rc == Z_OK);
    deflateEnd(&z);
}

static void respond_packed(struct http_request *request, struct slice text)
{
    struct buf packed;
    buf_init(&packed, 2 * METRICS_BYTES_MAX);
    pack(text, &packed);
    http_set_header(request, "Content-Encoding", "gzip");
    http_respond(request, 200, buf_slice(&packed));
    buf_fini(&packed);
}

void metrics_serve(struct gateway *gateway, struct http_request *request)
{
    struct buf body;
    buf_init(&body, METRICS_BYTES_MAX);
    metric_set(gateway->scraping, 1);
    api_measure(gateway->options.api);
    metric_expose(&body);
    metric_set(gateway->scraping, 0);
    metric_inc(gateway->scrapes);
    http_set_header(
        request, "Content-Type", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
    if (takes_gzip(request)) {
        respond_packed(request, buf_slice(&body));
    } else {
        http_respond(request, 200, buf_slice(&body));
    }
    buf_fini(&body);
}

static void add_cmdline(struct json *json)
{
    char text[CMDLINE_BYTES_MAX];
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    if (fd >= 0) {
        close(fd);
    }
    text[len > 0 ? len : 0] = 0;
    json_open(json, '[');
    for (ssize_t at = 0; at < len; at += (ssize_t)strlen(text + at) + 1) {
        json_add_str(json, text + at);
    }
    json_close(json, ']');
}

static void add_memory(struct json *json)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    json_open(json, '{');
    json_add_key(json, "MaxRSS");
    json_add_uint(json, (uint64_t)usage.ru_maxrss * 1024);
    json_close(json, '}');
}

/* One variable a line, as Go's expvar prints them. */
void vars_serve(struct gateway *gateway, struct http_request *request)
{
    struct buf body;
    struct json json;
    struct rlimit files;
    (void)gateway;
    if (!allow_get(request)) {
        return;
    }
    getrlimit(RLIMIT_NOFILE, &files);
    buf_init(&body, ERROR_BYTES_MAX);
    json_init(&json, &body, JSON_HTML_SAFE);
    buf_add_str(&body, "{\n\"cmdline\": ");
    add_cmdline(&json);
    buf_printf(&body,
        ",\n\"file_descriptor_limit\": %llu,\n\"memstats\": ", (unsigned long long)files.rlim_cur);
    json.wants_comma = false;
    add_memory(&json);
    buf_add_str(&body, "\n}\n");
    http_set_header(request, "Content-Type", "application/json; charset=utf-8");
    http_respond(request, 200, buf_slice(&body));
    buf_fini(&body);
}
