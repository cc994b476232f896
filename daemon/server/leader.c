/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes with leading: time for leases, their revocation, publishing this member, the cluster
 * version.
 */
#include "server/compactor.h"
#include "server/renewals.h"
#include "server/version.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/pb.h"
#include "base/utf8.h"

enum {
    FIELD_COMPACTION = 7,
    FIELD_LEASE_REVOKE = 9,
    FIELD_CLUSTER_MEMBER_ATTR_SET = 1301,
    FIELD_LEASE_CHECKPOINT = 11,
    REVOKES_MAX = 500, /* begun in a tick */
    REVOKES_MIN = 16,
    CHECKPOINTS_MAX = 1000,
    CHECKPOINT_EVERY_TICKS = 5,
    REVOKE_RETRY_MS = 3000,
};

struct own_proposal {
    struct server_proposal proposal;
    struct server *server;
    struct arena *arena;
    struct list renewals;        /* that a checkpoint is for */
    struct compactor *compactor; /* that a compaction is for */
    uint32_t field;
};

static void own_done(struct server_proposal *proposal)
{
    struct own_proposal *own = CONTAINER_OF(proposal, struct own_proposal, proposal);
    bool is_publish = own->field == FIELD_CLUSTER_MEMBER_ATTR_SET;
    if (is_publish && !err_is(proposal->result.err)) {
        own->server->is_published = true;
        LOG_INFO("published local member to cluster through raft",
            LOG_HEX("local-member-id", own->server->member_id),
            LOG_STR("local-member-name", own->server->options.name),
            LOG_HEX("cluster-id", own->server->cluster_id), LOG_STR("publish-timeout", "7s"));
    }
    if (is_publish) {
        own->server->is_publishing = false;
    }
    if (own->field == FIELD_LEASE_REVOKE) {
        atomic_fetch_sub(&own->server->revoking, 1);
    }
    if (!list_is_empty(&own->renewals)) {
        renewals_told(own->server, &own->renewals, proposal->result.err);
    }
    if (own->compactor) {
        compactor_told(own->compactor, proposal->result.err);
    }
    arena_free(own->arena);
    free(own);
}

static bool is_leaders(uint32_t field)
{
    return field == FIELD_LEASE_REVOKE || field == FIELD_LEASE_CHECKPOINT;
}

static struct own_proposal *own_new(struct server *server, uint32_t field)
{
    struct own_proposal *own = mem_new(sizeof(*own));
    own->server = server;
    own->field = field;
    own->arena = arena_new(0);
    list_init(&own->renewals);
    own->proposal.field = field;
    own->proposal.result.arena = own->arena;
    own->proposal.done = own_done;
    return own;
}

static void propose(struct own_proposal *own, const ProtobufCMessage *message)
{
    struct server *server = own->server;
    own->proposal.leader_term = is_leaders(own->field) ? atomic_load(&server->term) : 0;
    const struct auth_table *auth = apply_options_get(server->options.apply)->auth;
    if (auth_is_enabled(auth)) {
        own->proposal.username = "root"; /* it cannot be deleted */
        own->proposal.auth_revision = auth_revision(auth);
    }
    own->proposal.request = pb_pack_arena(message, own->arena);
    server_propose(server, &own->proposal);
}

void leader_propose(struct server *server, uint32_t field, const ProtobufCMessage *message)
{
    propose(own_new(server, field), message);
}

void leader_compact(struct server *server, revision rev, struct compactor *compactor)
{
    Etcdserverpb__CompactionRequest request = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    struct own_proposal *own = own_new(server, FIELD_COMPACTION);
    request.revision = rev;
    own->compactor = compactor;
    propose(own, &request.base);
}

static void publish_v2(struct server *server)
{
    struct own_proposal *own = own_new(server, FIELD_CLUSTER_MEMBER_ATTR_SET);
    const struct member attributes = {.name = server->options.name,
        .client_urls = server->options.client_urls,
        .client_urls_count = server->options.client_urls_count};
    own->proposal.v2_path = arena_printf(
        own->arena, "/0/members/%llx/attributes", (unsigned long long)server->member_id);
    own->proposal.request = member_attributes_to_json(&attributes, own->arena);
    server_propose(server, &own->proposal);
}

/* What is no UTF-8 goes as it would in JSON: members of etcd 3.7 end at an entry that holds it. */
static void publish_v3(struct server *server)
{
    Membershippb__ClusterMemberAttrSetRequest request =
        MEMBERSHIPPB__CLUSTER_MEMBER_ATTR_SET_REQUEST__INIT;
    Membershippb__Attributes attributes = MEMBERSHIPPB__ATTRIBUTES__INIT;
    const struct server_options *options = &server->options;
    struct own_proposal *own = own_new(server, FIELD_CLUSTER_MEMBER_ATTR_SET);
    const char **urls = arena_alloc(own->arena, (options->client_urls_count + 1) * sizeof(*urls));
    for (size_t i = 0; i < options->client_urls_count; i++) {
        urls[i] = utf8_mend(own->arena, options->client_urls[i]);
    }
    attributes.name = (char *)(uintptr_t)utf8_mend(own->arena, options->name);
    attributes.n_client_urls = options->client_urls_count;
    attributes.client_urls = (char **)(uintptr_t)urls;
    request.member_id = server->member_id;
    request.member_attributes = &attributes;
    propose(own, &request.base);
}

static void publish(struct server *server)
{
    server->is_publishing = true;
    if (version_has_old_members(server)) {
        publish_v2(server);
    } else {
        publish_v3(server);
    }
}

/* Writes share the log with revokes: when those of the last tick are not all through, less come. */
size_t leader_revokes(size_t *batch, size_t under_way)
{
    size_t next = under_way ? *batch / 2 : *batch * 2;
    *batch = next < REVOKES_MIN ? REVOKES_MIN : next < REVOKES_MAX ? next : REVOKES_MAX;
    return *batch > under_way ? *batch - under_way : 0;
}

static void revoke_expired(struct server *server, int64_t now_ms)
{
    int64_t ids[REVOKES_MAX];
    int under_way = atomic_load(&server->revoking);
    size_t max = leader_revokes(&server->revokes, under_way > 0 ? (size_t)under_way : 0);
    size_t count = lease_expired(server->options.leases, now_ms, REVOKE_RETRY_MS, ids, max);
    for (size_t i = 0; i < count; i++) {
        Etcdserverpb__LeaseRevokeRequest request = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
        request.id = ids[i];
        metric_inc(server->metrics.lease_expired);
        atomic_fetch_add(&server->revoking, 1);
        leader_propose(server, FIELD_LEASE_REVOKE, &request.base);
    }
}

void leader_checkpoint(
    struct server *server, const struct lease_remains *remains, size_t count, struct list *renewals)
{
    struct own_proposal *own = own_new(server, FIELD_LEASE_CHECKPOINT);
    Etcdserverpb__LeaseCheckpointRequest request = ETCDSERVERPB__LEASE_CHECKPOINT_REQUEST__INIT;
    Etcdserverpb__LeaseCheckpoint *items = arena_alloc(own->arena, count * sizeof(*items));
    request.checkpoints = arena_alloc(own->arena, count * sizeof(*request.checkpoints));
    request.n_checkpoints = count;
    for (size_t i = 0; i < count; i++) {
        etcdserverpb__lease_checkpoint__init(&items[i]);
        items[i].id = remains[i].id;
        items[i].remaining_ttl = remains[i].remaining_s;
        request.checkpoints[i] = &items[i];
    }
    if (renewals) {
        list_splice(&own->renewals, renewals);
    }
    propose(own, &request.base);
}

/* One of 0 whose end nobody waits for any more may be as far as here. */
static void note_lost(struct server *server)
{
    struct raft_status status;
    if (server->is_taking_lost) {
        raft_status_get(server->options.raft, &status);
        server->taking_lost_until = status.last_index;
        server->is_taking_lost = false;
    }
}

/* With the mutex of the renewals: what takes one of these back is to be proposed behind it. While
 * one of 0 is on its way none is given out: that would be ahead in the log, and be held to take
 * back what comes behind it. */
static void checkpoint(struct server *server, int64_t now_ms)
{
    struct lease_remains due[CHECKPOINTS_MAX];
    size_t count = 0;
    pthread_mutex_lock(&server->reads_mutex);
    note_lost(server);
    if (!server->is_taking_back &&
        apply_index(server->options.apply) >= server->taking_lost_until) {
        count = lease_checkpoints_due(server->options.leases, now_ms, due, CHECKPOINTS_MAX);
    }
    if (count) {
        leader_checkpoint(server, due, count, NULL);
    }
    pthread_mutex_unlock(&server->reads_mutex);
}

void leader_promote_leases(struct server *server)
{
    lease_promote(server->options.leases, clock_mono_ms(),
        server->options.tick_ms * server->options.election_ticks);
}

void leader_changed(struct server *server, struct raft_soft_state soft)
{
    bool was_leader = server->soft.role == RAFT_LEADER;
    bool is_leader = soft.role == RAFT_LEADER;
    uint64_t old = server->soft.lead;
    server->soft = soft;
    if (old && !soft.lead) {
        server->leaderless_ms = clock_mono_ms();
    }
    atomic_store(&server->leader, soft.lead);
    atomic_store(&server->is_leader, is_leader);
    if (is_leader && !was_leader) {
        leader_promote_leases(server);
    } else if (!is_leader && was_leader) {
        lease_demote(server->options.leases);
    }
    if (soft.lead == old) {
        return;
    }
    if (soft.lead) {
        server->elected_ms = clock_mono_ms();
        metric_inc(server->metrics.leader_changes);
        LOG_INFO("raft.node: elected leader", LOG_HEX("leader", soft.lead),
            LOG_UINT("term", raft_hard_state_get(server->options.raft).term));
    }
    if (old) {
        read_leader_lost(server);
    }
}

void leader_tick(struct server *server, int64_t now_ms)
{
    bool is_caught_up = atomic_load(&server->applied_term) == atomic_load(&server->term);
    lease_set_now(server->options.leases, now_ms);
    if (server->soft.lead && is_caught_up && !server->is_published && !server->is_publishing) {
        publish(server);
    }
    if (server->soft.role != RAFT_LEADER || !is_caught_up) {
        return;
    }
    version_tick(server, now_ms);
    revoke_expired(server, now_ms);
    if (server->ticks % CHECKPOINT_EVERY_TICKS == 0) {
        checkpoint(server, now_ms);
    }
}
