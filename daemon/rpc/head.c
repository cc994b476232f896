/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/internal.h"

#include "base/tls.h"

#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <string.h>

void rpc_head_fini(struct rpc_head *head)
{
    grpc_metadata_array_destroy(&head->metadata);
    if (head->first) {
        grpc_byte_buffer_destroy(head->first);
    }
    if (head->call) {
        grpc_call_unref(head->call);
    }
}

static struct slice slice_from(const grpc_slice *s)
{
    return slice_of(GRPC_SLICE_START_PTR(*s), GRPC_SLICE_LENGTH(*s));
}

/* "ipv4:1.2.3.4:5" and "ipv6:%5B::1%5D:5" without their scheme, percent signs undone. */
static char *address_of(grpc_call *call, struct arena *arena)
{
    char *peer = grpc_call_get_peer(call);
    char *out = arena_strdup(arena, peer);
    gpr_free(peer);
    if (strncmp(out, "ipv4:", 5) == 0) {
        return out + 5;
    }
    if (strncmp(out, "ipv6:", 5) != 0) {
        return strncmp(out, "unix:", 5) == 0 ? arena_strdup(arena, "@") : out; /* as Go says it */
    }
    char *to = out;
    for (const char *from = out + 5; *from; from++) {
        bool is_open = strncmp(from, "%5B", 3) == 0;
        bool is_escape = is_open || strncmp(from, "%5D", 3) == 0;
        *to++ = is_open ? '[' : is_escape ? ']' : *from;
        from += is_escape ? 2 : 0;
    }
    *to = 0;
    return out;
}

static struct slice property_of(const grpc_auth_context *auth, const char *name)
{
    grpc_auth_property_iterator it = grpc_auth_context_find_properties_by_name(auth, name);
    const grpc_auth_property *property = grpc_auth_property_iterator_next(&it);
    return property ? slice_of(property->value, property->value_length) : (struct slice){0};
}

static bool has_two_names(struct slice subject)
{
    static const char mark[] = "CN=";
    const uint8_t *first = memmem(subject.data, subject.len, mark, sizeof(mark) - 1);
    size_t left = first ? subject.len - (size_t)(first + 1 - subject.data) : 0;
    return left && memmem(first + 1, left, mark, sizeof(mark) - 1);
}

/* The last of several, which is Go's; gRPC tells the first. */
static struct slice last_cn(const grpc_auth_context *auth, struct arena *arena)
{
    struct slice pem = property_of(auth, GRPC_X509_PEM_CERT_PROPERTY_NAME);
    X509 *cert = tls_cert_parse((const char *)arena_dup(arena, pem).data);
    char *cn = cert ? tls_cert_cn(cert) : NULL;
    struct slice out = cn ? arena_dup(arena, slice_str(cn)) : (struct slice){0};
    X509_free(cert);
    free(cn);
    return out;
}

/* "": a certificate without a common name. */
static const char *cn_of(grpc_call *call, struct arena *arena)
{
    const char *out = NULL;
    grpc_auth_context *auth = grpc_call_auth_context(call);
    if (auth && grpc_auth_context_peer_is_authenticated(auth)) {
        struct slice cn = property_of(auth, GRPC_X509_CN_PROPERTY_NAME);
        if (has_two_names(property_of(auth, GRPC_X509_SUBJECT_PROPERTY_NAME))) {
            cn = last_cn(auth, arena);
        }
        bool is_text = cn.len && !memchr(cn.data, 0, cn.len);
        out = is_text ? (const char *)arena_dup(arena, cn).data : "";
    }
    grpc_auth_context_release(auth);
    return out;
}

static const char *text_in(struct arena *arena, const grpc_slice *value)
{
    struct slice bytes = slice_from(value);
    return bytes.len ? (const char *)arena_dup(arena, bytes).data : "";
}

void rpc_head_caller(struct rpc_head *head, struct arena *arena, struct api_caller *out_caller)
{
    const char *token = NULL;
    const char *authorization = NULL;
    const struct rpc *rpc = head->lane->rpc;
    *out_caller = (struct api_caller){.address = address_of(head->call, arena)};
    for (size_t i = 0; i < head->metadata.count; i++) {
        const grpc_metadata *item = &head->metadata.metadata[i];
        struct slice key = slice_from(&item->key);
        if (slice_eq(key, SLICE("token"))) {
            token = token ? token : text_in(arena, &item->value);
        } else if (slice_eq(key, SLICE("authorization"))) {
            authorization = authorization ? authorization : text_in(arena, &item->value);
        } else if (slice_eq(key, SLICE("hasleader"))) {
            out_caller->has_leader = slice_eq(slice_from(&item->value), SLICE("true"));
        } else if (slice_eq(key, SLICE("grpcgateway-accept"))) {
            out_caller->is_gateway = true;
        } else if (slice_eq(key, SLICE("client-api-version"))) {
            out_caller->client_version = text_in(arena, &item->value);
        }
    }
    out_caller->token = token ? token : authorization;
    out_caller->cert_cn = rpc->creds ? cn_of(head->call, arena) : NULL;
}

int64_t rpc_head_deadline_ns(const struct rpc_head *head)
{
    gpr_timespec at = gpr_convert_clock_type(head->deadline, GPR_CLOCK_MONOTONIC);
    if (at.tv_sec >= INT64_MAX / 1000000000) {
        return INT64_MAX;
    }
    return at.tv_sec * 1000000000 + at.tv_nsec;
}
