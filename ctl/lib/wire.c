/* SPDX-License-Identifier: Apache-2.0
 *
 * What calls and streams put on the wire and take off it: deadlines, metadata, messages, statuses
 * in clientv3's words. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/pb.h"
#include "base/version.h"
#include "ctl/lib/client_impl.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/support/time.h>

static const char *const code_names[] = {"OK", "Canceled", "Unknown", "InvalidArgument",
    "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied", "ResourceExhausted",
    "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable",
    "DataLoss", "Unauthenticated"};

gpr_timespec client_time(client_deadline deadline)
{
    if (deadline == 0) {
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    }
    gpr_timespec span = gpr_time_from_nanos(deadline - clock_mono_ns(), GPR_TIMESPAN);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), span);
}

void client_status_text(grpc_status_code code, grpc_slice details, char *out, size_t size)
{
    const char *name = (size_t)code < COUNT_OF(code_names) ? code_names[code] : "Unknown";

    snprintf(out, size, "rpc error: code = %s desc = %.*s", name, (int)GRPC_SLICE_LENGTH(details),
        (const char *)GRPC_SLICE_START_PTR(details));
}

/* The error of that text, if it is one that etcd's clients know. */
static struct err known_error(grpc_slice details)
{
    struct slice text = slice_of(GRPC_SLICE_START_PTR(details), GRPC_SLICE_LENGTH(details));

    for (int code = ERR_OK + 1; code < ERR_CODES; code++) {
        struct err err = {(enum err_code)code};
        struct slice known = slice_str(err_text(err));
        if (slice_has_prefix(known, SLICE("etcdserver: ")) && slice_eq(known, text)) {
            return err;
        }
    }
    return OK;
}

struct err client_error(
    grpc_status_code code, grpc_slice details, client_deadline deadline, struct why *why)
{
    char text[sizeof(why->text)];
    struct err known = known_error(details);

    if (err_is(known)) {
        return why_set(why, known, "%s", err_text(known));
    }
    if (code == GRPC_STATUS_DEADLINE_EXCEEDED && deadline != 0) {
        return why_set(why, ERR(DEADLINE_EXCEEDED), "context deadline exceeded");
    }
    client_status_text(code, details, text, sizeof(text));
    return why_set(why, ERR(IO), "%s", text);
}

size_t client_metadata(const struct client *client, bool needs_leader, grpc_metadata *out)
{
    size_t count = 0;

    out[count++] = (grpc_metadata){.key = grpc_slice_from_static_string("client-api-version"),
        .value = grpc_slice_from_static_buffer(
            KETCD_CLUSTER_VERSION, sizeof(KETCD_CLUSTER_VERSION) - 3)};
    if (*client->token) {
        out[count++] = (grpc_metadata){.key = grpc_slice_from_static_string("token"),
            .value = grpc_slice_from_static_string(client->token)};
    }
    if (needs_leader) {
        out[count++] = (grpc_metadata){.key = grpc_slice_from_static_string("hasleader"),
            .value = grpc_slice_from_static_string("true")};
    }
    return count;
}

bool client_run_ops(
    struct client *client, grpc_call *call, const grpc_op *ops, size_t count, void *tag)
{
    check(grpc_call_start_batch(call, ops, count, tag, NULL) == GRPC_CALL_OK);
    return grpc_completion_queue_pluck(client->queue, tag, gpr_inf_future(GPR_CLOCK_REALTIME), NULL)
               .success != 0;
}

grpc_byte_buffer *client_pack(const void *message, size_t *out_size)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    grpc_slice slice = grpc_slice_malloc(size);

    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    grpc_byte_buffer *bytes = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    *out_size = size;
    return bytes;
}

struct err client_unpack(const ProtobufCMessageDescriptor *type, struct arena *arena,
    grpc_byte_buffer *bytes, void *out_message)
{
    grpc_byte_buffer_reader reader;
    struct err err = ERR(BAD_FORMAT);

    if (bytes && grpc_byte_buffer_reader_init(&reader, bytes)) {
        grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
        struct slice copy =
            arena_dup(arena, slice_of(GRPC_SLICE_START_PTR(all), GRPC_SLICE_LENGTH(all)));
        err = pb_unpack(type, arena, copy, out_message);
        grpc_slice_unref(all);
        grpc_byte_buffer_reader_destroy(&reader);
    }
    grpc_byte_buffer_destroy(bytes);
    return err;
}
