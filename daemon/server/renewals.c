/* SPDX-License-Identifier: Apache-2.0
 *
 * Renewals by the leader's clock. Where a checkpoint says that less than a lease's whole time
 * remains, or is on its way to say so, the next leader would end the lease by it: it is taken back
 * by one of 0, and only what is applied is answered. One such proposal is under way at a time, for
 * all that came during the last.
 */
#include "server/renewals.h"

#include "base/clock.h"

enum { BATCH_MAX = 256 }; /* a request of four kilobytes at most */

static void finish(struct server_renewal *renewal, struct err err)
{
    renewal->err = err;
    renewal->done(renewal);
}

static size_t take_batch(struct server *server, struct list *out, struct lease_remains *out_remains)
{
    size_t count = 0;
    struct list *node;
    list_init(out);
    pthread_mutex_lock(&server->reads_mutex);
    while (count < BATCH_MAX && (node = list_pop(&server->renewals))) {
        int64_t id = LIST_ITEM(node, struct server_renewal, node)->id;
        out_remains[count++] = (struct lease_remains){.id = id};
        list_push(out, node);
    }
    server->is_taking_back = count > 0;
    pthread_mutex_unlock(&server->reads_mutex);
    return count;
}

static void take_back(struct server *server)
{
    struct lease_remains remains[BATCH_MAX];
    struct list batch;
    size_t count = take_batch(server, &batch, remains);
    if (count) {
        leader_checkpoint(server, remains, count, &batch);
    }
}

static void wait_for_checkpoint(struct server *server, struct server_renewal *renewal)
{
    pthread_mutex_lock(&server->reads_mutex);
    bool is_first = !server->is_taking_back;
    server->is_taking_back = true;
    list_push(&server->renewals, &renewal->node);
    pthread_mutex_unlock(&server->reads_mutex);
    if (is_first) {
        take_back(server);
    }
}

void server_renew(struct server *server, struct server_renewal *renewal)
{
    struct err err =
        lease_renew(server->options.leases, renewal->id, clock_mono_ms(), &renewal->ttl_s);
    if (!IS(err, AGAIN)) {
        finish(renewal, err);
    } else if (atomic_load(&server->is_stopping)) {
        finish(renewal, ERR(STOPPED));
    } else {
        list_init(&renewal->node);
        wait_for_checkpoint(server, renewal);
    }
}

/* What waited for its turn would fare no better, and has its own deadline to look at. */
static void add_waiting(struct server *server, struct list *renewals)
{
    pthread_mutex_lock(&server->reads_mutex);
    list_splice(renewals, &server->renewals);
    server->is_taking_back = false;
    server->is_taking_lost = true;
    pthread_mutex_unlock(&server->reads_mutex);
}

void renewals_told(struct server *server, struct list *renewals, struct err err)
{
    struct list *node;
    if (err_is(err)) {
        add_waiting(server, renewals);
    }
    while ((node = list_pop(renewals))) {
        struct server_renewal *renewal = LIST_ITEM(node, struct server_renewal, node);
        if (err_is(err)) {
            finish(renewal, err);
        } else {
            server_renew(server, renewal);
        }
    }
    if (!err_is(err)) {
        take_back(server);
    }
}
