/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies the keys below a prefix as they stand at one revision, then follows the changes behind it;
 * the changes of one revision stay one transaction. */
#include "watch.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { PAGE = 1000, REPORT_S = 30 };

static const struct cmd_option options[] = {
    {"prefix", CMD_STRING, "", "Key-value prefix to mirror", 0, false},
    {"rev", CMD_INT64, "0", "Specify the kv revision to start to mirror", 0, false},
    {"max-txn-ops", CMD_UINT, "128",
        "Maximum number of operations permitted in a transaction during syncing updates.", 0,
        false},
    {"dest-prefix", CMD_STRING, "",
        "destination prefix to mirror a prefix to a different prefix in the destination cluster", 0,
        false},
    {"no-dest-prefix", CMD_BOOL, "false",
        "mirror key-values to the root of the destination cluster", 0, false},
    {"dest-cert", CMD_STRING, "",
        "Identify secure client using this TLS certificate file for the destination cluster", 0,
        false},
    {"dest-key", CMD_STRING, "", "Identify secure client using this TLS key file", 0, false},
    {"dest-cacert", CMD_STRING, "",
        "Verify certificates of TLS enabled secure servers using this CA bundle", 0, false},
    {"dest-insecure-transport", CMD_BOOL, "true",
        "Disable transport security for client connections", 0, false},
    {"dest-user", CMD_STRING, "",
        "Destination username[:password] for authentication (prompt if password is not supplied)",
        0, false},
    {"dest-password", CMD_STRING, "",
        "Destination password for authentication (if this option is used, --user option shouldn't "
        "include password)",
        0, false},
    {0},
};

struct mirror {
    struct client *from;
    struct client *to;
    const char *prefix;
    const char *to_prefix;
    size_t ops_max;
    int64_t revision; /* the last one that is copied */
    Etcdserverpb__RequestOp **ops;
    size_t ops_count;
    struct arena *arena; /* of the transaction that is being made */
};

static _Atomic int64_t total;

static void *report(void *arg)
{
    (void)arg;
    for (;;) {
        sleep(REPORT_S);
        printf("%" PRId64 "\n", atomic_load(&total));
        fflush(stdout);
    }
    return NULL;
}

/* The key with the first occurrence of the prefix replaced. */
static struct slice renamed(const struct mirror *m, struct arena *arena, ProtobufCBinaryData key)
{
    size_t prefix_len = strlen(m->prefix);
    const uint8_t *at = prefix_len ? memmem(key.data, key.len, m->prefix, prefix_len) : key.data;
    struct buf buf;

    if (!at && key.len > 0) {
        return arena_dup(arena, pb_slice(key));
    }
    size_t before = at ? (size_t)(at - key.data) : 0;
    buf_init(&buf, SIZE_MAX);
    buf_add(&buf, key.data, before);
    buf_add_str(&buf, m->to_prefix);
    buf_add(&buf, key.data + before + prefix_len, key.len - before - prefix_len);
    struct slice name = arena_dup(arena, buf_slice(&buf));
    buf_fini(&buf);
    return name;
}

static struct err copy_page(
    struct mirror *m, const Etcdserverpb__RangeResponse *page, struct why *why)
{
    for (size_t i = 0; i < page->n_kvs; i++) {
        const Etcdserverpb__PutResponse *done;
        struct arena *arena = arena_new(0);
        REQUEST(PutRequest, put_request, put);
        put.key = pb_bytes(renamed(m, arena, page->kvs[i]->key));
        put.value = page->kvs[i]->value;
        struct err err = client_call(m->to, CLIENT_ASK(&client_put, &put, 0), &done, why);
        arena_free(arena);
        client_forget(m->to);
        TRY(err);
        atomic_fetch_add(&total, 1);
    }
    return OK;
}

/* Where the pages begin: the prefix, or the first key there can be. */
static void set_range(
    const struct mirror *m, struct arena *arena, Etcdserverpb__RangeRequest *range)
{
    struct slice prefix = slice_str(m->prefix);

    range->key = pb_bytes(prefix.len ? prefix : PREFIX_FROM_KEY);
    range->range_end = pb_bytes(prefix.len ? prefix_range_end(arena, prefix) : PREFIX_FROM_KEY);
}

static struct err copy_base(struct mirror *m, struct why *why)
{
    const Etcdserverpb__RangeResponse *page;
    struct arena *arena = arena_new(0);
    struct err err;

    REQUEST(RangeRequest, range_request, look);
    REQUEST(RangeRequest, range_request, range);
    look.key = ctl_bytes(*m->prefix ? m->prefix : "foo");
    err = client_call(m->from, CLIENT_ASK(&client_range, &look, 0), &page, why);
    set_range(m, arena, &range);
    range.limit = PAGE;
    range.revision = m->revision = err_is(err) ? 0 : page->header->revision;
    for (bool has_more = true; has_more && !err_is(err);) {
        err = client_call(m->from, CLIENT_ASK(&client_range, &range, 0), &page, why);
        if (err_is(err)) {
            break;
        }
        err = copy_page(m, page, why);
        has_more = page->more && page->n_kvs > 0;
        if (has_more) {
            struct slice last = pb_slice(page->kvs[page->n_kvs - 1]->key);
            uint8_t *next = arena_zalloc(arena, last.len + 1);
            memcpy(next, last.data, last.len);
            range.key = (ProtobufCBinaryData){last.len + 1, next};
        }
        client_forget(m->from);
    }
    arena_free(arena);
    return err;
}

static struct err commit(struct mirror *m, struct why *why)
{
    const Etcdserverpb__TxnResponse *done;

    if (m->ops_count == 0) {
        return OK;
    }
    REQUEST(TxnRequest, txn_request, txn);
    txn.success = m->ops;
    txn.n_success = m->ops_count;
    struct err err = client_call(m->to, CLIENT_ASK(&client_txn, &txn, 0), &done, why);
    client_forget(m->to);
    m->ops_count = 0;
    return err;
}

static void add_op(struct mirror *m, const Mvccpb__Event *event)
{
    Etcdserverpb__RequestOp *op = arena_alloc(m->arena, sizeof(*op));
    ProtobufCBinaryData key = pb_bytes(renamed(m, m->arena, event->kv->key));

    etcdserverpb__request_op__init(op);
    if (event->type == MVCCPB__EVENT__EVENT_TYPE__PUT) {
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        op->request_put = arena_alloc(m->arena, sizeof(*op->request_put));
        etcdserverpb__put_request__init(op->request_put);
        op->request_put->key = key;
        op->request_put->value = event->kv->value;
    } else {
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        op->request_delete_range = arena_alloc(m->arena, sizeof(*op->request_delete_range));
        etcdserverpb__delete_range_request__init(op->request_delete_range);
        op->request_delete_range->key = key;
    }
    m->ops[m->ops_count++] = op;
    atomic_fetch_add(&total, 1);
}

/* The events of one response: a transaction a revision, or more when it is too large for one. */
static struct err apply(struct mirror *m, const Etcdserverpb__WatchResponse *r, struct why *why)
{
    if (r->compact_revision != 0 || r->canceled) {
        return why_set(why, ERR(WATCH_CANCELED), "%s", watch_cancel_text(r, m->arena));
    }
    for (size_t i = 0; i < r->n_events; i++) {
        int64_t revision = r->events[i]->kv->mod_revision;
        if (revision > m->revision || m->ops_count == m->ops_max) {
            TRY(commit(m, why));
        }
        m->revision = revision;
        add_op(m, r->events[i]);
    }
    return commit(m, why);
}

static struct err ask_updates(struct mirror *m, struct client_stream *stream, struct why *why)
{
    struct arena *arena = arena_new(0);

    REQUEST(RangeRequest, range_request, range);
    REQUEST(WatchRequest, watch_request, request);
    REQUEST(WatchCreateRequest, watch_create_request, create);
    set_range(m, arena, &range);
    create.key = range.key;
    create.range_end = range.range_end;
    create.start_revision = m->revision + 1;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    struct err err = client_stream_send(stream, &request, why);
    arena_free(arena);
    return err;
}

/* Follows one stream to its end. False: beyond repair. */
static bool follow(struct mirror *m, struct why *why)
{
    const Etcdserverpb__WatchResponse *response = NULL;
    struct client_stream *stream = NULL;

    if (err_is(client_stream_open(m->from, CLIENT_ASK(&client_watch, NULL, 0), &stream, why))) {
        return false;
    }
    struct err err = ask_updates(m, stream, why);
    bool is_stream = true; /* what failed is the stream, not the copying */
    while (!err_is(err) && is_stream) {
        m->arena = arena_new(0);
        err = client_stream_recv(stream, m->arena, &response, why);
        if (!err_is(err) && response) {
            err = apply(m, response, why);
            is_stream = !err_is(err);
        }
        arena_free(m->arena);
        if (!response) {
            break;
        }
    }
    bool may_retry = is_stream && client_stream_may_retry(stream);
    client_stream_close(stream);
    return may_retry;
}

static int mirror(struct cmd_run *run, struct mirror *m)
{
    bool has_prefix = *m->to_prefix != '\0';
    bool is_rootless = cmd_bool(run, "no-dest-prefix");
    int64_t start = cmd_int(run, "rev") - 1;
    pthread_t thread;
    struct why why = {"<nil>"};

    if (is_rootless && has_prefix) {
        return cmd_fail(CMD_EXIT_BAD_ARGS,
            "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one");
    }
    check(pthread_create(&thread, NULL, report, NULL) == 0);
    m->revision = start > 0 ? start : 0;
    if (m->revision == 0) {
        m->to_prefix = is_rootless || has_prefix ? m->to_prefix : m->prefix;
        if (err_is(copy_base(m, &why))) {
            return cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
        }
    }
    while (follow(m, &why)) {
        usleep(100000);
    }
    return cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
}

static int open_destination(struct cmd_run *run, struct client **out_client)
{
    const char *user = cmd_text(run, "dest-user");
    const char *password = cmd_text(run, "dest-password");
    const char *colon = strchr(user, ':');
    const char *endpoints[] = {run->args[0]};
    struct client_config config = {.endpoints = endpoints,
        .endpoints_count = 1,
        .cert = cmd_text(run, "dest-cert"),
        .key = cmd_text(run, "dest-key"),
        .cacert = cmd_text(run, "dest-cacert"),
        .server_name = "",
        .user = user,
        .password = password,
        .token = "",
        .is_insecure = cmd_bool(run, "dest-insecure-transport"),
        .dial_timeout_ns = cmd_int(run, "dial-timeout"),
        .keepalive_time_ns = cmd_int(run, "keepalive-time"),
        .keepalive_timeout_ns = cmd_int(run, "keepalive-timeout"),
        .send_max = cmd_int(run, "max-request-bytes"),
        .recv_max = cmd_int(run, "max-recv-bytes"),
        .logger = "etcd-client"};

    if (*user && !*password && colon) {
        size_t len = (size_t)(colon - user);
        config.user = (const char *)arena_dup(run->arena, slice_of(user, len)).data;
        config.password = colon + 1;
    } else if (*user && !*password) {
        config.password = ctl_ask(run->arena, "Destination Password: ");
    }
    return ctl_open(&config, out_client);
}

static int make_mirror(struct cmd_run *run)
{
    struct mirror m = {0};
    struct printer printer;

    if (run->args_count != 1) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "make-mirror takes one destination argument");
    }
    int code = open_destination(run, &m.to);
    if (code == CMD_EXIT_OK) {
        code = ctl_connect(run, &m.from, &printer);
    }
    if (code != CMD_EXIT_OK) {
        client_close(m.to);
        return code;
    }
    m.prefix = cmd_text(run, "prefix");
    m.to_prefix = cmd_text(run, "dest-prefix");
    m.ops_max = (size_t)cmd_int(run, "max-txn-ops");
    m.ops_max = m.ops_max > 0 && m.ops_max < 1 << 20 ? m.ops_max : 1 << 20;
    m.ops = arena_zalloc(run->arena, m.ops_max * sizeof(Etcdserverpb__RequestOp *));
    code = mirror(run, &m);
    client_close(m.from);
    client_close(m.to);
    return code;
}

const struct cmd cmd_make_mirror = {
    .use = "make-mirror [options] <destination>",
    .brief = "Makes a mirror at the destination etcd cluster",
    .options = options,
    .run = make_mirror,
};
