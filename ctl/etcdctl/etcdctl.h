/* SPDX-License-Identifier: Apache-2.0
 *
 * What the command files share: the global options turned into a client and a printer.
 */
#ifndef ETCDCTL_ETCDCTL_H
#define ETCDCTL_ETCDCTL_H

#include "base/clock.h"
#include "base/mem.h"
#include "base/pb.h"
#include "ctl/lib/ctl.h"

/* A request of etcdserverpb on the stack: REQUEST(RangeRequest, range_request, request); */
#define REQUEST(Type, type, name)                                                                  \
    Etcdserverpb__##Type name;                                                                     \
    etcdserverpb__##type##__init(&name)

/* The commands, in the order they are looked for. */
extern const struct cmd cmd_get, cmd_put, cmd_del, cmd_txn, cmd_compaction, cmd_alarm, cmd_defrag,
    cmd_endpoint, cmd_move_leader, cmd_watch, cmd_version, cmd_lease, cmd_member, cmd_snapshot,
    cmd_make_mirror, cmd_lock, cmd_elect, cmd_auth, cmd_user, cmd_role, cmd_check, cmd_completion,
    cmd_downgrade;
extern const struct cmd cmd_root;
extern const struct cmd_option global_options[];

/* Environment into options, --debug's listing, endpoints, certificates, user, output format. Once a
 * run, before the first client. Gives an exit code; 0: go on. */
int ctl_configure(
    struct cmd_run *run, struct client_config *out_config, struct printer *out_printer);
/* The client of that configuration. Gives an exit code; 0: go on. */
int ctl_open(const struct client_config *config, struct client **out_client);
/* Both: what most commands begin with. */
int ctl_connect(struct cmd_run *run, struct client **out_client, struct printer *out_printer);
/* --command-timeout from now. */
client_deadline ctl_deadline(const struct cmd_run *run);
/* --endpoints, or with --cluster the client URLs of all members. Gives an exit code. */
int ctl_cluster_endpoints(struct cmd_run *run, const struct client_config *config,
    const char *const **out_endpoints, size_t *out_count);
/* The configuration for one endpoint only. */
struct client_config ctl_config_for(
    const struct client_config *config, const char *const *endpoint);
/* Calls and closes the client when it fails: "Error: …" and code. */
int ctl_call(struct client *client, const struct client_method *method, const void *request,
    client_deadline deadline, void *out_response);
/* A client, and how its answers are printed. */
struct ctl_session {
    struct client *client;
    struct printer printer;
};
/* Connects and asks without a deadline, as etcdctl does for users and roles; a failure leaves
 * nothing open. The answer lives as long as the client. */
int ctl_connect_call(struct cmd_run *run, const struct client_method *method, const void *request,
    struct ctl_session *out, void *out_response);
/* "[a b]": the endpoints as Go prints a list. In the arena. */
const char *ctl_endpoint_list(struct arena *arena, const struct client_config *config);
/* A prompt to stdout and a line from stdin without echo, which a signal that ends the process gives
 * back. Not in two threads. In the arena. */
const char *ctl_ask(struct arena *arena, const char *prompt);
/* All of stdin. In the arena. */
struct slice ctl_read_stdin(struct arena *arena);
/* Go's Duration.String(). In the arena. */
const char *ctl_duration(struct arena *arena, int64_t ns);
/* "s" is serializable. Gives an exit code. */
int ctl_consistency(const char *text, const char *shown, bool *out_is_serializable);

/* txn's requests: the commands' options as messages. Each gives an exit code. */
int ctl_put_request(struct cmd_run *run, Etcdserverpb__PutRequest *out);
int ctl_get_request(struct cmd_run *run, Etcdserverpb__RangeRequest *out);
int ctl_del_request(struct cmd_run *run, Etcdserverpb__DeleteRangeRequest *out);

/* An argument with all its bytes: a line's may hold a NUL. */
static inline struct slice ctl_arg(const struct cmd_run *run, size_t i)
{
    return run->words ? lines_bytes(run->words, run->args[i]) : slice_str(run->args[i]);
}

static inline ProtobufCBinaryData ctl_bytes(const char *text)
{
    return pb_bytes(slice_str(text));
}

#endif
