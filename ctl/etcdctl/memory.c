/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include "base/buf.h"

#include <curl/curl.h>

enum { METRICS_BYTES_MAX = 16 << 20, FETCH_SECONDS = 30 };

static const char metric[] = "process_resident_memory_bytes";

static size_t take(char *data, size_t one, size_t count, void *arg)
{
    struct buf *buf = arg;
    buf_add(buf, data, one * count);
    return buf->is_full ? 0 : one * count;
}

static void set_tls(CURL *curl, const struct client_config *config)
{
    if (*config->cert) {
        (void)curl_easy_setopt(curl, CURLOPT_SSLCERT, config->cert);
        (void)curl_easy_setopt(curl, CURLOPT_SSLKEY, config->key);
    }
    if (*config->cacert) {
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, config->cacert);
    }
    if (config->skips_verify) {
        (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static bool fetch(const struct client_config *config, const char *url, struct buf *out)
{
    char text[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    check(curl != NULL);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)FETCH_SECONDS);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, text);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
    set_tls(curl, config);
    CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK) {
        printf("fetch error: Get \"%s\": %s\n", url, *text ? text : curl_easy_strerror(code));
    }
    curl_easy_cleanup(curl);
    return code == CURLE_OK;
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
    double bytes = 0;
    bool is_url = strncmp(endpoint, "http://", 7) == 0 || strncmp(endpoint, "https://", 8) == 0;
    const char *url = arena_printf(arena, "%s%s/metrics", is_url ? "" : "http://", endpoint);
    buf_init(&text, METRICS_BYTES_MAX);
    if (fetch(config, url, &text)) {
        buf_add(&text, "", 1);
        bytes = find((const char *)text.data);
    }
    buf_fini(&text);
    arena_free(arena);
    return bytes;
}
