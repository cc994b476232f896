/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of client: what calls and streams share.
 */
#ifndef CTL_CLIENT_IMPL_H
#define CTL_CLIENT_IMPL_H

#include "ctl/lib/stream.h"
#include "ctl/lib/target.h"

#include <grpc/grpc.h>

struct client_lane {
    const char *endpoint; /* as it was given */
    grpc_channel *channel;
    grpc_connectivity_state state; /* when last looked at */
};

struct client {
    struct arena *arena;
    struct arena *answers;        /* until client_forget */
    grpc_completion_queue *queue; /* plucked: a tag is the address of what waits */
    struct client_lane *lanes;    /* one an endpoint */
    size_t lanes_count;
    size_t next;      /* lane of the next call */
    const char *user; /* "" when none */
    const char *password;
    const char *token; /* "" when none */
    const char *logger;
    const char *authority; /* of the first endpoint, for log lines */
    size_t send_max;
};

/* TLS, or plain when neither config nor the endpoint asks for it. Errors: BAD_CONFIG. */
MUST struct err client_creds_load(const struct client_config *config, enum client_creds needed,
    grpc_channel_credentials **out_creds, struct why *why);

/* client.c: a lane that is connected, or the only one there is. */
struct client_lane *client_pick(struct client *client, client_deadline deadline);
/* Fetches the user's token, if there is a user. */
MUST struct err client_login(struct client *client, client_deadline deadline, struct why *why);

/* wire.c */
gpr_timespec client_time(client_deadline deadline);
/* What every call carries; out has room for 4. The slices are static or borrowed from the client.
 */
size_t client_metadata(const struct client *client, bool needs_leader, grpc_metadata *out);
/* A code and details as err, with clientv3's text in why. */
MUST struct err client_error(
    grpc_status_code code, grpc_slice details, client_deadline deadline, struct why *why);
/* Starts the ops and waits for them. */
bool client_run_ops(
    struct client *client, grpc_call *call, const grpc_op *ops, size_t count, void *tag);
grpc_byte_buffer *client_pack(const void *message, size_t *out_size);
/* Takes the buffer. */
MUST struct err client_unpack(const ProtobufCMessageDescriptor *type, struct arena *arena,
    grpc_byte_buffer *bytes, void *out_message);
/* "rpc error: code = Unavailable desc = …" */
void client_status_text(grpc_status_code code, grpc_slice details, char *out, size_t size);

#endif
