/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

static bool address_of(const char *ip, struct sockaddr_storage *out, socklen_t *out_len)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
        out->ss_family = AF_INET;
        *out_len = sizeof(*v4);
        return true;
    }
    if (inet_pton(AF_INET6, ip, &v6->sin6_addr) == 1) {
        out->ss_family = AF_INET6;
        *out_len = sizeof(*v6);
        return true;
    }
    return false;
}

static bool is_same_name(const char *pattern, const char *name)
{
    size_t pattern_len = strlen(pattern);
    size_t name_len = strlen(name);
    if (strncmp(pattern, "*.", 2) == 0) {
        return name_len >= pattern_len - 1 &&
               strcasecmp(name + name_len - (pattern_len - 1), pattern + 1) == 0;
    }
    return strcasecmp(pattern, name) == 0;
}

/* The address's own name is among the names. */
static bool is_named(char *const *names, const struct sockaddr_storage *from, socklen_t len)
{
    char own[NI_MAXHOST];
    if (getnameinfo((const struct sockaddr *)from, len, own, sizeof(own), NULL, 0, NI_NAMEREQD)) {
        return false;
    }
    for (size_t i = 0; names[i]; i++) {
        if (is_same_name(names[i], own)) {
            return true;
        }
    }
    return false;
}

/* The name has that address. */
static bool leads_to(const char *name, const char *ip)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    bool is_found = false;
    if (getaddrinfo(name, NULL, &hints, &list) != 0) {
        return false;
    }
    for (struct addrinfo *at = list; at && !is_found; at = at->ai_next) {
        char text[NI_MAXHOST];
        is_found = getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof(text), NULL, 0,
                       NI_NUMERICHOST) == 0 &&
                   strcmp(text, ip) == 0;
    }
    freeaddrinfo(list);
    return is_found;
}

static bool is_address(const char *text)
{
    struct sockaddr_storage ignored;
    socklen_t len;
    return address_of(text, &ignored, &len);
}

bool tls_cert_is_from(X509 *cert, const char *ip)
{
    struct sockaddr_storage from;
    socklen_t len = 0;
    char **sans = tls_cert_sans(cert);
    bool is_allowed = !sans[0];
    bool has_names = false;
    for (size_t i = 0; sans[i] && !is_allowed; i++) {
        has_names = has_names || !is_address(sans[i]);
    }
    is_allowed = is_allowed || tls_cert_is_for(cert, ip);
    if (!is_allowed && has_names && address_of(ip, &from, &len)) {
        is_allowed = is_named(sans, &from, len);
        for (size_t i = 0; sans[i] && !is_allowed; i++) {
            is_allowed = !is_address(sans[i]) && sans[i][0] != '*' && leads_to(sans[i], ip);
        }
    }
    free(sans);
    return is_allowed;
}
