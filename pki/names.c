/* SPDX-License-Identifier: Apache-2.0 */
#include "pki/names.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

const struct pki_kind pki_kinds[] = {
    {"ca", "etcd-ca", PKI_USE_CA},
    {"server", NULL, PKI_USE_SERVER | PKI_USE_CLIENT},
    {"peer", NULL, PKI_USE_SERVER | PKI_USE_CLIENT},
    {"healthcheck-client", "kube-etcd-healthcheck-client", PKI_USE_CLIENT},
    {"apiserver-etcd-client", "kube-apiserver-etcd-client", PKI_USE_CLIENT},
    {"client", "etcd-client", PKI_USE_CLIENT},
};
const size_t pki_kinds_count = COUNT_OF(pki_kinds);

void pki_options_init(struct pki_options *options)
{
    *options = (struct pki_options){
        .days = 365,
        .ca_days = 3650,
        .soon_days = 30,
        .key_type = "rsa:2048",
    };
}

static bool is_label(const char *text, size_t len)
{
    if (len == 0 || len > 63 || text[0] == '-' || text[len - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)text[i]) && text[i] != '-' && text[i] != '_') {
            return false;
        }
    }
    return true;
}

static bool is_dns_name(const char *text)
{
    if (strlen(text) > 253) {
        return false;
    }
    if (strncmp(text, "*.", 2) == 0) {
        text += 2;
    }
    for (;;) {
        size_t len = strcspn(text, ".");
        if (!is_label(text, len)) {
            return false;
        }
        if (text[len] == '\0') {
            return true;
        }
        text += len + 1;
    }
}

struct err pki_san_parse(const char *text, struct pki_san *out_san, struct why *why)
{
    struct pki_san san = {0};
    if (inet_pton(AF_INET, text, san.ip) == 1) {
        san.is_ip = true;
        san.ip_len = 4;
    } else if (inet_pton(AF_INET6, text, san.ip) == 1) {
        san.is_ip = true;
        san.ip_len = 16;
    } else if (!is_dns_name(text)) {
        return why_set(
            why, ERR(BAD_INPUT), "name \"%s\" is neither an IP address nor a DNS name", text);
    }
    if (san.is_ip) {
        inet_ntop(san.ip_len == 4 ? AF_INET : AF_INET6, san.ip, san.text, sizeof(san.text));
    } else {
        snprintf(san.text, sizeof(san.text), "%s", text);
    }
    *out_san = san;
    return OK;
}

bool pki_san_eq(const struct pki_san *a, const struct pki_san *b)
{
    if (a->is_ip != b->is_ip) {
        return false;
    }
    if (a->is_ip) {
        return a->ip_len == b->ip_len && memcmp(a->ip, b->ip, a->ip_len) == 0;
    }
    return strcasecmp(a->text, b->text) == 0;
}

static struct err add_san(struct pki_names *names, const struct pki_san *san, struct why *why)
{
    for (size_t i = 0; i < names->count; i++) {
        if (pki_san_eq(&names->sans[i], san)) {
            return OK;
        }
    }
    if (names->count == PKI_NAMES_MAX) {
        return why_set(
            why, ERR(BAD_INPUT), "more than %d names for one certificate", PKI_NAMES_MAX);
    }
    names->sans[names->count++] = *san;
    return OK;
}

static struct err add_text(struct pki_names *names, const char *text, struct why *why)
{
    struct pki_san san;
    TRY(pki_san_parse(text, &san, why));
    return add_san(names, &san, why);
}

struct err pki_node_name(
    const struct pki_options *options, char out_node[PKI_NAME_MAX + 1], struct why *why)
{
    char host[256] = "";
    const char *name = options->name;
    if (name == NULL) {
        if (gethostname(host, sizeof(host) - 1) != 0) {
            return why_errno(why, errno, "read the host's name");
        }
        for (char *c = host; *c != '\0'; c++) {
            *c = (char)tolower((unsigned char)*c);
        }
        name = host;
    }
    if (name[0] == '\0' || strlen(name) > PKI_NAME_MAX) {
        return why_set(why, ERR(BAD_INPUT), "node name \"%s\" must have 1 to %d characters", name,
            PKI_NAME_MAX);
    }
    struct pki_san san;
    TRY(pki_san_parse(name, &san, why));
    memcpy(out_node, name, strlen(name) + 1);
    return OK;
}

struct err pki_names_wanted(
    const struct pki_options *options, struct pki_names *out_names, struct why *why)
{
    static const char *const always[] = {"localhost", "127.0.0.1", "::1"};
    struct pki_names names = {0};
    TRY(pki_node_name(options, names.node, why));
    TRY(add_text(&names, names.node, why));
    for (size_t i = 0; i < COUNT_OF(always); i++) {
        TRY(add_text(&names, always[i], why));
    }
    for (size_t i = 0; i < options->sans_count; i++) {
        TRY(add_text(&names, options->sans[i], why));
    }
    *out_names = names;
    return OK;
}

/* False for what no other host, or no certificate, can name. */
static bool san_of_interface(const struct ifaddrs *at, struct pki_san *out_san)
{
    struct pki_san san = {.is_ip = true};
    if (at->ifa_addr == NULL || !(at->ifa_flags & IFF_UP) || (at->ifa_flags & IFF_LOOPBACK)) {
        return false;
    }
    if (at->ifa_addr->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, at->ifa_addr, sizeof(v4));
        san.ip_len = 4;
        memcpy(san.ip, &v4.sin_addr, 4);
        if (san.ip[0] == 169 && san.ip[1] == 254) {
            return false;
        }
    } else if (at->ifa_addr->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, at->ifa_addr, sizeof(v6));
        if (IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr)) {
            return false;
        }
        san.ip_len = 16;
        memcpy(san.ip, &v6.sin6_addr, 16);
    } else {
        return false;
    }
    inet_ntop(at->ifa_addr->sa_family, san.ip, san.text, sizeof(san.text));
    *out_san = san;
    return true;
}

struct err pki_names_add_host(struct pki_names *names, struct why *why)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0) {
        return why_errno(why, errno, "list the host's addresses");
    }
    struct err e = OK;
    for (struct ifaddrs *at = all; at != NULL && !err_is(e); at = at->ifa_next) {
        struct pki_san san;
        if (san_of_interface(at, &san)) {
            e = add_san(names, &san, why);
        }
    }
    freeifaddrs(all);
    return e;
}
