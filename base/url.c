/* SPDX-License-Identifier: Apache-2.0 */
#include "base/url.h"

#include "base/mem.h"
#include "base/text.h"

#include <ctype.h>

/* What is left to parse, and the whole for messages. */
struct parse {
    struct arena *arena;
    const char *whole;
    struct why *why;
};

static struct err refuse(const struct parse *parse, const char *reason)
{
    const char *quoted = text_quote(parse->arena, parse->whole);
    return why_set(parse->why, ERR(BAD_INPUT), "parse %s: %s", quoted, reason);
}

static bool is_host_char(char c)
{
    return (unsigned char)c >= 0x80 || isalnum((unsigned char)c) ||
           (c && strchr("-_.~!$&'()*+,;=:[]<>\"", c));
}

/* A host as Go prints it back: what is no ASCII, and a zone's percent sign, escaped anew. */
static const char *encode_host(struct arena *arena, const char *host)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = arena_alloc(arena, 3 * strlen(host) + 1);
    char *end = out;
    for (const char *at = host; *at; at++) {
        if ((unsigned char)*at < 0x80 && is_host_char(*at)) {
            *end++ = *at;
        } else {
            *end++ = '%';
            *end++ = digits[(unsigned char)*at >> 4];
            *end++ = digits[*at & 0xf];
        }
    }
    *end = 0;
    return out;
}

/* Length of the scheme in front of the colon; 0: there is none. */
static struct err scheme_len(const struct parse *parse, const char *text, size_t *out_len)
{
    for (size_t i = 0; text[i]; i++) {
        if (text[i] == ':') {
            if (i == 0) {
                return refuse(parse, "missing protocol scheme");
            }
            *out_len = i;
            return OK;
        }
        bool is_later = isdigit((unsigned char)text[i]) || strchr("+-.", text[i]);
        if (!isalpha((unsigned char)text[i]) && (i == 0 || !is_later)) {
            break;
        }
    }
    *out_len = 0;
    return OK;
}

/* %xx decoded. is_host: what Go allows in a host, and nothing else. */
static struct err decode(
    const struct parse *parse, const char *text, size_t len, bool is_host, const char **out_text)
{
    char *out = arena_alloc(parse->arena, len + 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '%') {
            int high = i + 2 < len ? text_hex_digit(text[i + 1]) : -1;
            int low = i + 2 < len ? text_hex_digit(text[i + 2]) : -1;
            bool is_whole = high >= 0 && low >= 0;
            bool is_ascii = is_whole && high < 8;
            if (!is_whole || (is_host && is_ascii && strncmp(text + i, "%25", 3) != 0)) {
                size_t shown = len - i < 3 ? len - i : 3;
                const char *bad =
                    (const char *)arena_dup(parse->arena, slice_of(text + i, shown)).data;
                return refuse(parse, arena_printf(parse->arena, "invalid URL escape %s",
                                         text_quote(parse->arena, bad)));
            }
            out[n++] = (char)(high * 16 + low);
            i += 2;
            continue;
        }
        if (is_host && !is_host_char(text[i])) {
            return refuse(parse, arena_printf(parse->arena, "invalid character %s in host name",
                                     text_quote(parse->arena, (char[]){text[i], 0})));
        }
        out[n++] = text[i];
    }
    out[n] = 0;
    *out_text = out;
    return OK;
}

static bool is_port(const char *colon_port)
{
    if (*colon_port == 0) {
        return true;
    }
    return *colon_port == ':' && strspn(colon_port + 1, "0123456789") == strlen(colon_port + 1);
}

static struct err check_port(const struct parse *parse, const char *host)
{
    const char *port = strrchr(host, ':');
    if (*host == '[') {
        const char *end = strrchr(host, ']');
        if (!end) {
            return refuse(parse, "missing ']' in host");
        }
        port = end + 1;
    }
    if (port && !is_port(port)) {
        return refuse(parse, arena_printf(parse->arena, "invalid port %s after host",
                                 text_quote(parse->arena, port)));
    }
    return OK;
}

/* host:port apart where that is possible; etcd's own checks refuse the rest. */
static void split_authority(struct arena *arena, struct url *url)
{
    const char *colon = strrchr(url->authority, ':');
    const char *bracket = strrchr(url->authority, ']');
    bool has_port = colon && (!bracket || colon > bracket);
    size_t len = has_port ? (size_t)(colon - url->authority) : strlen(url->authority);
    const char *host = url->authority;
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    url->host = (const char *)arena_dup(arena, slice_of(host, len)).data;
    url->port = has_port ? arena_strdup(arena, colon + 1) : "";
}

/* rest is behind "//". */
static struct err parse_authority(const struct parse *parse, const char *rest, struct url *url)
{
    size_t len = strcspn(rest, "/");
    const char *text = (const char *)arena_dup(parse->arena, slice_of(rest, len)).data;
    const char *at = strrchr(text, '@');
    if (at) {
        text = at + 1;
    }
    TRY(check_port(parse, text));
    TRY(decode(parse, text, strlen(text), true, &url->authority));
    split_authority(parse->arena, url);
    return decode(parse, rest + len, strlen(rest + len), false, &url->path);
}

static enum url_scheme scheme_of(const char *text)
{
    static const char *const names[] = {"", "http", "https", "unix", "unixs"};
    for (size_t i = 1; i < COUNT_OF(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            return (enum url_scheme)i;
        }
    }
    return URL_OTHER;
}

static struct err check_path(const struct parse *parse, const char *rest)
{
    size_t first = strcspn(rest, "/");
    if (*rest && *rest != '/' && memchr(rest, ':', first)) {
        return refuse(parse, "first path segment in URL cannot contain colon");
    }
    return OK;
}

/* rest is "//…", as it was given. */
static const char *print_back(struct arena *arena, const char *rest, const struct url *url)
{
    const char *user = rest + 2;
    size_t len = strcspn(user, "/?#");
    const char *at = memrchr(user, '@', len);
    return arena_printf(arena, "%s%s//%.*s%s%s", url->scheme_text, *url->scheme_text ? ":" : "",
        at ? (int)(at + 1 - user) : 0, user, encode_host(arena, url->authority), user + len);
}

struct err url_parse(struct arena *arena, const char *text, struct url *out_url, struct why *why)
{
    struct parse parse = {arena, text, why};
    struct url url = {.authority = "", .host = "", .port = "", .path = "", .scheme_text = ""};
    size_t len = 0;
    for (const char *at = text; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            return refuse(&parse, "net/url: invalid control character in URL");
        }
    }
    TRY(scheme_len(&parse, text, &len));
    char *scheme = (char *)arena_dup(arena, slice_of(text, len)).data;
    for (size_t i = 0; i < len; i++) {
        scheme[i] = (char)tolower((unsigned char)scheme[i]);
    }
    url.scheme = scheme_of(scheme);
    url.scheme_text = scheme;
    const char *rest = len ? text + len + 1 : text;
    url.text = arena_printf(arena, "%s%s%s", scheme, len ? ":" : "", rest);
    const char *hierarchy =
        (const char *)arena_dup(arena, slice_of(rest, strcspn(rest, "?#"))).data;
    if (strncmp(hierarchy, "//", 2) == 0 && (len || hierarchy[2] != '/')) {
        TRY(parse_authority(&parse, hierarchy + 2, &url));
        url.text = print_back(arena, rest, &url);
    } else if (len == 0 || *hierarchy == '/') {
        TRY(check_path(&parse, hierarchy));
        TRY(decode(&parse, hierarchy, strlen(hierarchy), false, &url.path));
    }
    *out_url = url;
    return OK;
}

static struct err split_refuse(struct why *why, const char *address, const char *reason)
{
    return why_set(why, ERR(BAD_INPUT), "address %s: %s", address, reason);
}

struct err url_split_host_port(struct arena *arena, const char *authority, const char **out_host,
    const char **out_port, struct why *why)
{
    const char *colon = strrchr(authority, ':');
    const char *host = authority;
    if (!colon) {
        return split_refuse(why, authority, "missing port in address");
    }
    size_t len = (size_t)(colon - authority);
    if (*authority == '[') {
        const char *end = strchr(authority, ']');
        if (!end) {
            return split_refuse(why, authority, "missing ']' in address");
        }
        if (end[1] != ':') {
            return split_refuse(why, authority,
                end[1] && strchr(end, ':') && end + 1 != colon ? "too many colons in address"
                                                               : "missing port in address");
        }
        if (end + 1 != colon) {
            return split_refuse(why, authority, "too many colons in address");
        }
        host = authority + 1;
        len -= 2;
    } else if (memchr(authority, ':', len)) {
        return split_refuse(why, authority, "too many colons in address");
    }
    if (memchr(host, '[', len) || strchr(colon, '[')) {
        return split_refuse(why, authority, "unexpected '[' in address");
    }
    if (memchr(host, ']', len) || strchr(colon, ']')) {
        return split_refuse(why, authority, "unexpected ']' in address");
    }
    *out_port = arena_strdup(arena, colon + 1);
    *out_host = (const char *)arena_dup(arena, slice_of(host, len)).data;
    return OK;
}

bool url_is_tls(const struct url *url)
{
    return url->scheme == URL_HTTPS || url->scheme == URL_UNIXS;
}

bool url_is_unix(const struct url *url)
{
    return url->scheme == URL_UNIX || url->scheme == URL_UNIXS;
}

const char *url_unix_path(struct arena *arena, const struct url *url)
{
    return arena_printf(arena, "%s%s", url->authority, url->path);
}
