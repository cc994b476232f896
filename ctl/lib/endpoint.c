/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/lib/target.h"

#include <string.h>

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static struct client_target unix_target(struct arena *arena, const char *endpoint)
{
    bool is_tls = endpoint[4] == 's';
    const char *path = endpoint + (is_tls ? 6 : 5);

    path += strncmp(path, "//", 2) == 0 ? 2 : 0;
    return (struct client_target){
        arena_printf(arena, "unix:%s", path),
        arena_strdup(arena, base_name(path)),
        is_tls ? CLIENT_CREDS_REQUIRED : CLIENT_CREDS_OPTIONAL,
    };
}

/* Without user, path and query. */
static const char *authority_of(struct arena *arena, const char *rest)
{
    size_t len = strcspn(rest, "/?#");
    const char *text = (const char *)arena_dup(arena, slice_of(rest, len)).data;
    const char *at = strrchr(text, '@');
    return at ? at + 1 : text;
}

struct client_target client_target_of(struct arena *arena, const char *endpoint)
{
    const char *scheme_end = strstr(endpoint, "://");

    if (strncmp(endpoint, "unix:", 5) == 0 || strncmp(endpoint, "unixs:", 6) == 0) {
        return unix_target(arena, endpoint);
    }
    if (!scheme_end) {
        const char *copy = arena_strdup(arena, endpoint);
        return (struct client_target){copy, copy, CLIENT_CREDS_OPTIONAL};
    }
    size_t scheme_len = (size_t)(scheme_end - endpoint);
    const char *host = authority_of(arena, scheme_end + 3);
    if (scheme_len == 5 && strncasecmp(endpoint, "https", 5) == 0) {
        return (struct client_target){host, host, CLIENT_CREDS_REQUIRED};
    }
    if (scheme_len == 4 && strncasecmp(endpoint, "http", 4) == 0) {
        return (struct client_target){host, host, CLIENT_CREDS_NEVER};
    }
    return (struct client_target){arena_strdup(arena, endpoint), host, CLIENT_CREDS_OPTIONAL};
}
