/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the key directory ask for. Sides (client, peer) that flags speak about are left
 * alone. */
#include "config/draft.h"

#include "base/mem.h"
#include "base/tls.h"

#include <errno.h>
#include <sys/stat.h>

#define KEY_DIR_DEFAULT "/key"

static const char *path_in(struct draft *draft, const char *name)
{
    return arena_printf(draft->config.arena, "%s/%s", draft->config.key_dir, name);
}

/* The path, or "" when nothing is there. A file that cannot be looked at counts as there: its check
 * says why. */
static const char *file_in(struct draft *draft, const char *name)
{
    struct stat info;
    const char *path = path_in(draft, name);
    return stat(path, &info) == 0 || (errno != ENOENT && errno != ENOTDIR) ? path : "";
}

/* Whether there is a directory to look into. Errors: BAD_TLS (one was asked for and is not there).
 */
static struct err find_dir(struct draft *draft, bool *out_found, struct why *why)
{
    struct stat info;
    struct config *config = &draft->config;
    bool is_asked = *config->key_dir != 0;
    const char *fallback = draft->source->key_dir_default;
    const char *path = is_asked ? config->key_dir : fallback ? fallback : KEY_DIR_DEFAULT;
    if (stat(path, &info) != 0) {
        if (!is_asked && (errno == ENOENT || errno == ENOTDIR)) {
            *out_found = false;
            return OK;
        }
        (void)why_errno(why, errno, "key directory %s", path);
        return ERR(BAD_TLS);
    }
    if (!S_ISDIR(info.st_mode)) {
        if (!is_asked) {
            *out_found = false;
            return OK;
        }
        return why_set(why, ERR(BAD_TLS), "key directory %s: is not a directory", path);
    }
    config->key_dir = arena_strdup(config->arena, path);
    *out_found = true;
    return OK;
}

static bool is_explicit(const struct config_tls *tls)
{
    return *tls->cert_file || *tls->key_file || *tls->ca_file || tls->is_auto;
}

/* Both files of a pair or none. Errors: BAD_TLS (one of them). */
static struct err find_pair(
    struct draft *draft, const char *name, struct config_tls *out_pair, struct why *why)
{
    struct arena *arena = draft->config.arena;
    const char *cert = arena_printf(arena, "%s.crt", name);
    const char *key = arena_printf(arena, "%s.key", name);
    out_pair->cert_file = file_in(draft, cert);
    out_pair->key_file = file_in(draft, key);
    if (!*out_pair->cert_file != !*out_pair->key_file) {
        return why_set(why, ERR(BAD_TLS), "key directory %s: there is %s but no %s",
            draft->config.key_dir, *out_pair->cert_file ? cert : key,
            *out_pair->cert_file ? key : cert);
    }
    return OK;
}

static struct err check_side(
    const struct draft *draft, const struct config_tls *tls, struct why *why)
{
    int64_t now_s = draft->source->now_s;
    struct err e = tls_check_pair(tls->cert_file, tls->key_file, now_s, why);
    if (!err_is(e) && *tls->ca_file) {
        e = tls_check_ca(tls->ca_file, now_s, why);
    }
    if (!err_is(e) && *tls->ca_file) {
        e = tls_check_chain(tls->cert_file, tls->ca_file, now_s, why);
    }
    return err_is(e) ? ERR(BAD_TLS) : OK;
}

/* The default URLs speak TLS where it was switched on; URLs that were given stay as they are. */
static void urls_to_tls(struct draft *draft, const char *row, struct url_list *list)
{
    const char *text = url_list_text(draft->config.arena, list);
    if (row_is_set(draft, row) || strncmp(text, "http://", 7) != 0 || list->count != 1) {
        return;
    }
    text = arena_printf(draft->config.arena, "https://%s", text + 7);
    struct err e = url_list_parse_unique(draft->config.arena, text, list, NULL);
    check(!err_is(e));
}

static void warn_plain(struct draft *draft, const struct url_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!url_is_tls(&list->items[i])) {
            note(draft, LOG_LEVEL_WARN,
                "URL is served without TLS as given, although the key directory has certificates",
                name, list->items[i].text);
        }
    }
}

static struct err client_side(
    struct draft *draft, const char *ca, const char **out_found, struct why *why)
{
    struct config *config = &draft->config;
    struct config_tls pair = config->client;
    TRY(find_pair(draft, "server", &pair, why));
    if (!*pair.cert_file) {
        return OK;
    }
    bool refuses_auth = row_is_set(draft, "client-cert-auth") && !config->client.client_cert_auth;
    if (!*ca && !refuses_auth && *file_in(draft, "ca.key")) {
        return why_set(why, ERR(BAD_TLS),
            "key directory %s: there is ca.key but no ca.crt to know clients by (bring ca.crt, or "
            "serve all with --client-cert-auth=false)",
            config->key_dir);
    }
    if (*ca && !refuses_auth) {
        pair.ca_file = ca;
        pair.client_cert_auth = true;
    }
    TRY(check_side(draft, &pair, why));
    pair.is_detected = true;
    config->client = pair;
    urls_to_tls(draft, "listen-client-urls", &config->listen_client);
    urls_to_tls(draft, "advertise-client-urls", &config->advertise_client);
    warn_plain(draft, &config->listen_client, "client-url");
    *out_found =
        *pair.ca_file
            ? "server.crt and server.key with ca.crt: client TLS, client certificates required"
            : "server.crt and server.key: client TLS";
    return OK;
}

static struct err peer_side(
    struct draft *draft, const char *ca, const char **out_found, struct why *why)
{
    struct config *config = &draft->config;
    struct config_tls pair = config->peer;
    TRY(find_pair(draft, "peer", &pair, why));
    if (!*pair.cert_file) {
        return OK;
    }
    if (!*ca) {
        return why_set(why, ERR(BAD_TLS),
            "key directory %s: there are peer.crt and peer.key but no ca.crt to know other "
            "members by",
            config->key_dir);
    }
    pair.ca_file = ca;
    pair.client_cert_auth =
        !row_is_set(draft, "peer-client-cert-auth") || config->peer.client_cert_auth;
    TRY(check_side(draft, &pair, why));
    pair.is_detected = true;
    config->peer = pair;
    urls_to_tls(draft, "listen-peer-urls", &config->listen_peer);
    urls_to_tls(draft, "initial-advertise-peer-urls", &config->advertise_peer);
    warn_plain(draft, &config->listen_peer, "peer-url");
    *out_found = "peer.crt and peer.key with ca.crt: mutual TLS between members";
    return OK;
}

struct err keydir_apply(struct draft *draft, struct why *why)
{
    struct config *config = &draft->config;
    const char *client = "";
    const char *peer = "";
    bool is_found = false;
    bool is_off = row_is_set(draft, "key-dir") && *config->key_dir == 0;
    if (!is_off) {
        TRY(find_dir(draft, &is_found, why));
    }
    if (!is_found) {
        config->key_dir = "";
        return OK;
    }
    const char *ca = file_in(draft, "ca.crt");
    if (is_explicit(&config->client)) {
        client = "client side left to the flags";
    } else {
        TRY(client_side(draft, ca, &client, why));
    }
    if (is_explicit(&config->peer)) {
        peer = "peer side left to the flags";
    } else {
        TRY(peer_side(draft, ca, &peer, why));
    }
    const char *none =
        *client || *peer ? "" : "neither server nor peer certificates, TLS stays off";
    config->detected = arena_printf(config->arena, "%s: %s%s%s%s", config->key_dir, client,
        *client && *peer ? "; " : "", peer, none);
    return OK;
}
