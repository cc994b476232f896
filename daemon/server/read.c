/* SPDX-License-Identifier: Apache-2.0
 *
 * Linearizable reads: all that came during a turn share one read index; when raft confirms it, they
 * wait until that index is applied.
 */
#include "server/parts.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/mutation.h"

enum {
    RETRY_MS = 500, /* as etcd */
    GROUPS_MAX = 2, /* asked at a time; what comes meanwhile shares the next */
};

enum { IDS_MAX = 16, WAITS_MAX = 1000 };

/* Reads that one read index speaks for. Each try has an id that nobody else ever used: the answer
 * to any of them will do, as all were asked after the reads came. Asked as long as one waits: an
 * answer that is eight seconds late is not waited for any more, a leader that can be reached again
 * is. */
struct read_group {
    struct list node;
    struct list reads;
    uint64_t ids[IDS_MAX]; /* of the last tries, in a ring */
    size_t tries;
    int64_t retry_at_ms;
};

bool server_can_read_now(struct server *server)
{
    return atomic_load_explicit(&server->is_leader, memory_order_acquire) &&
           atomic_load_explicit(&server->is_alone, memory_order_acquire) &&
           atomic_load_explicit(&server->applied_term, memory_order_relaxed) ==
               atomic_load_explicit(&server->term, memory_order_relaxed) &&
           apply_index(server->options.apply) >=
               atomic_load_explicit(&server->alone_from, memory_order_relaxed);
}

static void read_finish(struct server *server, struct server_read *read, struct err err)
{
    if (err_is(err)) {
        metric_inc(server->metrics.read_index_failed);
    }
    read->err = err;
    read->done(read);
}

struct err server_timeout(struct server *server)
{
    return atomic_load(&server->leader) ? ERR(TIMEOUT) : ERR(NO_LEADER);
}

void server_read_index(struct server *server, struct server_read *read)
{
    if (server_can_read_now(server)) {
        read_finish(server, read, OK);
        return;
    }
    read->deadline_ms = clock_mono_ms() + server_request_ms(server);
    struct core_read *envelope = mem_new(sizeof(*envelope));
    envelope->item.kind = CORE_READ;
    envelope->read = read;
    if (!mailbox_push(&server->core_box, &envelope->item.node)) {
        bool is_stopping = atomic_load(&server->is_stopping);
        free(envelope);
        read_finish(server, read, is_stopping ? ERR(STOPPED) : ERR(REQUEST_TOO_MANY_REQUESTS));
    }
}

/* By index: whoever looks for those that are due sees no more than them and one. */
static void wait_in_order(struct server *server, struct server_read *read)
{
    struct list *at = server->waits.prev;
    while (at != &server->waits && LIST_ITEM(at, struct server_read, node)->index > read->index) {
        at = at->prev;
    }
    list_add_before(at->next, &read->node);
    server->waits_count++;
}

void server_wait_applied(struct server *server, struct server_read *read, uint64_t index)
{
    struct err err = OK;
    read->index = index;
    read->deadline_ms = clock_mono_ms() + server_request_ms(server);
    pthread_mutex_lock(&server->reads_mutex);
    if (atomic_load(&server->is_stopping)) {
        err = ERR(STOPPED);
    } else if (server->waits_count >= WAITS_MAX) {
        err = ERR(REQUEST_TOO_MANY_REQUESTS);
    } else {
        wait_in_order(server, read);
    }
    pthread_mutex_unlock(&server->reads_mutex);
    if (err_is(err)) {
        read_finish(server, read, err);
        return;
    }
    read_complete_applied(server); /* it may have come meanwhile */
}

void read_arrived(struct server *server, struct server_read *read)
{
    list_push(&server->reads_new, &read->node);
}

static struct err ask(struct server *server, struct read_group *group)
{
    uint64_t id = server_next_id(server);
    uint8_t bytes[8];
    put_be64(bytes, id);
    struct blob *context = blob_new(slice_of(bytes, sizeof(bytes)));
    struct raft_event event = {.type = RAFT_READ_INDEX, .context = context};
    struct err err = raft_step(server->options.raft, &event);
    blob_unref(context);
    if (!err_is(err)) {
        group->ids[group->tries++ % IDS_MAX] = id;
        group->retry_at_ms = clock_mono_ms() + RETRY_MS;
    }
    return err;
}

void read_ask(struct server *server)
{
    if (list_is_empty(&server->reads_new) || atomic_load(&server->leader) == 0 ||
        server->read_groups_count >= GROUPS_MAX) {
        return;
    }
    struct read_group *group = mem_new(sizeof(*group));
    list_init(&group->reads);
    if (err_is(ask(server, group))) {
        free(group); /* no leader after all: asked again next turn */
        return;
    }
    list_splice(&group->reads, &server->reads_new);
    list_push(&server->read_groups, &group->node);
    server->read_groups_count++;
}

void read_retry(struct server *server, int64_t now_ms)
{
    LIST_EACH(node, &server->read_groups)
    {
        struct read_group *group = LIST_ITEM(node, struct read_group, node);
        if (now_ms >= group->retry_at_ms && !err_is(ask(server, group))) {
            metric_inc(server->metrics.slow_reads);
            LOG_WARN("waiting for ReadIndex response took too long, retrying",
                LOG_UINT("sent-request-id", group->ids[(group->tries - 1) % IDS_MAX]),
                LOG_MS("retry-timeout", RETRY_MS));
        }
    }
}

static void group_free(struct server *server, struct read_group *group)
{
    list_remove(&group->node);
    server->read_groups_count--;
    free(group);
}

static bool group_has(const struct read_group *group, uint64_t id)
{
    for (size_t i = 0; i < group->tries && i < IDS_MAX; i++) {
        if (group->ids[i] == id) {
            return true;
        }
    }
    return false;
}

static void wait_applied(struct server *server, struct read_group *group, uint64_t index)
{
    LIST_EACH(node, &group->reads)
    {
        LIST_ITEM(node, struct server_read, node)->index = MUTATE(READ_UNAPPLIED) ? 0 : index;
    }
    pthread_mutex_lock(&server->reads_mutex);
    list_splice(&server->reads_at_index, &group->reads);
    pthread_mutex_unlock(&server->reads_mutex);
    group_free(server, group);
}

void read_states(struct server *server, const struct raft_update *update)
{
    for (size_t i = 0; i < update->reads_count; i++) {
        if (!update->reads[i].context || update->reads[i].context->len != 8) {
            continue;
        }
        uint64_t id = get_be64(update->reads[i].context->data);
        LIST_EACH_SAFE(node, tmp, &server->read_groups)
        {
            struct read_group *group = LIST_ITEM(node, struct read_group, node);
            if (group_has(group, id)) {
                wait_applied(server, group, update->reads[i].index);
            }
        }
    }
    if (update->reads_count) {
        read_complete_applied(server);
        read_ask(server); /* for those that came meanwhile */
    }
}

/* Without any lock: whose read it was may start the next call at once. */
static void finish_all(struct server *server, struct list *reads, struct err err)
{
    struct list *node;
    while ((node = list_pop(reads))) {
        read_finish(server, LIST_ITEM(node, struct server_read, node), err);
    }
}

static void take_due(struct server *server, uint64_t applied, struct list *out)
{
    while (!list_is_empty(&server->waits) &&
           LIST_ITEM(server->waits.next, struct server_read, node)->index <= applied) {
        list_push(out, list_pop(&server->waits));
        server->waits_count--;
    }
}

void read_complete_applied(struct server *server)
{
    struct list ready;
    uint64_t applied = apply_index(server->options.apply);
    list_init(&ready);
    pthread_mutex_lock(&server->reads_mutex);
    LIST_EACH_SAFE(at, tmp, &server->reads_at_index)
    {
        if (LIST_ITEM(at, struct server_read, node)->index <= applied) {
            list_remove(at);
            list_push(&ready, at);
        }
    }
    take_due(server, applied, &ready);
    pthread_mutex_unlock(&server->reads_mutex);
    finish_all(server, &ready, OK);
}

/* How many there were. */
static size_t take_expired(struct list *reads, int64_t now_ms, struct list *out)
{
    size_t count = 0;
    LIST_EACH_SAFE(node, tmp, reads)
    {
        if (LIST_ITEM(node, struct server_read, node)->deadline_ms <= now_ms) {
            list_remove(node);
            list_push(out, node);
            count++;
        }
    }
    return count;
}

void read_leader_lost(struct server *server)
{
    LIST_EACH_SAFE(node, tmp, &server->read_groups)
    {
        struct read_group *group = LIST_ITEM(node, struct read_group, node);
        finish_all(server, &group->reads, ERR(LEADER_CHANGED));
        group_free(server, group);
    }
}

void read_expire(struct server *server, int64_t now_ms, struct err err)
{
    struct list expired;
    list_init(&expired);
    take_expired(&server->reads_new, now_ms, &expired);
    LIST_EACH_SAFE(node, tmp, &server->read_groups)
    {
        struct read_group *group = LIST_ITEM(node, struct read_group, node);
        take_expired(&group->reads, now_ms, &expired);
        if (list_is_empty(&group->reads)) {
            group_free(server, group);
        }
    }
    pthread_mutex_lock(&server->reads_mutex);
    take_expired(&server->reads_at_index, now_ms, &expired);
    server->waits_count -= take_expired(&server->waits, now_ms, &expired);
    pthread_mutex_unlock(&server->reads_mutex);
    finish_all(server, &expired, err);
}
