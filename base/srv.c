/* SPDX-License-Identifier: Apache-2.0 */
#include "base/srv.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>
#include <string.h>

enum { ANSWER_BYTES = 65535, RECORDS_MAX = 256, RECORD_BYTES_MIN = 7 };

static int by_priority(const void *a, const void *b)
{
    const struct srv_record *left = a;
    const struct srv_record *right = b;
    int order = (left->priority > right->priority) - (left->priority < right->priority);
    return order ? order : (right->weight > left->weight) - (right->weight < left->weight);
}

/* What becomes part of a URL and of a list that commas divide must hold neither. */
static bool is_host(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    return *text && text[strspn(text, letters)] == '\0';
}

static bool read_record(struct arena *arena, ns_msg *message, int i, struct srv_record *out)
{
    char host[NS_MAXDNAME];
    ns_rr rr;
    if (ns_parserr(message, ns_s_an, i, &rr) != 0 || ns_rr_type(rr) != ns_t_srv ||
        ns_rr_rdlen(rr) < RECORD_BYTES_MIN) {
        return false;
    }
    const uint8_t *data = ns_rr_rdata(rr);
    if (ns_name_uncompress(
            ns_msg_base(*message), ns_msg_end(*message), data + 6, host, sizeof(host)) < 0 ||
        !is_host(host)) {
        return false;
    }
    *out = (struct srv_record){(uint16_t)ns_get16(data), (uint16_t)ns_get16(data + 2),
        (uint16_t)ns_get16(data + 4), arena_strdup(arena, host)};
    return true;
}

struct err srv_parse(struct arena *arena, struct slice answer, struct srv_records *out)
{
    ns_msg message;
    if (answer.len > ANSWER_BYTES ||
        ns_initparse((const uint8_t *)answer.data, (int)answer.len, &message) != 0) {
        return ERR(BAD_FORMAT);
    }
    size_t said = ns_msg_count(message, ns_s_an);
    size_t most = said < RECORDS_MAX ? said : RECORDS_MAX;
    struct srv_record *items = arena_alloc(arena, (most + 1) * sizeof(*items));
    size_t count = 0;
    for (size_t i = 0; i < said && count < most; i++) {
        count += read_record(arena, &message, (int)i, &items[count]);
    }
    qsort(items, count, sizeof(items[0]), by_priority);
    *out = (struct srv_records){items, count};
    return OK;
}

/* As Go names the server that was asked. */
static const char *server_of(struct arena *arena, const struct __res_state *state)
{
    char text[INET_ADDRSTRLEN];
    const struct sockaddr_in *address = &state->nsaddr_list[0];
    if (state->nscount == 0 || address->sin_family != AF_INET ||
        !inet_ntop(AF_INET, &address->sin_addr, text, sizeof(text))) {
        return "";
    }
    return arena_printf(arena, " on %s:%d", text, ntohs(address->sin_port));
}

struct err srv_look_up(struct arena *arena, const char *service, const char *domain,
    struct srv_records *out, struct why *why)
{
    struct __res_state state = {0};
    const char *name = arena_printf(arena, "_%s._tcp.%s", service, domain);
    const char *server = "";
    const char *reason = "server misbehaving";
    uint8_t *answer = arena_alloc(arena, ANSWER_BYTES);
    struct srv_records found = {NULL, 0};
    if (res_ninit(&state) == 0) {
        server = server_of(arena, &state);
        int len = res_nsearch(&state, name, ns_c_in, ns_t_srv, answer, ANSWER_BYTES);
        if (len < 0) {
            bool is_unheard = state.res_h_errno == TRY_AGAIN;
            reason = is_unheard ? "i/o timeout" : "no such host";
        } else if (len <= ANSWER_BYTES &&
                   !err_is(srv_parse(arena, slice_of(answer, (size_t)len), &found))) {
            reason = "no such host";
        }
        res_nclose(&state);
    }
    if (found.count == 0) {
        return why_set(why, ERR(ABSENT), "lookup %s%s: %s", name, server, reason);
    }
    *out = found;
    return OK;
}

/* Both ways that clients may take, one after the other. */
struct clients {
    struct srv_records records;
    struct text_list endpoints;
};

static struct err add_clients(struct arena *arena, const char *service, const char *scheme,
    const char *domain, struct clients *all, struct why *why)
{
    struct srv_records found;
    TRY(srv_look_up(arena, service, domain, &found, why));
    size_t before = all->records.count;
    size_t count = before + found.count;
    const char **endpoints = arena_zalloc(arena, (count + 1) * sizeof(*endpoints));
    struct srv_record *records = arena_alloc(arena, count * sizeof(*records));
    for (size_t i = 0; i < count; i++) {
        records[i] = i < before ? all->records.items[i] : found.items[i - before];
        endpoints[i] = i < before ? all->endpoints.items[i]
                                  : arena_printf(arena, "%s://%s:%u", scheme, records[i].host,
                                        records[i].port);
    }
    all->records = (struct srv_records){records, count};
    all->endpoints = (struct text_list){endpoints, count};
    return OK;
}

struct err srv_clients(struct arena *arena, const char *domain, const char *name,
    struct text_list *out_list, struct srv_records *out_records, struct why *why)
{
    const char *dash = *name ? "-" : "";
    struct clients all = {0};
    struct why secure = {""};
    struct why plain = {""};
    struct err err = add_clients(arena, arena_printf(arena, "etcd-client-ssl%s%s", dash, name),
        "https", domain, &all, &secure);
    struct err other = add_clients(
        arena, arena_printf(arena, "etcd-client%s%s", dash, name), "http", domain, &all, &plain);
    if (err_is(err) && err_is(other)) {
        return why_set(why, ERR(ABSENT), "dns lookup errors: %s and %s", secure.text, plain.text);
    }
    *out_list = all.endpoints;
    if (out_records) {
        *out_records = all.records;
    }
    return OK;
}
