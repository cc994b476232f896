/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"
#include "base/mem.h"
#include "base/text.h"
#include "peer/remote.h"

#include <event2/event.h>

struct fetch {
    struct event_base *base;
    struct err err;
    int status;
    uint64_t cluster_id;
    struct buf body;
    struct why why;
};

static void on_done(void *arg, const struct http_answer *answer)
{
    struct fetch *fetch = arg;
    fetch->err = answer->err;
    fetch->status = answer->status;
    (void)text_parse_id(http_answer_header(answer, "X-Etcd-Cluster-ID"), &fetch->cluster_id);
    buf_add_slice(&fetch->body, answer->body);
    snprintf(fetch->why.text, sizeof(fetch->why.text), "%s", answer->why);
    event_base_loopbreak(fetch->base);
}

static void run(struct fetch *fetch, const struct http_target *target,
    const struct peer_question *question, const struct http_dialing *dialing)
{
    const char *type = question->content_type;
    char *fields = type ? mem_printf("Content-Type: %s\r\n", type) : NULL;
    struct http_dialing by = dialing ? *dialing : (struct http_dialing){0};
    by.dial_ms = question->timeout_ms;
    struct http_client *client = http_client_new(fetch->base, &by);
    struct http_call call = {
        .target = *target,
        .method = question->method,
        .path = question->path,
        .fields = fields,
        .body = question->body,
        .answer_max = question->bytes_max,
        .timeout_ms = question->timeout_ms,
        .done = on_done,
        .arg = fetch,
    };
    http_client_call(client, &call);
    event_base_dispatch(fetch->base);
    http_client_free(client);
    event_base_loop(fetch->base, EVLOOP_NONBLOCK); /* libevent frees connections one turn later */
    free(fields);
}

struct err peer_fetch(const char *url, const struct peer_question *question,
    const struct http_dialing *dialing, struct peer_fetched *out, struct why *why)
{
    struct arena *arena = arena_new(0);
    struct url parsed;
    struct err err = url_parse(arena, url, &parsed, why);
    if (!err_is(err)) {
        struct http_target target = remote_url_target(arena, &parsed);
        struct fetch fetch = {.base = event_base_new()};
        check(fetch.base);
        buf_init(&fetch.body, SIZE_MAX);
        run(&fetch, &target, question, dialing);
        event_base_free(fetch.base);
        err = fetch.err;
        if (err_is(err)) {
            buf_fini(&fetch.body);
            why_set(why, err, "%s %s%s: %s", question->method, url, question->path, fetch.why.text);
        } else {
            *out = (struct peer_fetched){fetch.status, fetch.cluster_id, fetch.body};
        }
    }
    arena_free(arena);
    return err;
}
