/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/remote.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "peer/inner.h"
#include "peer/snapsend.h"

/* Where and when. */

static bool parse_urls(
    struct remote *remote, const char *const *texts, size_t count, struct url_list *out)
{
    struct url *urls = arena_alloc(remote->arena, (count ? count : 1) * sizeof(*urls));
    size_t good = 0;
    for (size_t i = 0; i < count; i++) {
        struct why why = {""};
        if (!err_is(url_parse(remote->arena, texts[i], &urls[good], &why))) {
            good++;
        } else {
            LOG_WARN("ignored URL of remote peer", LOG_STR("remote-peer-id", remote->id_text),
                LOG_ERR(why.text));
        }
    }
    *out = (struct url_list){urls, good};
    return good > 0;
}

struct http_target remote_url_target(struct arena *arena, const struct url *url)
{
    const char *scheme_port = url_is_tls(url) ? "443" : "80";
    return (struct http_target){
        .is_tls = url_is_tls(url),
        .authority = url->authority,
        .host = url->host,
        .port = url->port[0] ? url->port : scheme_port,
        .unix_path = url_is_unix(url) ? url_unix_path(arena, url) : NULL,
    };
}

/* The targets are made once: it is dialed again and again for as long as it is gone. */
static void take_urls(struct remote *remote, const struct url_list *urls)
{
    struct http_target *targets = arena_alloc(remote->arena, urls->count * sizeof(*targets));
    for (size_t i = 0; i < urls->count; i++) {
        targets[i] = remote_url_target(remote->arena, &urls->items[i]);
    }
    remote->urls = *urls;
    remote->targets = targets;
    remote->picked = 0;
}

struct http_target remote_target(const struct remote *remote)
{
    return remote->targets[remote->picked];
}

void remote_unreachable(struct remote *remote, const struct http_target *target)
{
    const struct url *picked = &remote->urls.items[remote->picked];
    if (strcmp(picked->authority, target->authority) == 0) {
        remote->picked = (remote->picked + 1) % remote->urls.count;
    }
}

static struct slot *take_slot(struct peer *peer, uint64_t id)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (atomic_load(&peer->slots[i].id) == 0) {
            atomic_store(&peer->slots[i].since_ms, 0);
            atomic_store(&peer->slots[i].refused_ms, 0);
            atomic_store(&peer->slots[i].takes, SNAPSHOT_DATABASE);
            atomic_store(&peer->slots[i].id, id);
            return &peer->slots[i];
        }
    }
    return NULL;
}

void remote_takes(struct remote *remote, enum snapshot_form form)
{
    atomic_store(&remote->slot->takes, (int)form);
}

void remote_activate(struct remote *remote)
{
    remote->refusals = 0;
    atomic_store(&remote->slot->refused_ms, 0);
    if (remote->is_active) {
        return;
    }
    LOG_INFO("peer became active", LOG_STR("peer-id", remote->id_text));
    remote->is_active = true;
    atomic_store(&remote->slot->since_ms, clock_mono_ms());
    metric_add(remote->metrics.active, 1);
}

/* No stream of it is left, and each of its addresses was tried. */
void remote_dialed(struct remote *remote, bool is_refused)
{
    bool is_reading = remote->readers[0].is_reading || remote->readers[1].is_reading;
    remote->refusals = is_refused && !is_reading ? remote->refusals + 1 : 0;
    if (remote->refusals < COUNT_OF(remote->readers) * remote->urls.count) {
        atomic_store(&remote->slot->refused_ms, 0);
    } else if (atomic_load(&remote->slot->refused_ms) == 0) {
        atomic_store(&remote->slot->refused_ms, clock_mono_ms());
    }
}

static void be_inactive(struct remote *remote)
{
    remote->is_active = false;
    atomic_store(&remote->slot->since_ms, 0);
    metric_add(remote->metrics.active, -1);
}

void remote_deactivate(
    struct remote *remote, const char *source, const char *action, const char *why)
{
    struct why text;
    if (!remote->is_active) {
        return;
    }
    snprintf(text.text, sizeof(text.text), "failed to %s %s on %s (%s)", action, remote->id_text,
        source, why);
    LOG_WARN("peer became inactive (message send to peer failed)",
        LOG_STR("peer-id", remote->id_text), LOG_ERR(text.text));
    be_inactive(remote);
    metric_inc(remote->metrics.disconnected);
}

/* Life. */

struct remote *remote_find(struct peer *peer, uint64_t id)
{
    LIST_EACH(node, &peer->remotes)
    {
        struct remote *remote = LIST_ITEM(node, struct remote, node);
        if (remote->id == id) {
            return remote;
        }
    }
    return NULL;
}

static void start_streams(struct remote *remote)
{
    for (int kind = FRAME_MESSAGE; kind <= FRAME_MSGAPP; kind++) {
        writer_init(&remote->writers[kind], remote, (enum frame_kind)kind);
        reader_init(&remote->readers[kind], remote, (enum frame_kind)kind);
        reader_dial(&remote->readers[kind]);
    }
    probe_init(&remote->probe, remote);
    metric_set(remote->metrics.known, 1);
}

struct remote *remote_add(
    struct peer *peer, uint64_t id, const char *const *urls, size_t count, bool is_member)
{
    struct remote *remote = mem_new(sizeof(*remote));
    remote->peer = peer;
    remote->id = id;
    remote->is_member = is_member;
    remote->arena = arena_new(0);
    snprintf(remote->id_text, sizeof(remote->id_text), "%llx", (unsigned long long)id);
    struct url_list list;
    bool is_good = parse_urls(remote, urls, count, &list);
    remote->slot = is_good ? take_slot(peer, id) : NULL;
    if (!remote->slot) {
        LOG_ERROR("cannot reach remote peer: no URL that can be used, or too many members",
            LOG_STR("remote-peer-id", remote->id_text));
        arena_free(remote->arena);
        free(remote);
        return NULL;
    }
    take_urls(remote, &list);
    remote_metrics_init(&remote->metrics, &peer->metrics, peer->self_text, remote->id_text);
    list_push(&peer->remotes, &remote->node);
    pipeline_init(&remote->pipeline, remote);
    asker_init(&remote->asker, remote);
    if (is_member) {
        start_streams(remote);
    }
    LOG_INFO(is_member ? "added remote peer" : "added new remote peer",
        LOG_STR("local-member-id", peer->self_text), LOG_STR("remote-peer-id", remote->id_text),
        LOG_STRS("remote-peer-urls", url_list_texts(remote->arena, &remote->urls)));
    return remote;
}

/* Calls under way keep their target: the arena keeps the old texts too. */
void remote_update(struct remote *remote, const char *const *urls, size_t count)
{
    struct url_list list;
    if (parse_urls(remote, urls, count, &list)) {
        take_urls(remote, &list);
        LOG_INFO("updated remote peer", LOG_STR("local-member-id", remote->peer->self_text),
            LOG_STR("updated-remote-peer-id", remote->id_text),
            LOG_STRS("updated-remote-peer-urls", url_list_texts(remote->arena, &list)));
    }
}

void remote_free(struct remote *remote)
{
    list_remove(&remote->node);
    if (remote->is_member) {
        for (int kind = FRAME_MESSAGE; kind <= FRAME_MSGAPP; kind++) {
            writer_fini(&remote->writers[kind]);
            reader_fini(&remote->readers[kind]);
        }
        metric_set(remote->metrics.known, 0);
    }
    probe_fini(&remote->probe);
    pipeline_fini(&remote->pipeline);
    asker_fini(&remote->asker);
    if (remote->is_active) {
        be_inactive(remote);
    }
    atomic_store(&remote->slot->id, 0);
    arena_free(remote->arena);
    free(remote);
}

/* Messages. */

void remote_drop(struct remote *remote, struct raft_message *message)
{
    const struct peer_options *options = &remote->peer->options;
    options->report_unreachable(options->arg, remote->id);
    metric_inc(remote->metrics.sent_failures);
    raft_message_fini(message);
}

/* Appends have a stream of their own, so that heartbeats and votes never wait behind them. */
static bool send_some_way(struct remote *remote, struct raft_message *message)
{
    struct writer *appends = &remote->writers[FRAME_MSGAPP];
    struct writer *others = &remote->writers[FRAME_MESSAGE];
    if (message->type == RAFT_MSG_APP && writer_is_attached(appends)) {
        return writer_add(appends, message);
    }
    if (writer_is_attached(others)) {
        return writer_add(others, message);
    }
    return pipeline_send(&remote->pipeline, message);
}

void remote_send(struct remote *remote, struct raft_message *message)
{
    if (message->type == RAFT_MSG_SNAP) {
        snapsend_start(remote, message);
    } else if (!send_some_way(remote, message)) {
        LOG_WARN("dropped internal Raft message since sending buffer is full",
            LOG_INT("message-type", message->type),
            LOG_STR("local-member-id", remote->peer->self_text),
            LOG_STR("remote-peer-id", remote->id_text),
            LOG_BOOL("remote-peer-active", remote->is_active));
        remote_drop(remote, message);
    }
}

void remote_flush(struct remote *remote)
{
    if (remote->is_member) {
        writer_flush(&remote->writers[FRAME_MESSAGE]);
        writer_flush(&remote->writers[FRAME_MSGAPP]);
    }
}
