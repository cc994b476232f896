/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoints from DNS: RFC 2782 records, asked through libresolv. */
#include "base/mem.h"
#include "ctl/lib/target.h"

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <resolv.h>
#include <string.h>

enum { ANSWER_BYTES = 65536, RECORDS_MAX = 256 };

struct record {
    unsigned priority;
    unsigned weight;
    unsigned port;
    const char *host;
};

static int by_priority(const void *a, const void *b)
{
    const struct record *left = a;
    const struct record *right = b;
    int order = (left->priority > right->priority) - (left->priority < right->priority);
    return order ? order : (right->weight > left->weight) - (right->weight < left->weight);
}

static bool read_record(struct arena *arena, ns_msg *message, int i, struct record *out)
{
    char host[NS_MAXDNAME];
    ns_rr rr;

    if (ns_parserr(message, ns_s_an, i, &rr) != 0 || ns_rr_type(rr) != ns_t_srv ||
        ns_rr_rdlen(rr) < 7) {
        return false;
    }
    const uint8_t *data = ns_rr_rdata(rr);
    if (ns_name_uncompress(
            ns_msg_base(*message), ns_msg_end(*message), data + 6, host, sizeof(host)) < 0) {
        return false;
    }
    *out = (struct record){(unsigned)ns_get16(data), (unsigned)ns_get16(data + 2),
        (unsigned)ns_get16(data + 4), arena_strdup(arena, host)};
    return true;
}

/* Appends scheme://host:port of every record; the number of them, 0 when the name has none. */
static size_t look_up(struct arena *arena, const char *name, const char *scheme, const char **out)
{
    uint8_t *answer = arena_alloc(arena, ANSWER_BYTES);
    struct record records[RECORDS_MAX];
    ns_msg message;
    size_t count = 0;
    int len = res_search(name, ns_c_in, ns_t_srv, answer, ANSWER_BYTES);

    if (len < 0 || ns_initparse(answer, len < ANSWER_BYTES ? len : ANSWER_BYTES, &message) != 0) {
        return 0;
    }
    for (int i = 0; i < ns_msg_count(message, ns_s_an) && count < RECORDS_MAX; i++) {
        count += read_record(arena, &message, i, &records[count]);
    }
    qsort(records, count, sizeof(records[0]), by_priority);
    for (size_t i = 0; i < count; i++) {
        out[i] = arena_printf(arena, "%s://%s:%u", scheme, records[i].host, records[i].port);
    }
    return count;
}

struct err client_discover(struct arena *arena, const char *domain, const char *name,
    struct text_list *out_list, struct why *why)
{
    const char **list = arena_zalloc(arena, (2 * RECORDS_MAX + 1) * sizeof(*list));
    const char *dash = *name ? "-" : "";
    const char *secure = arena_printf(arena, "_etcd-client-ssl%s%s._tcp.%s", dash, name, domain);
    const char *plain = arena_printf(arena, "_etcd-client%s%s._tcp.%s", dash, name, domain);
    size_t count = look_up(arena, secure, "https", list);

    count += look_up(arena, plain, "http", list + count);
    if (count == 0) {
        return why_set(why, ERR(ABSENT),
            "dns lookup errors: lookup %s: no such host and lookup %s: no such host", secure,
            plain);
    }
    *out_list = (struct text_list){list, count};
    return OK;
}
