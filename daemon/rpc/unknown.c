/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of methods that are not registered: answered as grpc-go answers them. */
#include "rpc/internal.h"

#include "base/mem.h"

#include <grpc/slice.h>
#include <stdio.h>

struct rpc_unknown {
    struct rpc_lane *lane;
    struct rpc_tag arrived;
    struct rpc_tag sent;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    int is_cancelled;
};

static void on_arrived(struct rpc_tag *tag, bool is_ok);
static void on_sent(struct rpc_tag *tag, bool is_ok);

void rpc_unknown_request(struct rpc_lane *lane)
{
    struct rpc_unknown *unknown = mem_new(sizeof(*unknown));
    unknown->lane = lane;
    unknown->arrived.fn = on_arrived;
    unknown->sent.fn = on_sent;
    grpc_call_details_init(&unknown->details);
    grpc_metadata_array_init(&unknown->metadata);
    grpc_call_error rc = grpc_server_request_call(lane->rpc->server, &unknown->call,
        &unknown->details, &unknown->metadata, lane->cq, lane->cq, &unknown->arrived);
    check(rc == GRPC_CALL_OK);
}

static void unknown_free(struct rpc_unknown *unknown)
{
    struct rpc *rpc = unknown->lane->rpc;
    bool is_counted = unknown->call != NULL;
    grpc_call_details_destroy(&unknown->details);
    grpc_metadata_array_destroy(&unknown->metadata);
    if (unknown->call) {
        grpc_call_unref(unknown->call);
    }
    free(unknown);
    if (is_counted) {
        rpc_call_ended(rpc);
    }
}

static bool is_service(struct slice name)
{
    size_t count;
    const struct api_method *methods = api_methods(&count);
    for (size_t i = 0; i < count; i++) {
        struct slice path = slice_str(methods[i].path + 1);
        if (slice_has_prefix(path, name) && path.len > name.len && path.data[name.len] == '/') {
            return true;
        }
    }
    return false;
}

static void explain(struct slice path, char *out, size_t size)
{
    const uint8_t *slash = path.len ? memrchr(path.data + 1, '/', path.len - 1) : NULL;
    if (path.len < 2 || path.data[0] != '/' || !slash) {
        snprintf(
            out, size, "malformed method name: \"%.*s\"", (int)path.len, (const char *)path.data);
        return;
    }
    struct slice service = slice_of(path.data + 1, (size_t)(slash - path.data) - 1);
    struct slice method = slice_of(slash + 1, path.len - service.len - 2);
    if (is_service(service)) {
        snprintf(out, size, "unknown method %.*s for service %.*s", (int)method.len,
            (const char *)method.data, (int)service.len, (const char *)service.data);
    } else {
        snprintf(out, size, "unknown service %.*s", (int)service.len, (const char *)service.data);
    }
}

static void on_arrived(struct rpc_tag *tag, bool is_ok)
{
    struct rpc_unknown *unknown = CONTAINER_OF(tag, struct rpc_unknown, arrived);
    char text[512];
    grpc_op ops[3] = {0};
    if (!is_ok) {
        unknown_free(unknown);
        return;
    }
    rpc_call_began(unknown->lane->rpc);
    rpc_unknown_request(unknown->lane);
    explain(slice_of(GRPC_SLICE_START_PTR(unknown->details.method),
                GRPC_SLICE_LENGTH(unknown->details.method)),
        text, sizeof(text));
    grpc_slice details = grpc_slice_from_copied_string(text);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[1].data.send_status_from_server.status = GRPC_STATUS_UNIMPLEMENTED;
    ops[1].data.send_status_from_server.status_details = &details;
    ops[2].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    ops[2].data.recv_close_on_server.cancelled = &unknown->is_cancelled;
    grpc_call_error rc = grpc_call_start_batch(unknown->call, ops, 3, &unknown->sent, NULL);
    check(rc == GRPC_CALL_OK);
    grpc_slice_unref(details);
}

static void on_sent(struct rpc_tag *tag, bool is_ok)
{
    (void)is_ok;
    unknown_free(CONTAINER_OF(tag, struct rpc_unknown, sent));
}
