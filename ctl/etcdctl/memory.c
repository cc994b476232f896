/* SPDX-License-Identifier: Apache-2.0
 *
 * One GET of /metrics. HTTP/1.0: the answer ends with the connection, and comes in one piece. */
#include "memory.h"

#include "base/buf.h"
#include "base/tls.h"
#include "base/url.h"

#include <openssl/bio.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { METRICS_BYTES_MAX = 16 << 20, FETCH_SECONDS = 30 };

static const char metric[] = "process_resident_memory_bytes";

static BIO *open_tls(
    const struct client_config *config, const char *host, SSL_CTX **out_context, struct why *why)
{
    struct tls_options options = {.cert_file = config->cert,
        .key_file = config->key,
        .trusted_ca_file = config->cacert,
        .skip_verify = config->skips_verify};
    SSL *ssl = NULL;
    if (err_is(tls_context_new(&options, TLS_CLIENT, out_context, why))) {
        return NULL;
    }
    BIO *bio = BIO_new_ssl_connect(*out_context);
    check(bio != NULL && BIO_get_ssl(bio, &ssl) > 0);
    if (!config->skips_verify) {
        tls_client_expect(ssl, host);
    }
    return bio;
}

/* Asks, and reads until the other side closes. */
static bool exchange(BIO *bio, const struct url *url, struct buf *out, struct why *why)
{
    static const struct timeval wait = {FETCH_SECONDS, 0};
    char text[256];
    char chunk[16384];
    int fd = -1;
    int got;
    if (BIO_do_connect(bio) != 1) {
        (void)why_set(why, ERR(IO), "connect: %s", tls_error_text(text, sizeof(text)));
        return false;
    }
    if (BIO_get_fd(bio, &fd) >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    }
    if (BIO_printf(bio, "GET /metrics HTTP/1.0\r\nHost: %s\r\n\r\n", url->authority) <= 0) {
        (void)why_set(why, ERR(IO), "write: %s", tls_error_text(text, sizeof(text)));
        return false;
    }
    while ((got = BIO_read(bio, chunk, sizeof(chunk))) > 0 && !out->is_full) {
        buf_add(out, chunk, (size_t)got);
    }
    buf_add(out, "", 1);
    if (out->is_full || strncmp((const char *)out->data, "HTTP/1.", 7) != 0) {
        (void)why_set(why, ERR(IO), "reading: no answer, or one that is too long");
        return false;
    }
    return true;
}

static bool fetch(
    const struct client_config *config, const struct url *url, struct buf *out, struct why *why)
{
    SSL_CTX *context = NULL;
    bool is_tls = url_is_tls(url);
    BIO *bio = is_tls ? open_tls(config, url->host, &context, why) : BIO_new(BIO_s_connect());
    bool is_done = false;
    if (bio) {
        (void)BIO_set_conn_hostname(bio, url->authority);
        is_done = exchange(bio, url, out, why);
    }
    BIO_free_all(bio);
    SSL_CTX_free(context);
    return is_done;
}

/* As the program that scrapes does: the line that begins with the name. */
static double find(const char *text)
{
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, metric, sizeof(metric) - 1) == 0) {
            return strtod(line + sizeof(metric) - 1, NULL);
        }
    }
    printf("could not find: %s\n", metric);
    return 0;
}

double memory_resident(const struct client_config *config, const char *endpoint)
{
    struct arena *arena = arena_new(0);
    struct buf text;
    struct url url;
    struct why why = {""};
    double bytes = 0;
    bool is_url = strncmp(endpoint, "http://", 7) == 0 || strncmp(endpoint, "https://", 8) == 0;
    const char *whole = arena_printf(arena, "%s%s", is_url ? "" : "http://", endpoint);
    buf_init(&text, METRICS_BYTES_MAX);
    if (err_is(url_parse(arena, whole, &url, &why)) || !fetch(config, &url, &text, &why)) {
        printf("fetch error: Get \"%s/metrics\": %s\n", whole, why.text);
    } else {
        bytes = find((const char *)text.data);
    }
    buf_fini(&text);
    arena_free(arena);
    return bytes;
}
