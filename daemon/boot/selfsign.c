/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/selfsign.h"

#include "base/log.h"
#include "base/tls.h"
#include "disk/disk.h"

#include <string.h>

enum { DIR_MODE = 0700 };

struct sign {
    const char *side; /* client or peer */
    struct config_tls *tls;
    const struct url_list *urls[4]; /* whose hosts the certificate is for, then NULL */
};

/* In the arena, each host once. */
static const char *const *hosts_of(struct arena *arena, const struct sign *sign)
{
    size_t max = 1;
    size_t count = 0;
    for (const struct url_list *const *list = sign->urls; *list; list++) {
        max += (*list)->count;
    }
    const char **hosts = arena_alloc(arena, max * sizeof(*hosts));
    for (const struct url_list *const *list = sign->urls; *list; list++) {
        for (size_t i = 0; i < (*list)->count; i++) {
            const struct url *url = &(*list)->items[i];
            size_t at = 0;
            while (at < count && strcmp(hosts[at], url->host) != 0) {
                at++;
            }
            if (at == count && !url_is_unix(url) && *url->host) {
                hosts[count++] = url->host;
            }
        }
    }
    hosts[count] = NULL;
    return hosts;
}

static struct err sign_side(struct config *config, const struct sign *sign, struct why *why)
{
    struct config_tls *tls = sign->tls;
    if (!tls->is_auto) {
        return OK;
    }
    if (*tls->cert_file || *tls->key_file) {
        LOG_WARN(strcmp(sign->side, "peer") == 0 ? "ignoring peer auto TLS since certs given"
                                                 : "ignoring client auto TLS since certs given");
        return OK;
    }
    struct tls_self wanted = {
        .dir = arena_printf(config->arena, "%s/fixtures/%s", config->data_dir, sign->side),
        .hosts = hosts_of(config->arena, sign),
        .years = config->self_signed_years,
        .is_client_too = strcmp(sign->side, "peer") == 0,
    };
    struct tls_self_files files;
    TRY(disk_mkdir_all(disk_real(), wanted.dir, DIR_MODE, why));
    TRY(tls_self_make(&wanted, &files, why));
    if (files.is_new) {
        LOG_WARN("automatically generate certificates", LOG_UINT("years", wanted.years));
        LOG_INFO("created cert file", LOG_STR("path", files.cert));
        LOG_INFO("created key file", LOG_STR("path", files.key));
    }
    tls->cert_file = arena_strdup(config->arena, files.cert);
    tls->key_file = arena_strdup(config->arena, files.key);
    tls->is_self_signed = true;
    return OK;
}

struct err self_sign(struct config *config, struct why *why)
{
    TRY(sign_side(config,
        &(struct sign){.side = "client",
            .tls = &config->client,
            .urls = {&config->listen_client, &config->listen_client_http,
                &config->advertise_client}},
        why));
    return sign_side(config,
        &(struct sign){.side = "peer",
            .tls = &config->peer,
            .urls = {&config->listen_peer, &config->advertise_peer}},
        why);
}
