/* SPDX-License-Identifier: Apache-2.0
 *
 * What the member answers over plain HTTP: the JSON gateway (/v3, /v3beta, /v3alpha), /health,
 * /livez, /readyz, /metrics, /version and /debug/vars, behind CORS and the host whitelist. An edge
 * over api/api.h, as rpc is. Bodies, statuses and error texts are the reference's byte for byte.
 *
 * Everything here runs on the HTTP server's thread.
 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "api/api.h"
#include "http/http.h"

struct gateway;

/* What a listener serves. */
enum gateway_serves {
    GATEWAY_JSON = 1,
    GATEWAY_HEALTH = 2,
    GATEWAY_METRICS = 4,
    GATEWAY_VERSION = 8,
    GATEWAY_VARS = 16,
    GATEWAY_ACCESS = 32, /* CORS, OPTIONS, the host whitelist */
    /* a client listener; without the gateway: take GATEWAY_JSON away */
    GATEWAY_CLIENT = GATEWAY_JSON | GATEWAY_HEALTH | GATEWAY_METRICS | GATEWAY_VERSION |
                     GATEWAY_VARS | GATEWAY_ACCESS,
    GATEWAY_METRICS_ONLY = GATEWAY_HEALTH | GATEWAY_METRICS, /* --listen-metrics-urls */
};

/* Lists end with NULL; a NULL or empty list, or one with "*" in it, allows all. The strings outlive
 * the gateway. */
struct gateway_options {
    struct api *api;
    const char *const *cors;
    const char *const *host_whitelist;
    size_t request_bytes_max; /* of a packed message: --max-request-bytes + 512 KiB; 0: 2 MiB */
    int64_t health_ms; /* for one call of a health check: 5 s + two election timeouts; 0: 7 s */
    /* --client-cert-auth: while auth is on, the gateway refuses clients whose certificate has a
     * common name, as etcd does. */
    bool is_cert_required;
};

/* Creates its metrics, etcd_server_version and the process's among them. */
struct gateway *gateway_new(const struct gateway_options *options);
/* After http_server_stop. NULL is fine. */
void gateway_free(struct gateway *gateway);
/* For http_adopt: serves a sum of enum gateway_serves; the caller adds tls and admit. Lives as long
 * as the gateway. */
struct http_site *gateway_site(struct gateway *gateway, unsigned serves);

#endif
