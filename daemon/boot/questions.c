/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/questions.h"

#include "base/log.h"
#include "base/mem.h"
#include "boot/heard.h"

#include <inttypes.h>
#include <pthread.h>

enum { VERSION_BYTES_MAX = 4096 };

/* Leases. */

static void ask_renew(void *arg, uint64_t leader, int64_t id, int64_t timeout_ms,
    void (*done)(void *done_arg, struct err err, int64_t ttl_s), void *done_arg)
{
    struct questions *questions = arg;
    peer_ask_lease_renew(questions->peer, leader, id, timeout_ms, done, done_arg);
}

struct look {
    void (*done)(void *done_arg, struct err err, const struct server_lease *lease);
    void *done_arg;
};

static void looked(void *arg, struct err err, const struct peer_lease *from)
{
    struct look *look = arg;
    struct server_lease lease = {0};
    if (!err_is(err)) {
        lease = (struct server_lease){from->ttl, from->granted_ttl, from->keys, from->keys_count};
    }
    look->done(look->done_arg, err, &lease);
    free(look);
}

static void ask_look(void *arg, uint64_t leader, int64_t id, bool with_keys, int64_t timeout_ms,
    void (*done)(void *done_arg, struct err err, const struct server_lease *lease), void *done_arg)
{
    struct questions *questions = arg;
    struct look *look = mem_new(sizeof(*look));
    *look = (struct look){done, done_arg};
    peer_ask_lease_ttl(questions->peer, leader, id, with_keys, timeout_ms, looked, look);
}

/* Everybody else, at once. */

static size_t other_ids(struct questions *questions, uint64_t out[RAFT_MEMBERS_MAX])
{
    struct arena *arena = arena_new(0);
    struct member *list;
    size_t count = 0;
    size_t members = member_list(questions->members, arena, &list);
    for (size_t i = 0; i < members && count < RAFT_MEMBERS_MAX; i++) {
        if (list[i].id != member_self_id(questions->members)) {
            out[count++] = list[i].id;
        }
    }
    arena_free(arena);
    return count;
}

/* Versions: answers come on the peer thread, one after the other. */

struct versions {
    void (*done)(void *done_arg, const char *const *versions, size_t count);
    void *done_arg;
    char *texts[RAFT_MEMBERS_MAX];
    size_t count;
    size_t left;
};

struct version_of {
    struct versions *versions;
    size_t at;
    uint64_t id;
};

static void versions_finish(struct versions *versions)
{
    versions->done(versions->done_arg, (const char *const *)versions->texts, versions->count);
    for (size_t i = 0; i < versions->count; i++) {
        free(versions->texts[i]);
    }
    free(versions);
}

static void version_answered(void *arg, const struct peer_answer *answer)
{
    struct version_of *of = arg;
    struct versions *versions = of->versions;
    if (!err_is(answer->err) && answer->status == 200) {
        versions->texts[of->at] = heard_server_version(answer->body);
    } else {
        LOG_WARN(
            "failed to get version", LOG_HEX("remote-member-id", of->id), LOG_ERR(answer->why));
    }
    free(of);
    if (--versions->left == 0) {
        versions_finish(versions);
    }
}

static void ask_versions(void *arg,
    void (*done)(void *done_arg, const char *const *versions, size_t count), void *done_arg)
{
    struct questions *questions = arg;
    uint64_t ids[RAFT_MEMBERS_MAX];
    struct versions *versions = mem_new(sizeof(*versions));
    struct peer_question question = {.method = "GET",
        .path = "/version",
        .bytes_max = VERSION_BYTES_MAX,
        .timeout_ms = questions->timeout_ms};
    size_t count = other_ids(questions, ids);
    versions->done = done;
    versions->done_arg = done_arg;
    versions->count = count;
    versions->left = count;
    for (size_t i = 0; i < count; i++) {
        struct version_of *of = mem_new(sizeof(*of));
        *of = (struct version_of){versions, i, ids[i]};
        peer_ask(questions->peer, ids[i], &question, version_answered, of);
    }
    if (count == 0) {
        versions_finish(versions);
    }
}

struct server_asking questions_asking(struct questions *questions)
{
    return (struct server_asking){.lease_renew = ask_renew,
        .lease_look = ask_look,
        .versions = ask_versions,
        .arg = questions};
}

/* Hashes. */

struct hashes {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    size_t left;
};

struct hash_of {
    struct hashes *hashes;
    struct peer_answered *answered;
};

static void hash_answered(void *arg, struct err err, const struct peer_hash *hash)
{
    struct hash_of *of = arg;
    struct hashes *hashes = of->hashes;
    of->answered->err = err;
    if (!err_is(err)) {
        of->answered->hash = *hash;
    }
    free(of);
    pthread_mutex_lock(&hashes->mutex);
    hashes->left--;
    pthread_cond_signal(&hashes->cond);
    pthread_mutex_unlock(&hashes->mutex);
}

size_t questions_hashes(struct questions *questions, int64_t rev, struct peer_answered **out)
{
    uint64_t ids[RAFT_MEMBERS_MAX];
    struct hashes hashes = {0};
    size_t count = other_ids(questions, ids);
    struct peer_answered *answers = mem_new((count + 1) * sizeof(*answers));
    pthread_mutex_init(&hashes.mutex, NULL);
    pthread_cond_init(&hashes.cond, NULL);
    hashes.left = count;
    for (size_t i = 0; i < count; i++) {
        struct hash_of *of = mem_new(sizeof(*of));
        answers[i].id = ids[i];
        *of = (struct hash_of){&hashes, &answers[i]};
        peer_ask_hash(questions->peer, ids[i], rev, questions->timeout_ms, hash_answered, of);
    }
    pthread_mutex_lock(&hashes.mutex);
    while (hashes.left) {
        pthread_cond_wait(&hashes.cond, &hashes.mutex);
    }
    pthread_mutex_unlock(&hashes.mutex);
    pthread_mutex_destroy(&hashes.mutex);
    pthread_cond_destroy(&hashes.cond);
    *out = answers;
    return count;
}
