/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/found.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/url_match.h"
#include "base/version.h"
#include "boot/discover.h"
#include "boot/heard.h"
#include "peer/peer.h"

#include <inttypes.h>
#include <stdlib.h>

enum { MEMBERS_BYTES_MAX = 1024 * 1024, FETCH_MS = 10000, BOOTSTRAPPED_MS = 1000 };

struct asking {
    const struct config *config;
    struct arena *arena;
    const struct http_dialing *dialing;
    int64_t timeout_ms;
};

static int member_cmp(const void *a, const void *b)
{
    uint64_t x = ((const struct member *)a)->id;
    uint64_t y = ((const struct member *)b)->id;
    return (x > y) - (x < y);
}

static int text_cmp(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What --initial-cluster says, with ids by hash. */
static size_t own_members(
    const struct config *config, struct arena *arena, struct member **out, uint64_t *out_self)
{
    struct member *members = arena_zalloc(arena, (config->members.count + 1) * sizeof(*members));
    for (size_t i = 0; i < config->members.count; i++) {
        const struct url_member *from = &config->members.items[i];
        members[i].name = from->name;
        members[i].peer_urls = url_list_texts(arena, &from->urls);
        members[i].peer_urls_count = from->urls.count;
        members[i].id = member_id_hash(
            members[i].peer_urls, from->urls.count, config->initial_cluster_token, 0);
        if (strcmp(from->name, config->name) == 0) {
            *out_self = members[i].id;
        }
    }
    qsort(members, config->members.count, sizeof(*members), member_cmp);
    *out = members;
    return config->members.count;
}

/* Peer URLs of the others, sorted. */
static size_t other_urls(const struct config *config, struct arena *arena, const char ***out)
{
    size_t count = 0;
    for (size_t i = 0; i < config->members.count; i++) {
        count += config->members.items[i].urls.count;
    }
    const char **urls = arena_alloc(arena, (count + 1) * sizeof(*urls));
    count = 0;
    for (size_t i = 0; i < config->members.count; i++) {
        const struct url_member *member = &config->members.items[i];
        for (size_t j = 0; strcmp(member->name, config->name) != 0 && j < member->urls.count; j++) {
            urls[count++] = member->urls.items[j].text;
        }
    }
    qsort(urls, count, sizeof(*urls), text_cmp);
    *out = urls;
    return count;
}

/* The answer's body lives in the arena. */
static struct err fetch(const struct asking *asking, const char *url, const char *path,
    struct slice *out_body, uint64_t *out_cluster_id, struct why *why)
{
    struct peer_question question = {.method = "GET",
        .path = path,
        .bytes_max = MEMBERS_BYTES_MAX,
        .timeout_ms = asking->timeout_ms};
    struct peer_fetched got;
    TRY(peer_fetch(url, &question, asking->dialing, &got, why));
    struct err err =
        got.status == 200 ? OK : why_set(why, ERR(BAD_FORMAT), "status %d", got.status);
    if (!err_is(err)) {
        *out_body = arena_dup(asking->arena, buf_slice(&got.body));
        *out_cluster_id = got.cluster_id;
    }
    buf_fini(&got.body);
    return err;
}

/* What a member at one URL says of the cluster, sorted by id; false: nothing. */
static bool fetch_members(const struct asking *asking, const char *url, struct founding *out)
{
    struct slice body;
    struct why reason = {""};
    struct err err = fetch(asking, url, "/members", &body, &out->cluster_id, &reason);
    if (!err_is(err)) {
        err = member_list_from_json(body, asking->arena, &out->members, &out->members_count);
    }
    if (!err_is(err) && out->cluster_id != 0) {
        qsort(out->members, out->members_count, sizeof(*out->members), member_cmp);
        return true;
    }
    if (asking->timeout_ms == FETCH_MS) {
        LOG_WARN("failed to get cluster response",
            LOG_STR("address", arena_printf(asking->arena, "%s/members", url)),
            LOG_ERR(reason.text[0] ? reason.text : "malformed answer"));
    }
    return false;
}

/* A member whose data is gone must not come back as if it were new: it would vote twice. One that
 * lags behind may not know it, so all are asked. */
static struct err refuse_bootstrapped(
    const struct asking *asking, const struct founding *founding, struct why *why)
{
    const char **urls;
    size_t count = other_urls(asking->config, asking->arena, &urls);
    for (size_t i = 0; i < count; i++) {
        struct founding known = {.members_count = 0};
        if (!fetch_members(asking, urls[i], &known)) {
            continue;
        }
        for (size_t j = 0; j < known.members_count; j++) {
            if (known.members[j].id == founding->self_id && known.members[j].client_urls_count) {
                return why_set(why, ERR(BAD_CONFIG),
                    "member %" PRIx64 " has already been bootstrapped", founding->self_id);
            }
        }
    }
    return OK;
}

static void begin(struct founding *founding)
{
    if (!founding->arena) {
        founding->arena = arena_new(0);
    }
}

struct err found_new(const struct config *config, struct founding *out, struct why *why)
{
    uint64_t ids[64];
    begin(out);
    if (config->members.count > COUNT_OF(ids)) {
        return why_set(
            why, ERR(BAD_CONFIG), "--initial-cluster names more than %zu members", COUNT_OF(ids));
    }
    out->members_count = own_members(config, out->arena, &out->members, &out->self_id);
    for (size_t i = 0; i < out->members_count; i++) {
        ids[i] = out->members[i].id;
    }
    out->cluster_id = member_cluster_id_hash(ids, out->members_count);
    return OK;
}

/* As Go prints them, for the one message that has them. */
static const char *describe(
    struct arena *arena, const struct member *members, size_t count, uint64_t cluster_id)
{
    const char *text = "";
    for (size_t i = 0; i < count; i++) {
        struct text_list peers = {members[i].peer_urls, members[i].peer_urls_count};
        struct text_list clients = {members[i].client_urls, members[i].client_urls_count};
        text = arena_printf(arena,
            "%s%s&{ID:%" PRIx64 " RaftAttributes:{PeerURLs:[%s] IsLearner:%s} Attributes:{Name:%s "
            "ClientURLs:[%s]}}",
            text, i ? " " : "", members[i].id, text_list_join(arena, &peers, " "),
            members[i].is_learner ? "true" : "false", members[i].name,
            text_list_join(arena, &clients, " "));
    }
    return arena_printf(
        arena, "{ClusterID:%" PRIx64 " Members:[%s] RemovedMemberIDs:[]}", cluster_id, text);
}

static struct err parse_urls(
    struct arena *arena, const struct member *member, struct url_list *out, struct why *why)
{
    struct url *items = arena_alloc(arena, (member->peer_urls_count + 1) * sizeof(*items));
    for (size_t i = 0; i < member->peer_urls_count; i++) {
        TRY(url_parse(arena, member->peer_urls[i], &items[i], why));
    }
    *out = (struct url_list){items, member->peer_urls_count};
    return OK;
}

/* Every running member must be in --initial-cluster, under whatever name: its peer URLs say who it
 * is. */
static struct err match(const struct config *config, struct arena *arena,
    const struct member *member, int64_t until_ms, const struct url_member **out, struct why *why)
{
    struct why reason = {""};
    struct url_list urls;
    struct err err = parse_urls(arena, member, &urls, &reason);
    const char *text = err_is(err) ? "" : url_list_text(arena, &urls);
    for (size_t i = 0; !err_is(err) && i < config->members.count; i++) {
        if (strcmp(text, url_list_text(arena, &config->members.items[i].urls)) == 0) {
            *out = &config->members.items[i];
            return OK; /* without a word of the resolver's */
        }
    }
    for (size_t i = 0; !err_is(err) && i < config->members.count; i++) {
        const struct url_member *own = &config->members.items[i];
        if (!err_is(url_list_same(arena, &urls, &own->urls, until_ms, &reason))) {
            *out = own;
            return OK;
        }
    }
    struct text_list texts = {member->peer_urls, member->peer_urls_count};
    return why_set(why, ERR(BAD_CONFIG),
        "PeerURLs: no match found for existing member (%" PRIx64
        ", [%s]), last resolver error (%s)",
        member->id, text_list_join(arena, &texts, " "), reason.text);
}

static struct err match_all(const struct config *config, struct founding *founding, struct why *why)
{
    int64_t until = clock_mono_ms() + URL_RESOLVE_MS;
    for (size_t i = 0; i < founding->members_count; i++) {
        const struct url_member *own = NULL;
        TRY(match(config, founding->arena, &founding->members[i], until, &own, why));
        if (strcmp(own->name, config->name) == 0) {
            founding->self_id = founding->members[i].id;
        }
    }
    return OK;
}

static struct err assign_ids(
    const struct config *config, struct founding *founding, struct why *why)
{
    if (founding->members_count != config->members.count) {
        return why_set(why, ERR(BAD_CONFIG), "member count is unequal");
    }
    TRY(match_all(config, founding, why));
    return founding->self_id ? OK : why_set(why, ERR(BAD_CONFIG), "member count is unequal");
}

static struct err ask_downgrade(
    const struct asking *asking, const struct founding *founding, bool *out)
{
    for (size_t i = 0; i < founding->members_count; i++) {
        const struct member *member = &founding->members[i];
        for (size_t j = 0; member->id != founding->self_id && j < member->peer_urls_count; j++) {
            struct slice body;
            uint64_t cluster_id;
            struct why why = {""};
            if (!err_is(fetch(asking, member->peer_urls[j], "/downgrade/enabled", &body,
                    &cluster_id, &why))) {
                *out = slice_has_prefix(body, SLICE("true"));
                return OK;
            }
            LOG_WARN("failed to get downgrade enabled status",
                LOG_HEX("remote-member-id", member->id), LOG_ERR(why.text));
        }
    }
    return OK;
}

static bool fetch_version(
    const struct asking *asking, const struct member *member, struct member_version *out)
{
    for (size_t i = 0; i < member->peer_urls_count; i++) {
        struct slice body;
        uint64_t cluster_id;
        struct why why = {""};
        if (err_is(fetch(asking, member->peer_urls[i], "/version", &body, &cluster_id, &why))) {
            LOG_WARN("failed to reach the peer URL", LOG_STR("address", member->peer_urls[i]),
                LOG_HEX("remote-member-id", member->id), LOG_ERR(why.text));
        } else if (heard_cluster_version(body, out)) {
            return true;
        }
    }
    return false;
}

/* At least one of the others has a cluster version that this one can serve, and none that it
 * cannot. While a downgrade is under way, that is one above its own. */
static struct err check_versions(
    const struct asking *asking, const struct founding *founding, struct why *why)
{
    struct member_version least = {3, 0};
    struct member_version most = {0, 0};
    bool is_downgrading = false;
    bool is_compatible = false;
    check(member_version_parse(KETCD_ETCD_VERSION, &most));
    TRY(ask_downgrade(asking, founding, &is_downgrading));
    if (is_downgrading) {
        most.minor++;
        least = most;
    }
    for (size_t i = 0; i < founding->members_count; i++) {
        struct member_version version;
        if (founding->members[i].id == founding->self_id ||
            !fetch_version(asking, &founding->members[i], &version)) {
            continue;
        }
        is_compatible = true;
        if (member_version_cmp(version, least) < 0 || member_version_cmp(version, most) > 0) {
            is_compatible = false;
            break;
        }
    }
    return is_compatible
               ? OK
               : why_set(why, ERR(BAD_CONFIG), "incompatible with current running cluster");
}

static struct err check_learners(
    const struct config *config, const struct founding *founding, struct why *why)
{
    size_t learners = 0;
    for (size_t i = 0; i < founding->members_count; i++) {
        learners += founding->members[i].is_learner;
    }
    return learners <= config->learners_max
               ? OK
               : why_set(why, ERR(BAD_CONFIG), "membership: too many learner members in cluster");
}

/* Whether the members that one of the others knows are those of --initial-cluster. */
static struct err join_by(const struct asking *asking, struct founding *out, struct why *why)
{
    struct why reason = {""};
    if (out->members_count == 0) {
        return why_set(why, ERR(BAD_CONFIG),
            "cannot fetch cluster info from peer urls: "
            "failed to get raft cluster member(s) from the given URLs");
    }
    if (err_is(assign_ids(asking->config, out, &reason))) {
        return why_set(why, ERR(BAD_CONFIG), "error validating peerURLs %s: %s",
            describe(out->arena, out->members, out->members_count, out->cluster_id), reason.text);
    }
    return OK;
}

/* The reference believes the first that answers. One that lags behind would then keep out a member
 * that the others know, and without it there may be no quorum that could bring that one up to date:
 * so the first whose answer fits. */
static struct err join_by_any(const struct asking *asking, struct founding *out, struct why *why)
{
    const char **urls;
    size_t count = other_urls(asking->config, asking->arena, &urls);
    bool is_answered = false;
    why_set(why, ERR(BAD_CONFIG),
        "cannot fetch cluster info from peer urls: could not retrieve "
        "cluster information from the given URLs");
    for (size_t i = 0; i < count; i++) {
        struct why reason = {""};
        if (!fetch_members(asking, urls[i], out)) {
            continue;
        }
        if (!err_is(join_by(asking, out, &reason))) {
            return OK;
        }
        if (!is_answered) {
            is_answered = true;
            *why = reason;
        }
    }
    return ERR(BAD_CONFIG);
}

static struct err join(struct asking *asking, struct founding *out, struct why *why)
{
    asking->timeout_ms = FETCH_MS;
    TRY(join_by_any(asking, out, why));
    TRY(check_versions(asking, out, why));
    out->is_join = true;
    return check_learners(asking->config, out, why);
}

struct err found_cluster(const struct config *config, const struct http_dialing *dialing,
    struct founding *out, struct why *why)
{
    struct config found;
    begin(out);
    struct asking asking = {
        .config = &found,
        .arena = out->arena,
        .dialing = dialing,
        .timeout_ms = BOOTSTRAPPED_MS,
    };
    TRY(discover_members(config, out->arena, &found, why));
    TRY(config_verify_bootstrap(&found, why));
    if (!config->is_new_cluster) {
        return join(&asking, out, why);
    }
    TRY(found_new(&found, out, why));
    TRY(refuse_bootstrapped(&asking, out, why));
    TRY(discover_join(&found, out->self_id, out->arena, why));
    return found_new(&found, out, why);
}
