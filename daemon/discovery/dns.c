/* SPDX-License-Identifier: Apache-2.0 */
#include "discovery/dns.h"

#include "base/log.h"
#include "base/mem.h"
#include "discovery/discovery.h"

#include <netdb.h>

/* "10.0.0.1:2380" of a host and port; as Go's ResolveTCPAddr, IPv4 first. Errors: BAD_CONFIG. */
static struct err resolve(struct arena *arena, const char *host, const char *port,
    const char **out_address, struct why *why)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char ip[NI_MAXHOST];
    int code = getaddrinfo(host, port, &hints, &found);
    const struct addrinfo *at = found;
    while (at && at->ai_family != AF_INET) {
        at = at->ai_next;
    }
    at = at ? at : found;
    if (code == 0) {
        code = getnameinfo(at->ai_addr, at->ai_addrlen, ip, sizeof(ip), NULL, 0, NI_NUMERICHOST);
    }
    freeaddrinfo(found);
    if (code != 0) {
        return why_set(why, ERR(BAD_CONFIG), "lookup %s: %s", host, gai_strerror(code));
    }
    *out_address = arena_printf(arena, "%s:%s", ip, port);
    return OK;
}

/* The peer URL of the asker that has this address; NULL: none. */
static const struct url *own_url(
    const struct dns_self *self, const char *const *addresses, const char *address)
{
    for (size_t i = 0; i < self->peer_urls->count; i++) {
        if (strcmp(addresses[i], address) == 0) {
            return &self->peer_urls->items[i];
        }
    }
    return NULL;
}

static struct err own_addresses(struct arena *arena, const struct dns_self *self,
    const char *const **out_addresses, struct why *why)
{
    const struct url_list *urls = self->peer_urls;
    const char **addresses = arena_zalloc(arena, (urls->count + 1) * sizeof(*addresses));
    for (size_t i = 0; i < urls->count; i++) {
        TRY(resolve(arena, urls->items[i].host, urls->items[i].port, &addresses[i], why));
    }
    *out_addresses = addresses;
    return OK;
}

struct err dns_members(struct arena *arena, const struct dns_self *self,
    const struct srv_records *records, struct text_list *list, struct why *why)
{
    const char *const *own;
    TRY(own_addresses(arena, self, &own, why));
    const char **items = arena_zalloc(arena, (list->count + records->count + 1) * sizeof(*items));
    size_t count = 0;
    size_t unnamed = 0;
    struct err err = OK;
    for (; count < list->count; count++) {
        items[count] = list->items[count];
    }
    for (size_t i = 0; i < records->count; i++) {
        const char *host = records->items[i].host;
        const char *port = arena_printf(arena, "%u", records->items[i].port);
        const char *address;
        struct err unknown = resolve(arena, host, port, &address, why);
        if (err_is(unknown)) {
            err = unknown;
            continue;
        }
        const struct url *url = own_url(self, own, address);
        const char *name = url && *self->name ? self->name : arena_printf(arena, "%zu", unnamed++);
        if (url && strcmp(url->scheme_text, self->scheme) != 0) {
            err = why_set(why, ERR(BAD_CONFIG),
                "bootstrap at %s://%s:%s from DNS for %s has scheme mismatch with expected peer %s",
                self->scheme, host, port, self->service, url->text);
            continue;
        }
        items[count++] = arena_printf(arena, "%s=%s://%s:%s", name, self->scheme, host, port);
    }
    if (count == list->count) {
        return err_is(err) ? err : why_set(why, ERR(BAD_CONFIG), "no members");
    }
    *list = (struct text_list){items, count};
    return OK;
}

static struct err ask(const struct config *config, const struct dns_self *self,
    struct text_list *list, struct why *why)
{
    struct arena *arena = config->arena;
    struct srv_records records;
    struct why reason = {""};
    struct err err =
        srv_look_up(arena, self->service, config->discovery.srv_domain, &records, &reason);
    if (!err_is(err)) {
        err = dns_members(arena, self, &records, list, &reason);
    }
    if (err_is(err)) {
        return why_set(
            why, err, "error querying DNS SRV records for _%s %s", self->service, reason.text);
    }
    return OK;
}

static void log_found(const struct config *config, const struct dns_self *self,
    const struct text_list *list, const struct why *why)
{
    LOG_INFO(arena_printf(config->arena, "get cluster for %s SRV", self->service),
        LOG_STR("service-scheme", self->scheme), LOG_STR("service-name", self->service),
        LOG_STR("server-name", self->name), LOG_STR("discovery-srv", config->discovery.srv_domain),
        LOG_STRS("advertise-peer-urls", url_list_texts(config->arena, self->peer_urls)),
        LOG_STRS("found-cluster", list->items), LOG_STR("error", why->text));
}

struct err discovery_from_dns(
    const struct config *config, struct arena *arena, const char **out_cluster, struct why *why)
{
    static const char *const none[] = {NULL};
    static const char *const services[][2] = {
        {"etcd-server-ssl", "https"}, {"etcd-server", "http"}};
    const char *suffix =
        *config->discovery.srv_name ? arena_printf(arena, "-%s", config->discovery.srv_name) : "";
    struct text_list list = {none, 0};
    struct why reasons[COUNT_OF(services)] = {{""}};
    for (size_t i = 0; i < COUNT_OF(services); i++) {
        struct dns_self self = {.name = config->name,
            .peer_urls = &config->advertise_peer,
            .service = arena_printf(arena, "%s%s", services[i][0], suffix),
            .scheme = services[i][1]};
        (void)err_is(ask(config, &self, &list, &reasons[i]));
        log_found(config, &self, &list, &reasons[i]);
    }
    if (list.count == 0) {
        return why_set(why, ERR(ABSENT), "%s\n%s", reasons[0].text, reasons[1].text);
    }
    for (size_t i = 0; i < list.count; i++) {
        LOG_INFO("got bootstrap from DNS for etcd-server", LOG_STR("node", list.items[i]));
    }
    *out_cluster = text_list_join(arena, &list, ",");
    return OK;
}
