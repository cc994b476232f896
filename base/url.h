/* SPDX-License-Identifier: Apache-2.0
 *
 * The URLs that flags, members and clients carry: http, https, unix, unixs. Taken apart as Go's
 * net/url does, with its error texts, because operators' scripts and etcd's log lines show them.
 * Pure.
 */
#ifndef BASE_URL_H
#define BASE_URL_H

#include "base/arena.h"
#include "base/err.h"

enum url_scheme { URL_OTHER, URL_HTTP, URL_HTTPS, URL_UNIX, URL_UNIXS };

/* All text lives in the arena that it was parsed with, NUL-terminated, never NULL. */
struct url {
    enum url_scheme scheme;
    const char *scheme_text; /* "https" */
    const char *text;        /* as Go prints it back: "https://10.0.0.1:2379" */
    const char *authority;   /* host and port as written, without user: "[::1]:2379" */
    const char *host;        /* without brackets: "::1" */
    const char *port;        /* "2379"; "" when there is none */
    const char *path;        /* decoded; with unix: URLs the socket's path is authority + path */
};

struct url_list {
    const struct url *items;
    size_t count;
};

/* Any URL. Errors: BAD_INPUT with Go's text (parse "…": …). */
struct err url_parse(struct arena *arena, const char *text, struct url *out_url, struct why *why);
/* A comma list of URLs a member may listen on or advertise (etcd's types.NewURLs): scheme,
 * host:port and no path are required, the result is sorted. Errors: BAD_INPUT. */
struct err url_list_parse(
    struct arena *arena, const char *text, struct url_list *out_list, struct why *why);
/* The same without duplicates, as etcd's URL flags take it. Errors: BAD_INPUT. */
struct err url_list_parse_unique(
    struct arena *arena, const char *text, struct url_list *out_list, struct why *why);

/* "a,b,c" in the arena. */
const char *url_list_text(struct arena *arena, const struct url_list *list);
/* NULL-terminated texts, in the arena; for log lines and messages. */
const char *const *url_list_texts(struct arena *arena, const struct url_list *list);

/* https or unixs. */
bool url_is_tls(const struct url *url);
/* unix or unixs. */
bool url_is_unix(const struct url *url);
/* The path a unix: or unixs: URL names its socket by, as etcd reads it: "unix://localhost:123" is
 * the file "localhost:123" in the working folder, "unix:///run/e.sock" is "/run/e.sock". */
const char *url_unix_path(struct arena *arena, const struct url *url);

/* Splits "host:port" or "[v6]:port" as Go's net.SplitHostPort. Errors: BAD_INPUT ("address x:
 * missing port in address"). */
struct err url_split_host_port(struct arena *arena, const char *authority, const char **out_host,
    const char **out_port, struct why *why);

/* A member and its peer URLs, from --initial-cluster "a=http://h:1,a=http://h:2,b=…". */
struct url_member {
    const char *name;
    struct url_list urls;
};

struct url_cluster {
    const struct url_member *items; /* sorted by name */
    size_t count;
};

/* Errors: BAD_INPUT. An empty text is an empty cluster. */
struct err url_cluster_parse(
    struct arena *arena, const char *text, struct url_cluster *out_cluster, struct why *why);
/* NULL when no member has that name. */
const struct url_member *url_cluster_find(const struct url_cluster *cluster, const char *name);
/* "a=http://h:1,b=http://h:2", sorted, as etcd logs it. */
const char *url_cluster_text(struct arena *arena, const struct url_cluster *cluster);

#endif
