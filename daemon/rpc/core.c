/* SPDX-License-Identifier: Apache-2.0
 *
 * Core's server as this room wants it: its bounds, the table's methods, the two ports whose
 * connections somebody else accepts, and what core logs.
 */
#include "rpc/core.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/creds.h"
#include "rpc/shim.h"

#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <string.h>

enum {
    HEADERS_BYTES_DEFAULT = 64 << 10,
    HANDSHAKE_DEFAULT_MS = 10000,
    KEEPALIVE_MIN_DEFAULT_MS = 5000,
    KEEPALIVE_INTERVAL_DEFAULT_MS = 2 * 60 * 60 * 1000,
    KEEPALIVE_TIMEOUT_DEFAULT_MS = 20000,
    LOG_EVERY_MS = 1000,
    MEMORY_DEFAULT = 512 << 20,
    STREAM_WINDOW = 1 << 20, /* of a request, before it is asked for more */
};

/* core's own errors, as lines of ours: failed handshakes mostly, hence etcd's words, and one a
 * second, for whoever fills the log fills the disk. */
static void on_core_log(gpr_log_func_args *args)
{
    static _Atomic int64_t logged_ms;
    int64_t last_ms = atomic_load(&logged_ms);
    int64_t now_ms = clock_mono_ms();
    bool is_due = last_ms == 0 || now_ms - last_ms >= LOG_EVERY_MS;
    if (args->severity != GPR_LOG_SEVERITY_ERROR || !is_due ||
        !atomic_compare_exchange_strong(&logged_ms, &last_ms, now_ms)) {
        return;
    }
    if (strstr(args->message, "andshake")) {
        LOG_WARN("rejected connection on client endpoint", LOG_ERR(args->message));
    } else {
        LOG_WARN("grpc", LOG_STR("file", args->file), LOG_ERR(args->message));
    }
}

void rpc_core_init(void)
{
    rpc_shim_init();
    check(strncmp(grpc_version_string(), "29.", 3) == 0); /* shim.cc knows the layouts of 1.51 */
    gpr_set_log_function(on_core_log);
    grpc_init();
}

static void *slot_copy(void *slot)
{
    return slot;
}

static void slot_destroy(void *slot)
{
    (void)slot;
}

static int slot_compare(void *a, void *b)
{
    return (a > b) - (a < b);
}

static const grpc_arg_pointer_vtable slot_vtable = {slot_copy, slot_destroy, slot_compare};

static grpc_arg slot_arg(const char *key, void **slot)
{
    grpc_arg arg = {.type = GRPC_ARG_POINTER, .key = (char *)(uintptr_t)key};
    arg.value.pointer.p = slot;
    arg.value.pointer.vtable = &slot_vtable;
    return arg;
}

static grpc_arg int_arg(const char *key, int64_t value)
{
    grpc_arg arg = {.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key};
    arg.value.integer = value > INT32_MAX ? INT32_MAX : (int)value;
    return arg;
}

static int64_t given(int64_t value, int64_t otherwise)
{
    return value > 0 ? value : otherwise;
}

static grpc_arg quota_arg(grpc_resource_quota *quota)
{
    grpc_arg arg = {.type = GRPC_ARG_POINTER, .key = (char *)(uintptr_t)GRPC_ARG_RESOURCE_QUOTA};
    arg.value.pointer.p = quota;
    arg.value.pointer.vtable = grpc_resource_quota_arg_vtable();
    return arg;
}

void rpc_core_new(struct rpc *rpc, const struct rpc_options *options)
{
    grpc_resource_quota *quota = grpc_resource_quota_create("rpc");
    grpc_resource_quota_resize(
        quota, (size_t)given((int64_t)options->memory_bytes_max, MEMORY_DEFAULT));
    const grpc_arg args[] = {
        slot_arg("external:plain", &rpc->plain_handler),
        slot_arg("external:tls", &rpc->tls_handler),
        /* The size of a request is checked here, for grpc-go's text; core checks no earlier. */
        int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1),
        int_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, INT32_MAX),
        int_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, given(options->streams_max, INT32_MAX)),
        int_arg(
            GRPC_ARG_MAX_METADATA_SIZE, given(options->headers_bytes_max, HEADERS_BYTES_DEFAULT)),
        int_arg(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
            given(options->handshake_timeout_ms, HANDSHAKE_DEFAULT_MS)),
        /* Measuring what a connection holds costs a ping and new settings every few requests. */
        int_arg(GRPC_ARG_HTTP2_BDP_PROBE, 0),
        int_arg(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, STREAM_WINDOW),
        int_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
            given(options->keepalive_min_ms, KEEPALIVE_MIN_DEFAULT_MS)),
        int_arg(GRPC_ARG_KEEPALIVE_TIME_MS,
            given(options->keepalive_interval_ms, KEEPALIVE_INTERVAL_DEFAULT_MS)),
        int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
            given(options->keepalive_timeout_ms, KEEPALIVE_TIMEOUT_DEFAULT_MS)),
        int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0),
        /* A small gzip message may unpack to gigabytes; message.c does it within bounds. */
        int_arg(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0),
        int_arg(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0),
        int_arg(GRPC_ARG_ENABLE_CHANNELZ, 0),
        quota_arg(quota),
    };
    const grpc_channel_args all = {COUNT_OF(args), (grpc_arg *)(uintptr_t)args};
    rpc->server = grpc_server_create(&all, NULL);
    grpc_resource_quota_unref(quota);
}

static void add_port(struct rpc *rpc, const char *address, grpc_server_credentials *creds)
{
    /* Returns no port for an external one, whether it went well or not: rpc_start looks at the
     * slot. */
    grpc_server_add_http2_port(rpc->server, address, creds);
    grpc_server_credentials_release(creds);
}

static void register_methods(struct rpc *rpc, bool is_extensive)
{
    size_t count;
    const struct api_method *methods = api_methods(&count);
    rpc->methods = mem_new((count + 1) * sizeof(*rpc->methods));
    for (size_t i = 0; i < count; i++) {
        if (!methods[i].ops) {
            continue;
        }
        struct rpc_method *method = &rpc->methods[rpc->methods_count++];
        method->method = &methods[i];
        rpc_counters_init(&method->counters, &methods[i], is_extensive);
        method->handle = grpc_server_register_method(rpc->server, methods[i].path, NULL,
            methods[i].kind == API_BIDI ? GRPC_SRM_PAYLOAD_NONE
                                        : GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER,
            0);
        check(method->handle);
    }
}

void rpc_core_register(struct rpc *rpc, bool is_extensive)
{
    register_methods(rpc, is_extensive);
    add_port(rpc, "external:plain", grpc_insecure_server_credentials_create());
    if (rpc->creds) {
        add_port(rpc, "external:tls", rpc_creds_core(rpc->creds));
    }
}
