/* SPDX-License-Identifier: Apache-2.0
 *
 * clientv3 has structs of its own for leases; they embed the header, so JSON shows its members in
 * line, and protobuf, which finds only the header's Marshal, writes the header alone. */
#include "base/buf.h"
#include "base/pb.h"
#include "ctl/lib/cmd.h"
#include "ctl/lib/gojson.h"
#include "ctl/lib/gotext.h"
#include "ctl/lib/print.h"

#include <inttypes.h>

static void id_field(const struct printer *p, int64_t id)
{
    if (p->is_hex) {
        char text[GOTEXT_SIZE];
        fprintf(p->out, "\"ID\" : %s\n", gotext_lease(id, text));
    } else {
        fprintf(p->out, "\"ID\" : %" PRId64 "\n", id);
    }
}

static int header_only(const struct printer *p, const Etcdserverpb__ResponseHeader *header)
{
    return header ? print_any(p, header) : CMD_EXIT_OK;
}

/* The header's members and a comma behind them. */
static void open_json(struct buf *buf, const Etcdserverpb__ResponseHeader *header)
{
    buf_init(buf, SIZE_MAX);
    buf_add_byte(buf, '{');
    gojson_members(buf, header);
    buf_add_str(buf, buf->len > 1 ? "," : "");
}

static int close_json(const struct printer *p, struct buf *buf)
{
    buf_add_str(buf, "}\n");
    fwrite(buf->data, 1, buf->len, p->out);
    buf_fini(buf);
    return CMD_EXIT_OK;
}

int print_grant(const struct printer *p, const Etcdserverpb__LeaseGrantResponse *r)
{
    char id[GOTEXT_SIZE];
    struct buf buf;

    switch (p->format) {
    case PRINT_SIMPLE:
        fprintf(
            p->out, "lease %s granted with TTL(%" PRId64 "s)\n", gotext_lease(r->id, id), r->ttl);
        return CMD_EXIT_OK;
    case PRINT_FIELDS:
        print_header(p, r->header);
        id_field(p, r->id);
        fprintf(p->out, "\"TTL\" : %" PRId64 "\n", r->ttl);
        return CMD_EXIT_OK;
    case PRINT_JSON:
        open_json(&buf, r->header);
        buf_printf(&buf, "\"ID\":%" PRId64 ",\"TTL\":%" PRId64 ",\"Error\":", r->id, r->ttl);
        gojson_string(&buf, r->error);
        return close_json(p, &buf);
    case PRINT_PROTOBUF:
        return header_only(p, r->header);
    case PRINT_TABLE:
        break;
    }
    return print_unsupported(p);
}

int print_keep_alive(const struct printer *p, const Etcdserverpb__LeaseKeepAliveResponse *r)
{
    char id[GOTEXT_SIZE];
    struct buf buf;

    switch (p->format) {
    case PRINT_SIMPLE:
        fprintf(
            p->out, "lease %s keepalived with TTL(%" PRId64 ")\n", gotext_lease(r->id, id), r->ttl);
        return CMD_EXIT_OK;
    case PRINT_FIELDS:
        print_header(p, r->header);
        id_field(p, r->id);
        fprintf(p->out, "\"TTL\" : %" PRId64 "\n", r->ttl);
        return CMD_EXIT_OK;
    case PRINT_JSON:
        open_json(&buf, r->header);
        buf_printf(&buf, "\"ID\":%" PRId64 ",\"TTL\":%" PRId64, r->id, r->ttl);
        return close_json(p, &buf);
    case PRINT_PROTOBUF:
        return header_only(p, r->header);
    case PRINT_TABLE:
        break;
    }
    return print_unsupported(p);
}

static void time_to_live_simple(
    const struct printer *p, const Etcdserverpb__LeaseTimeToLiveResponse *r, bool has_keys)
{
    char id[GOTEXT_SIZE];

    if (r->grantedttl == 0 && r->ttl == -1) {
        fprintf(p->out, "lease %s already expired\n", gotext_lease(r->id, id));
        return;
    }
    fprintf(p->out, "lease %s granted with TTL(%" PRId64 "s), remaining(%" PRId64 "s)",
        gotext_lease(r->id, id), r->grantedttl, r->ttl);
    if (has_keys) {
        fprintf(p->out, ", attached keys([");
        for (size_t i = 0; i < r->n_keys; i++) {
            fprintf(p->out, i ? " " : "");
            fwrite(r->keys[i].data, 1, r->keys[i].len, p->out);
        }
        fprintf(p->out, "])");
    }
    fprintf(p->out, "\n");
}

static void time_to_live_fields(
    const struct printer *p, const Etcdserverpb__LeaseTimeToLiveResponse *r)
{
    print_header(p, r->header);
    id_field(p, r->id);
    fprintf(p->out, "\"TTL\" : %" PRId64 "\n\"GrantedTTL\" : %" PRId64 "\n", r->ttl, r->grantedttl);
    for (size_t i = 0; i < r->n_keys; i++) {
        fprintf(p->out, "\"Key\" : ");
        gotext_print_quoted(p->out, pb_slice(r->keys[i]));
        fputc('\n', p->out);
    }
}

static int time_to_live_json(
    const struct printer *p, const Etcdserverpb__LeaseTimeToLiveResponse *r)
{
    struct buf buf;

    open_json(&buf, r->header);
    buf_printf(&buf,
        "\"id\":%" PRId64 ",\"ttl\":%" PRId64 ",\"granted-ttl\":%" PRId64 ",\"keys\":", r->id,
        r->ttl, r->grantedttl);
    for (size_t i = 0; i < r->n_keys; i++) {
        buf_add_str(&buf, i ? "," : "[");
        gojson_bytes(&buf, pb_slice(r->keys[i]));
    }
    buf_add_str(&buf, r->n_keys ? "]" : "null");
    return close_json(p, &buf);
}

int print_time_to_live(
    const struct printer *p, const Etcdserverpb__LeaseTimeToLiveResponse *r, bool has_keys)
{
    switch (p->format) {
    case PRINT_SIMPLE:
        time_to_live_simple(p, r, has_keys);
        return CMD_EXIT_OK;
    case PRINT_FIELDS:
        time_to_live_fields(p, r);
        return CMD_EXIT_OK;
    case PRINT_JSON:
        return time_to_live_json(p, r);
    case PRINT_PROTOBUF:
        return header_only(p, r->header);
    case PRINT_TABLE:
        break;
    }
    return print_unsupported(p);
}

static int leases_json(const struct printer *p, const Etcdserverpb__LeaseLeasesResponse *r)
{
    struct buf buf;

    open_json(&buf, r->header);
    buf_add_str(&buf, "\"leases\":[");
    for (size_t i = 0; i < r->n_leases; i++) {
        buf_printf(&buf, "%s{\"id\":%" PRId64 "}", i ? "," : "", r->leases[i]->id);
    }
    buf_add_str(&buf, "]");
    return close_json(p, &buf);
}

int print_leases(const struct printer *p, const Etcdserverpb__LeaseLeasesResponse *r)
{
    char id[GOTEXT_SIZE];

    switch (p->format) {
    case PRINT_SIMPLE:
        fprintf(p->out, "found %zu leases\n", r->n_leases);
        for (size_t i = 0; i < r->n_leases; i++) {
            fprintf(p->out, "%s\n", gotext_lease(r->leases[i]->id, id));
        }
        return CMD_EXIT_OK;
    case PRINT_FIELDS:
        print_header(p, r->header);
        for (size_t i = 0; i < r->n_leases; i++) {
            id_field(p, r->leases[i]->id);
        }
        return CMD_EXIT_OK;
    case PRINT_JSON:
        return leases_json(p, r);
    case PRINT_PROTOBUF:
        return header_only(p, r->header);
    case PRINT_TABLE:
        break;
    }
    return print_unsupported(p);
}
