/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/cluster.h"

#include "base/log.h"
#include "base/mem.h"
#include "boot/answers.h"
#include "boot/install.h"
#include "boot/questions.h"
#include "boot/side.h"
#include "front/front.h"

enum { LISTENERS_MAX = 64 };

struct cluster {
    const struct config *config;
    struct side side;
    struct http_dialing dialing;
    struct front *front;
    struct front_listener listeners[LISTENERS_MAX];
    struct http_site plain;
    struct http_site guarded;
    struct answers answers;
    struct questions questions;
    struct peer *peer;
    void (*on_removed)(void *arg);
    void *on_removed_arg;
};

static void adopt(void *arg, int fd, const struct front_peer *from)
{
    struct cluster *cluster = arg;
    const struct http_site *site = from->is_tls ? &cluster->guarded : &cluster->plain;
    http_adopt(peer_http(cluster->peer), site, fd, from->address);
}

/* SetMemberLocalAddr: connections come from the first advertised address that is one. */
static const char *local_address(const struct config *config)
{
    const struct url_list *urls = &config->advertise_peer;
    const char *address = config_local_address(config);
    if (!config->gates.set_member_local_addr) {
        return NULL;
    }
    if (address) {
        LOG_INFO("setting member local address", LOG_STR("LocalAddr", address));
    } else {
        LOG_WARN("unable to set a member local address due to lack of suitable local addresses",
            LOG_STRS("advertise-peer-urls", url_list_texts(config->arena, urls)));
    }
    return address;
}

static struct err bind_all(struct cluster *cluster, struct why *why)
{
    const struct config *config = cluster->config;
    const struct url_list *urls = &config->listen_peer;
    if (urls->count > LISTENERS_MAX) {
        return why_set(why, ERR(BAD_CONFIG), "more than %d URLs to listen on", LISTENERS_MAX);
    }
    cluster->side.name = "peer";
    if (side_has_tls(urls)) {
        TRY(side_open(&cluster->side, config, &config->peer, why));
        cluster->side.checks_origin =
            config->peer.client_cert_auth && !config->peer.skip_client_san_verification;
    }
    TRY(side_open_dialing(&cluster->side, config, &config->peer, why));
    cluster->dialing = (struct http_dialing){
        .tls = side_dialing_context,
        .admit = side_dialing_admit,
        .arg = &cluster->side,
        .local_address = local_address(config),
        /* Without a CA of its own, a cluster found in DNS is known by its domain's certificate. */
        .server_name = *config->discovery.srv_domain && !*config->peer.ca_file
                           ? config->discovery.srv_domain
                           : NULL,
        .dial_ms = 1000 + (int64_t)config->election_ms,
    };
    for (size_t i = 0; i < urls->count; i++) {
        cluster->listeners[i] =
            (struct front_listener){.url = &urls->items[i], .serves = FRONT_HTTP};
    }
    struct front_options options = {
        .listeners = cluster->listeners,
        .listeners_count = urls->count,
        .adopt_http = adopt,
        .arg = cluster,
        .reuse_port = config->socket_reuse_port,
        .name = "peer",
        .is_vital = true,
    };
    return front_open(&options, &cluster->front, why);
}

struct err cluster_bind(const struct config *config, struct cluster **out, struct why *why)
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    cluster->config = config;
    struct err err = bind_all(cluster, why);
    if (err_is(err)) {
        cluster_free(cluster);
        return err;
    }
    *out = cluster;
    return OK;
}

const struct http_dialing *cluster_dialing(const struct cluster *cluster)
{
    return &cluster->dialing;
}

/* From the transport. */

static struct server *server_of(void *arg)
{
    return ((struct cluster *)arg)->answers.server;
}

static void receive(void *arg, struct raft_message *message)
{
    server_receive(server_of(arg), message);
}

static void report_unreachable(void *arg, uint64_t id)
{
    server_report_unreachable(server_of(arg), id);
}

static void report_snapshot(void *arg, uint64_t id, bool is_ok)
{
    server_report_snapshot(server_of(arg), id, is_ok);
}

static void snapshot_taken(void *arg, struct err err)
{
    peer_snapshot_taken(arg, err);
}

static void receive_snapshot(
    void *arg, struct raft_message *message, const char *path, struct peer_call *call)
{
    LOG_INFO("received and saved database snapshot", LOG_STR("snapshot-file-path", path));
    server_receive_snapshot(server_of(arg), message, snapshot_taken, call);
}

static struct err check_store(
    void *arg, const struct raft_snapshot *snapshot, struct backend *store, struct why *why)
{
    return storage_check_received(((struct cluster *)arg)->answers.storage, snapshot, store, why);
}

static struct err snapshot_open(void *arg, struct raft_message *message,
    const struct snapshot_order *order, struct snapshot_export **out, struct why *why)
{
    struct storage *storage = ((struct cluster *)arg)->answers.storage;
    return storage_snapshot_message(storage, message, order, out, why);
}

static bool is_removed(void *arg, uint64_t id)
{
    return member_is_removed(((struct cluster *)arg)->answers.storage->members, id);
}

static void on_self_removed(void *arg)
{
    struct cluster *cluster = arg;
    LOG_WARN("the member has been permanently removed from the cluster",
        LOG_HEX("local-member-id", member_self_id(cluster->answers.storage->members)));
    LOG_WARN("data-dir used by this member must be removed");
    cluster->on_removed(cluster->on_removed_arg);
}

static struct answers *answers_of(void *arg)
{
    return &((struct cluster *)arg)->answers;
}

static void members(void *arg, struct peer_call *call)
{
    answer_members(answers_of(arg), call);
}

static void version(void *arg, struct peer_call *call)
{
    answer_version(answers_of(arg), call);
}

static void downgrade_enabled(void *arg, struct peer_call *call)
{
    answer_downgrade_enabled(answers_of(arg), call);
}

static void promote(void *arg, uint64_t id, struct peer_call *call)
{
    answer_promote(answers_of(arg), id, call);
}

static void hash(void *arg, int64_t rev, struct peer_call *call)
{
    answer_hash(answers_of(arg), rev, call);
}

static void lease_renew_asked(void *arg, int64_t id, struct peer_call *call)
{
    answer_lease_renew(answers_of(arg), id, call);
}

static void lease_ttl_asked(void *arg, int64_t id, bool with_keys, struct peer_call *call)
{
    answer_lease_ttl(answers_of(arg), id, with_keys, call);
}

static void end_sending(void *arg)
{
    peer_end_sending(((struct cluster *)arg)->peer);
}

/* NULL: by rows, in both directions; second names need one file system too. */
static const char *files_format(const struct storage *storage)
{
    if (storage_can_swap(storage)) {
        return storage_files_format();
    }
    LOG_INFO("snapshots go by rows: the store and member/snap lie on different file systems",
        LOG_STR("store", storage->store_dir), LOG_STR("snap", storage->snap_dir));
    return NULL;
}

void cluster_open(
    struct cluster *cluster, struct storage *storage, void (*on_removed)(void *arg), void *arg)
{
    const struct config *config = cluster->config;
    cluster->answers.storage = storage;
    cluster->on_removed = on_removed;
    cluster->on_removed_arg = arg;
    cluster->peer = peer_new(&(struct peer_options){
        .self_id = member_self_id(storage->members),
        .cluster_id = member_cluster_id(storage->members),
        .peer_urls = url_list_texts(config->arena, &config->advertise_peer),
        .peer_urls_count = config->advertise_peer.count,
        .disk = storage->disk,
        .snap_dir = storage->snap_dir,
        .rows_format = apply_format,
        .files_format = files_format(storage),
        .dialing = cluster->dialing,
        .read_ms = config->raft_read_timeout_ns / 1000000,
        .write_ms = config->raft_write_timeout_ns / 1000000,
        .arg = cluster,
        .receive = receive,
        .report_unreachable = report_unreachable,
        .report_snapshot = report_snapshot,
        .receive_snapshot = receive_snapshot,
        .check_store = check_store,
        .check_row = mvcc_check_row,
        .snapshot_open = snapshot_open,
        .is_removed = is_removed,
        .on_self_removed = on_self_removed,
        .members = members,
        .version = version,
        .downgrade_enabled = downgrade_enabled,
        .promote = promote,
        .hash = hash,
        .lease_renew = lease_renew_asked,
        .lease_ttl = lease_ttl_asked,
    });
    storage->end_sending = end_sending;
    storage->end_sending_arg = cluster;
    cluster->questions = (struct questions){
        cluster->peer, storage->members, 5000 + 2 * (int64_t)config->election_ms};
    cluster->plain = (struct http_site){.serve = peer_serve, .arg = cluster->peer};
    cluster->guarded = cluster->plain;
    side_guard(&cluster->side, &cluster->plain, false);
    side_guard(&cluster->side, &cluster->guarded, true);
}

/* To the transport. */

static void send(void *arg, struct raft_message *messages, size_t count)
{
    peer_send(((struct cluster *)arg)->peer, messages, count);
}

static void add(void *arg, uint64_t id, const char *const *peer_urls, size_t count)
{
    peer_add(((struct cluster *)arg)->peer, id, peer_urls, count);
}

static void update(void *arg, uint64_t id, const char *const *peer_urls, size_t count)
{
    peer_update(((struct cluster *)arg)->peer, id, peer_urls, count);
}

static void remove_peer(void *arg, uint64_t id)
{
    peer_remove(((struct cluster *)arg)->peer, id);
}

static int64_t active_since_ms(void *arg, uint64_t id)
{
    return peer_active_since_ms(((struct cluster *)arg)->peer, id);
}

static int64_t refused_since_ms(void *arg, uint64_t id)
{
    return peer_refused_since_ms(((struct cluster *)arg)->peer, id);
}

struct server_transport cluster_transport(struct cluster *cluster)
{
    return (struct server_transport){.send = send,
        .add = add,
        .update = update,
        .remove = remove_peer,
        .active_since_ms = active_since_ms,
        .refused_since_ms = refused_since_ms,
        .arg = cluster};
}

struct server_asking cluster_asking(struct cluster *cluster)
{
    return questions_asking(&cluster->questions);
}

struct questions *cluster_questions(struct cluster *cluster)
{
    return &cluster->questions;
}

static void ask_promote(void *arg, uint64_t leader, uint64_t learner, int64_t timeout_ms,
    void (*done)(void *done_arg, struct err err, struct slice json), void *done_arg)
{
    peer_ask_promote(((struct cluster *)arg)->peer, leader, learner, timeout_ms, done, done_arg);
}

struct api_peers cluster_peers(struct cluster *cluster)
{
    return (struct api_peers){
        .active_since_ms = active_since_ms, .promote = ask_promote, .arg = cluster};
}

struct err cluster_start(
    struct cluster *cluster, struct server *server, struct api *api, struct why *why)
{
    const struct config *config = cluster->config;
    cluster->answers.server = server;
    cluster->answers.api = api;
    TRY(peer_start(cluster->peer, why));
    front_start(cluster->front);
    for (size_t i = 0; i < config->listen_peer.count; i++) {
        LOG_INFO("serving peer traffic", LOG_STR("address", front_address(cluster->front, i)));
    }
    return OK;
}

void cluster_stop(struct cluster *cluster)
{
    front_stop(cluster->front);
    if (cluster->peer) {
        peer_stop(cluster->peer);
    }
}

void cluster_free(struct cluster *cluster)
{
    if (!cluster) {
        return;
    }
    front_close(cluster->front);
    peer_free(cluster->peer);
    side_close(&cluster->side);
    free(cluster);
}

void cluster_reload(struct cluster *cluster)
{
    side_poll(&cluster->side);
}
