/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/ask.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "peer/inner.h"
#include "peer/remote.h"

enum { WAITING_MAX = 4096 };

struct ask {
    struct http_task task;
    struct list node;
    struct peer *peer;
    uint64_t id;
    char *method;
    char *path;
    char *fields;
    struct buf body;
    size_t bytes_max;
    int64_t deadline_ms;
    size_t tries;
    void (*done)(void *arg, const struct peer_answer *answer);
    void *arg;
};

static void ask_free(struct ask *ask)
{
    free(ask->method);
    free(ask->path);
    free(ask->fields);
    buf_fini(&ask->body);
    free(ask);
}

static void answer(struct ask *ask, const struct peer_answer *with)
{
    ask->done(ask->arg, with);
    ask_free(ask);
}

static void fail(struct ask *ask, struct err err, const char *why)
{
    answer(ask, &(struct peer_answer){.err = err, .why = why});
}

static void start(struct ask_slot *slot, struct ask *ask);

static void next(struct ask_slot *slot)
{
    struct asker *asker = &slot->remote->asker;
    struct list *node = list_pop(&asker->waiting);
    slot->ask = NULL;
    if (node) {
        asker->waiting_count--;
        start(slot, LIST_ITEM(node, struct ask, node));
    }
}

static void on_done(void *arg, const struct http_answer *http)
{
    struct ask_slot *slot = arg;
    struct ask *ask = slot->ask;
    struct remote *remote = slot->remote;
    if (err_is(http->err)) {
        remote_unreachable(remote, &slot->target);
    }
    bool is_worth_another = err_is(http->err) && !IS(http->err, TOO_BIG) &&
                            ++ask->tries < remote->urls.count && clock_mono_ms() < ask->deadline_ms;
    if (is_worth_another) {
        start(slot, ask);
        return;
    }
    struct peer_answer with = {.err = http->err,
        .status = http->status,
        .body = http->body,
        .why = http->why};
    (void)text_parse_id(http_answer_header(http, "X-Etcd-Cluster-ID"), &with.cluster_id);
    answer(ask, &with);
    next(slot);
}

static void start(struct ask_slot *slot, struct ask *ask)
{
    const struct peer_options *options = &slot->remote->peer->options;
    int64_t left = ask->deadline_ms - clock_mono_ms();
    slot->ask = ask;
    slot->target = remote_target(slot->remote);
    if (!slot->client) {
        slot->client = http_client_new(slot->remote->peer->base, &options->dialing);
    }
    struct http_call call = {
        .target = slot->target,
        .method = ask->method,
        .path = ask->path,
        .fields = ask->fields,
        .body = buf_slice(&ask->body),
        .answer_max = ask->bytes_max,
        .timeout_ms = left > 0 ? left : 1,
        .done = on_done,
        .arg = slot,
    };
    http_client_call(slot->client, &call);
}

static void begin(struct remote *remote, struct ask *ask)
{
    struct asker *asker = &remote->asker;
    for (size_t i = 0; i < ASKER_SLOTS; i++) {
        if (!asker->slots[i].ask) {
            start(&asker->slots[i], ask);
            return;
        }
    }
    if (asker->waiting_count == WAITING_MAX) {
        fail(ask, ERR(BUSY), "too many questions under way");
        return;
    }
    asker->waiting_count++;
    list_push(&asker->waiting, &ask->node);
}

static void run_ask(struct http_task *task)
{
    struct ask *ask = CONTAINER_OF(task, struct ask, task);
    bool is_stopped = atomic_load(&ask->peer->is_stopped);
    struct remote *remote = is_stopped ? NULL : remote_find(ask->peer, ask->id);
    if (remote) {
        begin(remote, ask);
    } else if (is_stopped) {
        fail(ask, ERR(CLOSED), "stopped");
    } else {
        fail(ask, ERR(PEER_UNKNOWN), "no such member");
    }
}

void peer_ask(struct peer *peer, uint64_t id, const struct peer_question *question,
    void (*done)(void *arg, const struct peer_answer *answer), void *arg)
{
    struct ask *ask = mem_new(sizeof(*ask));
    const char *type = question->content_type;
    ask->task.run = run_ask;
    ask->peer = peer;
    ask->id = id;
    ask->method = mem_strdup(question->method);
    ask->path = mem_strdup(question->path);
    ask->fields = mem_printf("%s%s%sX-Etcd-Cluster-Id: %s\r\n", type ? "Content-Type: " : "",
        type ? type : "", type ? "\r\n" : "", peer->cluster_text);
    buf_init(&ask->body, SIZE_MAX);
    buf_add_slice(&ask->body, question->body);
    ask->bytes_max = question->bytes_max;
    ask->deadline_ms = clock_mono_ms() + question->timeout_ms;
    ask->done = done;
    ask->arg = arg;
    http_run(peer->http, &ask->task);
}

void asker_init(struct asker *asker, struct remote *remote)
{
    list_init(&asker->waiting);
    for (size_t i = 0; i < ASKER_SLOTS; i++) {
        asker->slots[i].remote = remote;
    }
}

void asker_fini(struct asker *asker)
{
    for (size_t i = 0; i < ASKER_SLOTS; i++) {
        http_client_free(asker->slots[i].client);
        if (asker->slots[i].ask) {
            fail(asker->slots[i].ask, ERR(CLOSED), "the member was removed");
        }
    }
    for (struct list *node; (node = list_pop(&asker->waiting));) {
        fail(LIST_ITEM(node, struct ask, node), ERR(CLOSED), "the member was removed");
    }
}
