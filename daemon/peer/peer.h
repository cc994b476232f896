/* SPDX-License-Identifier: Apache-2.0
 *
 * Members talking to members as etcd's rafthttp does, over HTTP/1.1, plain or mutual TLS: two
 * streams that each member opens to every other and reads, a pipeline of posts while there is none,
 * snapshots as one long post, probes; and the small questions members ask each other (members,
 * version, leases, hashes, promotion). Delivery is not promised: what cannot go is dropped and
 * reported, nothing waits for a slow or dead member.
 *
 * One thread, `peer`: an HTTP server of its own and everything dialed. Each snapshot that is sent
 * or received has a thread while it lasts. Callbacks come on the peer thread unless said, and must
 * only queue. Functions may be called from any thread, in one order for one member.
 */
#ifndef PEER_PEER_H
#define PEER_PEER_H

#include "disk/disk.h"
#include "http/http.h"
#include "raft/raft.h"
#include "snapshot/snapshot.h"

struct peer;
struct peer_call;

struct peer_hash {
    int64_t revision; /* of the store */
    uint32_t hash;
    int64_t compact_revision;
    int64_t hash_revision;
};

/* A lease as its leader sees it; seconds. */
struct peer_lease {
    int64_t id;
    int64_t ttl; /* remaining */
    int64_t granted_ttl;
    const struct slice *keys;
    size_t keys_count;
};

/* Strings and arrays are borrowed and outlive the peer. Callbacks get arg. */
struct peer_options {
    uint64_t self_id;
    uint64_t cluster_id;
    const char *const *peer_urls; /* this member's, as it advertises them */
    size_t peer_urls_count;
    struct disk *disk;
    const char *snap_dir;        /* member/snap: received databases go there */
    const char *rows_format;     /* what the store's rows mean: members that say the same send each
                                    other rows instead of databases; NULL: never */
    const char *files_format;    /* the same of its files, which go before rows */
    struct http_dialing dialing; /* dial_ms 0: 2 s. etcd: 1 s + election timeout. Any thread */
    int64_t read_ms;             /* between two pieces of what comes; 0: 5 s */
    int64_t write_ms;            /* without the other side taking anything; 0: 5 s */
    int64_t progress_ms;         /* 16 KiB of a snapshot come meanwhile, or none of it; 0: 10 s */
    void *arg;

    /* A message to this member from one that was not removed, of a type that travels. Takes over
     * its contents. */
    void (*receive)(void *arg, struct raft_message *message);
    void (*report_unreachable)(void *arg, uint64_t id);
    void (*report_snapshot)(void *arg, uint64_t id, bool is_ok);
    /* The database lies complete and synced at path (lent; the file is the taker's). Takes over the
     * message's contents; then peer_snapshot_taken, from any thread. A thread of its own. */
    void (*receive_snapshot)(
        void *arg, struct raft_message *message, const char *path, struct peer_call *call);
    /* Whether a store that came as files may be taken for what the snapshot says; NULL: whatever
     * opens may. A thread of its own. */
    struct err (*check_store)(
        void *arg, const struct raft_snapshot *snapshot, struct backend *store, struct why *why);
    /* The same of one row, where rows come. */
    bool (*check_row)(struct slice key, struct slice value);
    /* Makes what a MsgSnap stands for: an export in the best form that its receiver takes, or in
     * one that every member of this kind does, and message->snapshot replaced by one with the v2
     * store in its data and the export's index, term and members. A thread of its own; may block,
     * but not for long once order->is_over says so. */
    struct err (*snapshot_open)(void *arg, struct raft_message *message,
        const struct snapshot_order *order, struct snapshot_export **out, struct why *why);
    bool (*is_removed)(void *arg, uint64_t id);
    /* Others say this member was removed from the cluster. At most once. */
    void (*on_self_removed)(void *arg);

    /* What other members ask. Each is answered by the peer_answer_* of its name, once, now or
     * later, from any thread. */
    void (*members)(void *arg, struct peer_call *call);
    void (*version)(void *arg, struct peer_call *call);
    void (*downgrade_enabled)(void *arg, struct peer_call *call);
    void (*promote)(void *arg, uint64_t id, struct peer_call *call);
    void (*hash)(void *arg, int64_t revision, struct peer_call *call);
    /* Once everything committed when it came is applied, or TIMEDOUT after a second. */
    void (*lease_renew)(void *arg, int64_t id, struct peer_call *call);
    void (*lease_ttl)(void *arg, int64_t id, bool with_keys, struct peer_call *call);
};

/* Creates its metrics. */
struct peer *peer_new(const struct peer_options *options);
MUST struct err peer_start(struct peer *peer, struct why *why);
/* Breaks all connections, waits for the threads. No callback comes after that; calls may still be
 * answered until peer_free. */
void peer_stop(struct peer *peer);
/* NULL is fine. */
void peer_free(struct peer *peer);

/* The listener's side. */

/* The server that peer listeners adopt into (http_adopt); runs on the peer thread. */
struct http_server *peer_http(struct peer *peer);
/* The http_site.serve of peer listeners; arg: the struct peer. */
void peer_serve(struct http_request *request, void *arg);

/* Members and messages; these only queue. */

/* URLs are copied. Unknown ids are passed over, as are known ones by add. */
void peer_add(struct peer *peer, uint64_t id, const char *const *peer_urls, size_t count);
/* Somebody who may be a member but is not known as one yet (a joining member's view of the others):
 * reached by the pipeline only. */
void peer_add_remote(struct peer *peer, uint64_t id, const char *const *peer_urls, size_t count);
void peer_update(struct peer *peer, uint64_t id, const char *const *peer_urls, size_t count);
void peer_remove(struct peer *peer, uint64_t id);
/* Takes over what the messages own; zeroes them. To 0: dropped. To somebody unknown: the same, but
 * snapshots are reported as failed. */
void peer_send(struct peer *peer, struct raft_message *messages, size_t count);
/* Snapshots under way to others end soon, as failures: they may read a store that is to be
 * replaced, for as long as it pleases who takes them. Returns at once. */
void peer_end_sending(struct peer *peer);
/* clock_mono_ms of when it became reachable; 0: it is not, or is unknown. */
int64_t peer_active_since_ms(struct peer *peer, uint64_t id);
/* Since when its streams are gone and its host says that nobody listens there; 0: not so. */
int64_t peer_refused_since_ms(struct peer *peer, uint64_t id);

/* Answers. */

void peer_snapshot_taken(struct peer_call *call, struct err err);
/* json: [{"id":…}, …] without a line feed, as struct snap_member is written. */
void peer_answer_members(struct peer_call *call, struct slice json);
/* NULL: not decided, unknown. */
void peer_answer_version(struct peer_call *call, const char *cluster, const char *storage);
void peer_answer_downgrade_enabled(struct peer_call *call, struct err err, bool is_enabled);
void peer_answer_promote(struct peer_call *call, struct err err, struct slice members_json);
void peer_answer_hash(struct peer_call *call, struct err err, const struct peer_hash *hash);
/* Errors that have their own answers: TIMEDOUT, LEASE_NOT_FOUND, NOT_LEADER. */
void peer_answer_lease_renew(struct peer_call *call, struct err err, int64_t ttl);
void peer_answer_lease_ttl(struct peer_call *call, struct err err, const struct peer_lease *lease);

/* Questions. */

struct peer_answer {
    struct err err; /* OK: there is an answer, whatever its status. TIMEDOUT, CLOSED, TOO_BIG,
                       BAD_TLS, IO, BAD_FORMAT */
    int status;
    struct slice body;
    uint64_t cluster_id; /* its X-Etcd-Cluster-ID; 0: none */
    const char *why;     /* never NULL */
};

struct peer_question {
    const char *method; /* "GET" */
    const char *path;   /* "/members" */
    struct slice body;
    const char *content_type; /* NULL: none */
    size_t bytes_max;         /* of the answer */
    int64_t timeout_ms;
};

/* Asks a known member, at the first of its URLs that answers. done is called once with what is lent
 * for the call, on the peer thread; never from inside this call. Everything is copied. */
void peer_ask(struct peer *peer, uint64_t id, const struct peer_question *question,
    void (*done)(void *arg, const struct peer_answer *answer), void *arg);

/* The leader's answers. Errors: LEASE_NOT_FOUND, TIMEDOUT, NOT_LEADER, and peer_answer's. */
void peer_ask_lease_renew(struct peer *peer, uint64_t id, int64_t lease_id, int64_t timeout_ms,
    void (*done)(void *arg, struct err err, int64_t ttl), void *arg);
void peer_ask_lease_ttl(struct peer *peer, uint64_t id, int64_t lease_id, bool with_keys,
    int64_t timeout_ms, void (*done)(void *arg, struct err err, const struct peer_lease *lease),
    void *arg);
/* Errors: MEMBER_NOT_FOUND, MEMBER_NOT_LEARNER, LEARNER_NOT_READY, and peer_answer's. json: the
 * members. */
void peer_ask_promote(struct peer *peer, uint64_t id, uint64_t learner_id, int64_t timeout_ms,
    void (*done)(void *arg, struct err err, struct slice json), void *arg);
/* Errors: COMPACTED, FUTURE_REV, CLUSTER_ID_MISMATCH, and peer_answer's. */
void peer_ask_hash(struct peer *peer, uint64_t id, int64_t revision, int64_t timeout_ms,
    void (*done)(void *arg, struct err err, const struct peer_hash *hash), void *arg);

struct peer_fetched {
    int status;
    uint64_t cluster_id; /* its X-Etcd-Cluster-ID; 0: none */
    struct buf body;     /* the caller's to fini */
};

/* The same as peer_ask before any thread runs: blocks, at most question->timeout_ms. dialing: NULL
 * for https after the system's roots. Errors: TIMEDOUT, CLOSED, TOO_BIG, BAD_TLS, IO, BAD_FORMAT;
 * any status is an answer. */
MUST struct err peer_fetch(const char *url, const struct peer_question *question,
    const struct http_dialing *dialing, struct peer_fetched *out, struct why *why);

#endif
