/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose turn it is. As SRV records want it (RFC 2782): who has the lowest priority, among those by
 * weight; and in turns where nobody has one. */
#include "tcpproxy/inner.h"

#include <event2/util.h>

/* One of a hundred goes to those without weight beside others that have one. */
enum { UNWEIGHTED_OF = 100 };

/* The active ones of the lowest priority. */
struct class
{
    uint16_t priority;
    uint32_t weights; /* their sum */
    size_t unweighted;
};

static bool is_in(const struct class *class, const struct remote *remote)
{
    return !remote->is_inactive && remote->priority == class->priority;
}

static bool find_class(const struct proxy *proxy, struct class *out)
{
    struct class class = {0};
    bool is_any = false;
    for (size_t i = 0; i < proxy->remotes_count; i++) {
        const struct remote *remote = &proxy->remotes[i];
        if (remote->is_inactive || (is_any && remote->priority > class.priority)) {
            continue;
        }
        if (!is_any || remote->priority < class.priority) {
            class = (struct class){.priority = remote->priority};
            is_any = true;
        }
        class.weights += remote->weight;
        class.unweighted += remote->weight == 0;
    }
    *out = class;
    return is_any;
}

static uint32_t below(uint32_t limit)
{
    uint64_t number;
    evutil_secure_rng_get_bytes(&number, sizeof(number));
    return (uint32_t)(number % limit);
}

static struct remote *by_weight(struct proxy *proxy, const struct class *class)
{
    uint32_t at = below(class->weights);
    for (size_t i = 0; i < proxy->remotes_count; i++) {
        struct remote *remote = &proxy->remotes[i];
        if (is_in(class, remote) && at < remote->weight) {
            return remote;
        }
        at -= is_in(class, remote) ? remote->weight : 0;
    }
    return NULL;
}

static struct remote *in_turns(struct proxy *proxy, const struct class *class)
{
    for (size_t i = 0; i < proxy->remotes_count; i++) {
        struct remote *remote = &proxy->remotes[proxy->picked++ % proxy->remotes_count];
        if (is_in(class, remote) && remote->weight == 0) {
            return remote;
        }
    }
    return NULL;
}

struct remote *pick_remote(struct proxy *proxy)
{
    struct class class;
    if (!find_class(proxy, &class)) {
        return NULL;
    }
    if (class.weights == 0 || (class.unweighted && below(UNWEIGHTED_OF) == 0)) {
        return in_turns(proxy, &class);
    }
    return by_weight(proxy, &class);
}
