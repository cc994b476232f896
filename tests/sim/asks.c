/* SPDX-License-Identifier: Apache-2.0
 *
 * The questions that members ask each other: boot's answers at the other end, which peer would
 * write into a response of HTTP. A struct ask is what they take for peer's struct peer_call.
 * typeof holds each twin against the function that it stands for.
 */
#include "net.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum ask_kind { ASK_MEMBERS, ASK_VERSION, ASK_DOWNGRADE, ASK_RENEW, ASK_LOOK, ASK_PROMOTE };

/* Never freed: either side may die with it. */
struct ask {
    struct process *from;
    struct machine *to;
    enum ask_kind kind;
    uint64_t number;
    bool with_keys;
    int64_t timeout_ns;
    struct list waiters;
    bool is_answered;
    struct err err;
    int64_t ttl_s;
    struct server_lease lease;
    struct buf text;
    uint64_t cluster_id; /* of who answers */
    void (*finish)(struct ask *ask); /* on the asking side */
    void *done;
    void *done_arg;
};

static void answered(struct peer_call *call, struct err err, struct slice text)
{
    struct ask *ask = (struct ask *)(void *)call;
    if (!ask->is_answered) {
        ask->err = err;
        buf_add_slice(&ask->text, text);
        ask->is_answered = true;
        fiber_wake_all(&ask->waiters);
    }
}

__typeof__(peer_answer_members) __wrap_peer_answer_members;
void __wrap_peer_answer_members(struct peer_call *call, struct slice json)
{
    answered(call, OK, json);
}

__typeof__(peer_answer_version) __wrap_peer_answer_version;
void __wrap_peer_answer_version(struct peer_call *call, const char *cluster, const char *storage)
{
    char json[160];
    snprintf(json, sizeof(json),
        "{\"etcdserver\":\"%s\",\"etcdcluster\":\"%s\",\"storage\":\"%s\"}", api_server_version(),
        cluster ? cluster : "not_decided", storage ? storage : "");
    answered(call, OK, slice_str(json));
}

__typeof__(peer_answer_downgrade_enabled) __wrap_peer_answer_downgrade_enabled;
void __wrap_peer_answer_downgrade_enabled(struct peer_call *call, struct err err, bool is_enabled)
{
    answered(call, err, is_enabled ? SLICE("true") : SLICE("false"));
}

__typeof__(peer_answer_promote) __wrap_peer_answer_promote;
void __wrap_peer_answer_promote(struct peer_call *call, struct err err, struct slice json)
{
    answered(call, err, json);
}

__typeof__(peer_answer_lease_renew) __wrap_peer_answer_lease_renew;
void __wrap_peer_answer_lease_renew(struct peer_call *call, struct err err, int64_t ttl)
{
    ((struct ask *)(void *)call)->ttl_s = ttl;
    answered(call, err, (struct slice){0});
}

__typeof__(peer_answer_lease_ttl) __wrap_peer_answer_lease_ttl;
void __wrap_peer_answer_lease_ttl(
    struct peer_call *call, struct err err, const struct peer_lease *lease)
{
    struct ask *ask = (struct ask *)(void *)call;
    struct slice *keys = mem_new((lease->keys_count + 1) * sizeof(*keys));
    for (size_t i = 0; i < lease->keys_count; i++) {
        keys[i] = slice_of(mem_dup(lease->keys[i].data, lease->keys[i].len), lease->keys[i].len);
    }
    ask->lease = (struct server_lease){lease->ttl, lease->granted_ttl, keys, lease->keys_count};
    answered(call, err, (struct slice){0});
}

static void *serve(void *arg)
{
    struct ask *ask = arg;
    struct process *process = ask->to->process;
    struct answers *answers = &process->answers;
    struct peer_call *call = arg;
    process->busy++;
    ask->cluster_id = member_cluster_id(process->storage.members);
    switch (ask->kind) {
    case ASK_MEMBERS:
        answer_members(answers, call);
        break;
    case ASK_VERSION:
        answer_version(answers, call);
        break;
    case ASK_DOWNGRADE:
        answer_downgrade_enabled(answers, call);
        break;
    case ASK_RENEW:
        answer_lease_renew(answers, (int64_t)ask->number, call);
        break;
    case ASK_LOOK:
        answer_lease_ttl(answers, (int64_t)ask->number, ask->with_keys, call);
        break;
    case ASK_PROMOTE:
        answer_promote(answers, ask->number, call);
        break;
    }
    process->busy--;
    return NULL;
}

/* Blocks for the way there and back, or for the timeout. */
static void ask_now(struct ask *ask)
{
    const struct machine *here = ask->from->machine;
    int64_t deadline_ns = world_now() + ask->timeout_ns;
    list_init(&ask->waiters);
    buf_init(&ask->text, SIZE_MAX);
    fiber_sleep(net_delay());
    if (ask->to && net_is_reachable(here, ask->to) && ask->to->process->answers.api) {
        fiber_detach(fiber_spawn(&ask->to->host, "answer", serve, ask));
        while (!ask->is_answered && fiber_wait(&ask->waiters, deadline_ns, "an answer")) {
        }
    }
    fiber_sleep(net_delay());
    if (!ask->is_answered || !net_is_reachable(ask->to, here)) {
        ask->is_answered = true;
        ask->err = ERR(TIMEDOUT);
    }
}

static void *ask_apart(void *arg)
{
    struct ask *ask = arg;
    ask->from->busy++;
    ask_now(ask);
    ask->finish(ask);
    ask->from->busy--;
    return NULL;
}

static void begin(const struct ask *from)
{
    struct ask *ask = mem_dup(from, sizeof(*from));
    fiber_detach(fiber_spawn(&ask->from->machine->host, "ask", ask_apart, ask));
}

/* Leases and versions, as server asks. */

static void finish_renew(struct ask *ask)
{
    void (*done)(void *done_arg, struct err err, int64_t ttl_s) = ask->done;
    done(ask->done_arg, ask->err, ask->ttl_s);
}

static void ask_renew(void *arg, uint64_t leader, int64_t id, int64_t timeout_ms,
    void (*done)(void *done_arg, struct err err, int64_t ttl_s), void *done_arg)
{
    begin(&(struct ask){.from = arg,
        .to = machine_of_id(leader),
        .kind = ASK_RENEW,
        .number = (uint64_t)id,
        .timeout_ns = timeout_ms * MS,
        .finish = finish_renew,
        .done = done,
        .done_arg = done_arg});
}

static void finish_look(struct ask *ask)
{
    void (*done)(void *done_arg, struct err err, const struct server_lease *lease) = ask->done;
    done(ask->done_arg, ask->err, &ask->lease);
}

static void ask_look(void *arg, uint64_t leader, int64_t id, bool with_keys, int64_t timeout_ms,
    void (*done)(void *done_arg, struct err err, const struct server_lease *lease), void *done_arg)
{
    begin(&(struct ask){.from = arg,
        .to = machine_of_id(leader),
        .kind = ASK_LOOK,
        .number = (uint64_t)id,
        .with_keys = with_keys,
        .timeout_ns = timeout_ms * MS,
        .finish = finish_look,
        .done = done,
        .done_arg = done_arg});
}

static void finish_versions(struct ask *ask)
{
    const char *versions[MACHINES_MAX];
    size_t count = 0;
    const struct machine *here = ask->from->machine;
    void (*done)(void *done_arg, const char *const *versions, size_t count) = ask->done;
    for (int i = 0; i < run.machines_count; i++) {
        const struct machine *machine = &run.machines[i];
        if (machine != here && machine->is_member) {
            versions[count++] = net_is_reachable(here, machine) ? api_server_version() : NULL;
        }
    }
    done(ask->done_arg, versions, count);
}

static void ask_versions(void *arg,
    void (*done)(void *done_arg, const char *const *versions, size_t count), void *done_arg)
{
    begin(&(struct ask){.from = arg,
        .kind = ASK_VERSION,
        .finish = finish_versions,
        .done = done,
        .done_arg = done_arg});
}

struct server_asking net_asking(struct process *process)
{
    return (struct server_asking){ask_renew, ask_look, ask_versions, process};
}

/* Promotions, as api asks. */

static int64_t active_since_ms(void *arg, uint64_t id)
{
    struct server_transport transport = net_transport(arg);
    return transport.active_since_ms(arg, id);
}

static void finish_promote(struct ask *ask)
{
    void (*done)(void *done_arg, struct err err, struct slice json) = ask->done;
    done(ask->done_arg, ask->err, buf_slice(&ask->text));
}

static void ask_promote(void *arg, uint64_t leader, uint64_t learner, int64_t timeout_ms,
    void (*done)(void *done_arg, struct err err, struct slice json), void *done_arg)
{
    begin(&(struct ask){.from = arg,
        .to = machine_of_id(leader),
        .kind = ASK_PROMOTE,
        .number = learner,
        .timeout_ns = timeout_ms * MS,
        .finish = finish_promote,
        .done = done,
        .done_arg = done_arg});
}

struct api_peers net_peers(struct process *process)
{
    return (struct api_peers){active_since_ms, ask_promote, process};
}

/* What who joins asks before it has a server. */

static struct machine *machine_of_url(const char *url)
{
    for (int i = 0; i < run.machines_count; i++) {
        if (strcmp(run.machines[i].peer_url, url) == 0) {
            return &run.machines[i];
        }
    }
    return NULL;
}

__typeof__(peer_fetch) __wrap_peer_fetch;
struct err __wrap_peer_fetch(const char *url, const struct peer_question *question,
    const struct http_dialing *dialing, struct peer_fetched *out, struct why *why)
{
    struct machine *to = machine_of_url(url);
    struct ask *ask = mem_new(sizeof(*ask));
    (void)dialing;
    *ask = (struct ask){.from = machine_here()->process,
        .to = to,
        .kind = strcmp(question->path, "/members") == 0   ? ASK_MEMBERS
                : strcmp(question->path, "/version") == 0 ? ASK_VERSION
                                                          : ASK_DOWNGRADE,
        .timeout_ns = question->timeout_ms * MS};
    ask_now(ask);
    if (err_is(ask->err)) {
        return why_set(why, ask->err, "no answer from %s", url);
    }
    *out = (struct peer_fetched){200, ask->cluster_id, ask->text};
    return OK;
}
