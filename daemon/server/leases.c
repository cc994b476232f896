/* SPDX-License-Identifier: Apache-2.0
 *
 * Renewing and looking at leases. Only the leader's clock counts, and only while it leads: it makes
 * sure by a read index before it answers. A follower asks the leader. What fails on the way is
 * tried again at the next tick, by then perhaps with another leader.
 */
#include "server/parts.h"

#include "base/clock.h"

static void finish(struct server_lease_ask *asked, struct err err)
{
    asked->err = err;
    asked->done(asked);
}

static void try_later(struct server_lease_ask *asked)
{
    struct server *server = asked->server;
    pthread_mutex_lock(&server->reads_mutex);
    bool is_late = atomic_load(&server->is_stopping);
    if (!is_late) {
        list_push(&server->leases_waiting, &asked->node);
    }
    pthread_mutex_unlock(&server->reads_mutex);
    if (is_late) {
        finish(asked, ERR(STOPPED));
    }
}

static struct err look_here(struct server_lease_ask *asked, int64_t now_ms)
{
    struct lease_info info;
    struct slice *keys = NULL;
    size_t count = 0;
    TRY(lease_look(asked->server->options.leases, asked->id, now_ms, asked->arena, &info,
        asked->with_keys ? &keys : NULL, &count));
    if (info.remaining_s < 0) {
        return ERR(NOT_LEADER);
    }
    asked->lease = (struct server_lease){info.remaining_s, info.granted_s, keys, count};
    return OK;
}

/* Whether that is the end of it. */
static bool is_answer(struct err err)
{
    return !err_is(err) || IS(err, LEASE_NOT_FOUND);
}

static void renewed(void *arg, struct err err, int64_t ttl_s)
{
    struct server_lease_ask *asked = arg;
    asked->lease.ttl_s = ttl_s;
    if (is_answer(err)) {
        finish(asked, err);
    } else {
        try_later(asked);
    }
}

static void renewed_here(struct server_renewal *renewal)
{
    renewed(CONTAINER_OF(renewal, struct server_lease_ask, renewal), renewal->err, renewal->ttl_s);
}

/* On the leader, as it was a moment ago. */
static void answer(struct server_lease_ask *asked)
{
    if (!asked->is_look) {
        asked->renewal = (struct server_renewal){.id = asked->id, .done = renewed_here};
        server_renew(asked->server, &asked->renewal);
        return;
    }
    struct err err = look_here(asked, clock_mono_ms());
    if (IS(err, NOT_LEADER)) {
        try_later(asked);
    } else {
        finish(asked, err);
    }
}

static void leadership_known(struct server_read *read)
{
    struct server_lease_ask *asked = CONTAINER_OF(read, struct server_lease_ask, read);
    if (IS(read->err, LEADER_CHANGED)) {
        try_later(asked); /* with whoever leads then */
    } else if (err_is(read->err)) {
        finish(asked, IS(read->err, TIMEOUT) ? server_timeout(asked->server) : read->err);
    } else {
        answer(asked);
    }
}

static bool take_keys(struct server_lease_ask *asked, const struct server_lease *lease)
{
    struct slice *keys = arena_alloc(asked->arena, (lease->keys_count + 1) * sizeof(*keys));
    for (size_t i = 0; keys && i < lease->keys_count; i++) {
        keys[i] = arena_dup(asked->arena, lease->keys[i]);
        if (!keys[i].data && lease->keys[i].len) {
            return false;
        }
    }
    asked->lease.keys = keys;
    return keys != NULL;
}

static void looked(void *arg, struct err err, const struct server_lease *lease)
{
    struct server_lease_ask *asked = arg;
    if (!is_answer(err)) {
        try_later(asked);
        return;
    }
    if (!err_is(err)) {
        asked->lease = *lease;
        err = take_keys(asked, lease) ? OK : ERR(TOO_BIG);
    }
    finish(asked, err);
}

static void start(struct server_lease_ask *asked)
{
    struct server *server = asked->server;
    const struct server_asking *asking = &server->options.asking;
    uint64_t leader = atomic_load(&server->leader);
    int64_t left_ms = asked->deadline_ms - clock_mono_ms();
    if (atomic_load(&server->is_leader)) {
        asked->read.done = leadership_known;
        server_read_index(server, &asked->read);
    } else if (leader && asked->is_look && asking->lease_look) {
        asking->lease_look(
            asking->arg, leader, asked->id, asked->with_keys, left_ms, looked, asked);
    } else if (leader && !asked->is_look && asking->lease_renew) {
        asking->lease_renew(asking->arg, leader, asked->id, left_ms, renewed, asked);
    } else {
        try_later(asked);
    }
}

void server_lease_ask(struct server *server, struct server_lease_ask *asked)
{
    asked->server = server;
    asked->deadline_ms = clock_mono_ms() + server_request_ms(server);
    list_init(&asked->node);
    start(asked);
}

static void take_waiting(struct server *server, struct list *out)
{
    list_init(out);
    pthread_mutex_lock(&server->reads_mutex);
    list_splice(out, &server->leases_waiting);
    pthread_mutex_unlock(&server->reads_mutex);
}

void leases_retry(struct server *server, int64_t now_ms)
{
    struct list waiting;
    struct list *node;
    take_waiting(server, &waiting);
    while ((node = list_pop(&waiting))) {
        struct server_lease_ask *asked = LIST_ITEM(node, struct server_lease_ask, node);
        if (asked->deadline_ms <= now_ms) {
            finish(asked, server_timeout(server));
        } else {
            start(asked);
        }
    }
}

void leases_fail_all(struct server *server, struct err err)
{
    struct list waiting;
    struct list *node;
    take_waiting(server, &waiting);
    while ((node = list_pop(&waiting))) {
        finish(LIST_ITEM(node, struct server_lease_ask, node), err);
    }
}
