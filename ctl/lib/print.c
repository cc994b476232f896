/* SPDX-License-Identifier: Apache-2.0
 *
 * What the formats share. */
#include "ctl/lib/print.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/pb.h"
#include "ctl/lib/cmd.h"
#include "ctl/lib/gojson.h"

#include <inttypes.h>
#include <stdarg.h>

static const char *const names[] = {"simple", "fields", "json", "protobuf", "table"};

bool print_format_of(const char *name, struct printer *out_printer)
{
    if (strcmp(name, "hex") == 0) {
        out_printer->format = PRINT_SIMPLE;
        out_printer->is_hex = true;
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            out_printer->format = (enum print_format)i;
            return true;
        }
    }
    return false;
}

int print_unsupported(const struct printer *p)
{
    return cmd_fail(CMD_EXIT_BAD_FEATURE, "%s not supported as output format", names[p->format]);
}

int print_any(const struct printer *p, const void *message)
{
    struct buf buf;

    if (p->format != PRINT_JSON && p->format != PRINT_PROTOBUF) {
        return print_unsupported(p);
    }
    buf_init(&buf, SIZE_MAX);
    if (p->format == PRINT_JSON) {
        gojson_message(&buf, message);
        buf_add_byte(&buf, '\n');
    } else {
        pb_pack(message, &buf);
    }
    fwrite(buf.data, 1, buf.len, p->out);
    buf_fini(&buf);
    return CMD_EXIT_OK;
}

void print_header(const struct printer *p, const Etcdserverpb__ResponseHeader *header)
{
    static const Etcdserverpb__ResponseHeader zeros = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    const Etcdserverpb__ResponseHeader *h = header ? header : &zeros;

    if (p->is_hex) {
        fprintf(p->out, "\"ClusterID\" : %" PRIx64 "\n\"MemberID\" : %" PRIx64 "\n", h->cluster_id,
            h->member_id);
    } else {
        fprintf(p->out, "\"ClusterID\" : %" PRIu64 "\n\"MemberID\" : %" PRIu64 "\n", h->cluster_id,
            h->member_id);
    }
    if (h->revision > 0) {
        fprintf(p->out, "\"Revision\" : %" PRId64 "\n", h->revision);
    }
    fprintf(p->out, "\"RaftTerm\" : %" PRIu64 "\n", h->raft_term);
}

int print_done(const struct printer *p, const void *message,
    const Etcdserverpb__ResponseHeader *header, const char *format, ...)
{
    if (p->format == PRINT_FIELDS) {
        print_header(p, header);
        return CMD_EXIT_OK;
    }
    if (p->format != PRINT_SIMPLE) {
        return print_any(p, message);
    }
    va_list args;
    va_start(args, format);
    vfprintf(p->out, format, args);
    va_end(args);
    return CMD_EXIT_OK;
}

int print_member_change(const struct printer *p, const void *message, const char *format, ...)
{
    if (p->format != PRINT_SIMPLE) {
        return print_any(p, message);
    }
    va_list args;
    va_start(args, format);
    vfprintf(p->out, format, args);
    va_end(args);
    return CMD_EXIT_OK;
}
