/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/pb.h"
#include "ctl/lib/cmd.h"
#include "ctl/lib/gojson.h"
#include "ctl/lib/gotext.h"
#include "ctl/lib/print.h"

#include <inttypes.h>

static void simple_bytes(const struct printer *p, struct slice bytes)
{
    if (p->is_hex) {
        for (size_t i = 0; i < bytes.len; i++) {
            fprintf(p->out, "\\x%02x", bytes.data[i]);
        }
    } else if (bytes.len > 0) {
        fwrite(bytes.data, 1, bytes.len, p->out);
    }
    fputc('\n', p->out);
}

static void simple_kv(const struct printer *p, const Mvccpb__KeyValue *kv)
{
    if (!p->is_value_only) {
        simple_bytes(p, pb_slice(kv->key));
    }
    simple_bytes(p, pb_slice(kv->value));
}

static void fields_kv(const struct printer *p, const char *prefix, const Mvccpb__KeyValue *kv)
{
    fprintf(p->out, "\"%sKey\" : ", prefix);
    gotext_print_quoted(p->out, pb_slice(kv->key));
    fprintf(p->out, "\n\"%sCreateRevision\" : %" PRId64 "\n", prefix, kv->create_revision);
    fprintf(p->out, "\"%sModRevision\" : %" PRId64 "\n", prefix, kv->mod_revision);
    fprintf(p->out, "\"%sVersion\" : %" PRId64 "\n\"%sValue\" : ", prefix, kv->version, prefix);
    gotext_print_quoted(p->out, pb_slice(kv->value));
    fputc('\n', p->out);
    if (p->is_hex) {
        char lease[GOTEXT_SIZE];
        fprintf(p->out, "\"%sLease\" : %s\n", prefix, gotext_lease(kv->lease, lease));
    } else {
        fprintf(p->out, "\"%sLease\" : %" PRId64 "\n", prefix, kv->lease);
    }
}

int print_range(const struct printer *p, const Etcdserverpb__RangeResponse *r)
{
    if (p->format != PRINT_SIMPLE && p->format != PRINT_FIELDS) {
        return print_any(p, r);
    }
    if (p->format == PRINT_FIELDS) {
        print_header(p, r->header);
    }
    for (size_t i = 0; i < r->n_kvs; i++) {
        if (p->format == PRINT_SIMPLE) {
            simple_kv(p, r->kvs[i]);
        } else {
            fields_kv(p, "", r->kvs[i]);
        }
    }
    if (p->format == PRINT_FIELDS) {
        fprintf(p->out, "\"More\" : %s\n\"Count\" : %" PRId64 "\n", r->more ? "true" : "false",
            r->count);
    }
    return CMD_EXIT_OK;
}

int print_put(const struct printer *p, const Etcdserverpb__PutResponse *r)
{
    if (p->format != PRINT_SIMPLE && p->format != PRINT_FIELDS) {
        return print_any(p, r);
    }
    if (p->format == PRINT_FIELDS) {
        print_header(p, r->header);
        if (r->prev_kv) {
            fields_kv(p, "Prev", r->prev_kv);
        }
        return CMD_EXIT_OK;
    }
    fprintf(p->out, "OK\n");
    if (r->prev_kv) {
        simple_kv(p, r->prev_kv);
    }
    return CMD_EXIT_OK;
}

int print_delete(const struct printer *p, const Etcdserverpb__DeleteRangeResponse *r)
{
    if (p->format != PRINT_SIMPLE && p->format != PRINT_FIELDS) {
        return print_any(p, r);
    }
    if (p->format == PRINT_FIELDS) {
        print_header(p, r->header);
        fprintf(p->out, "\"Deleted\" : ");
    }
    fprintf(p->out, "%" PRId64 "\n", r->deleted);
    for (size_t i = 0; i < r->n_prev_kvs; i++) {
        if (p->format == PRINT_SIMPLE) {
            simple_kv(p, r->prev_kvs[i]);
        } else {
            fields_kv(p, "Prev", r->prev_kvs[i]);
        }
    }
    return CMD_EXIT_OK;
}

static void txn_part(const struct printer *p, const Etcdserverpb__ResponseOp *op)
{
    switch (op->response_case) {
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE:
        (void)print_range(p, op->response_range);
        break;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT:
        (void)print_put(p, op->response_put);
        break;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE:
        (void)print_delete(p, op->response_delete_range);
        break;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN:
        (void)print_txn(p, op->response_txn);
        break;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE__NOT_SET:
    case _ETCDSERVERPB__RESPONSE_OP__RESPONSE__CASE_IS_INT_SIZE:
        fprintf(p->out,
            p->format == PRINT_SIMPLE ? "unexpected response \n" : "\"Unknown\" : \"<nil>\"\n");
        break;
    }
}

int print_txn(const struct printer *p, const Etcdserverpb__TxnResponse *r)
{
    if (p->format != PRINT_SIMPLE && p->format != PRINT_FIELDS) {
        return print_any(p, r);
    }
    if (p->format == PRINT_FIELDS) {
        print_header(p, r->header);
        fprintf(p->out, "\"Succeeded\" : %s\n", r->succeeded ? "true" : "false");
    } else {
        fprintf(p->out, r->succeeded ? "SUCCESS\n" : "FAILURE\n");
    }
    for (size_t i = 0; i < r->n_responses; i++) {
        if (p->format == PRINT_SIMPLE) {
            fputc('\n', p->out);
        }
        txn_part(p, r->responses[i]);
    }
    return CMD_EXIT_OK;
}

/* clientv3's own struct, not the message: other names, and nothing is left out. One that clientv3
 * made itself has no header, and no list of events. */
static void watch_json(const struct printer *p, const Etcdserverpb__WatchResponse *r)
{
    struct buf buf;

    buf_init(&buf, SIZE_MAX);
    buf_add_str(&buf, "{\"Header\":{");
    gojson_members(&buf, r->header);
    buf_add_str(&buf, r->header ? "},\"Events\":[" : "},\"Events\":null");
    for (size_t i = 0; i < r->n_events; i++) {
        buf_add_str(&buf, i ? "," : "");
        gojson_message(&buf, r->events[i]);
    }
    buf_printf(&buf, "%s,\"CompactRevision\":%" PRId64 ",\"Canceled\":%s,\"Created\":%s}\n",
        r->header ? "]" : "", r->compact_revision, r->canceled ? "true" : "false",
        r->created ? "true" : "false");
    fwrite(buf.data, 1, buf.len, p->out);
    buf_fini(&buf);
}

/* The header, the events and how the watch stands; ids and reasons stay behind, as in clientv3. */
static int watch_protobuf(const struct printer *p, const Etcdserverpb__WatchResponse *r)
{
    Etcdserverpb__WatchResponse copy = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    Etcdserverpb__ResponseHeader zeros = ETCDSERVERPB__RESPONSE_HEADER__INIT;

    copy.header = r->header ? r->header : &zeros;
    copy.events = r->events;
    copy.n_events = r->n_events;
    copy.compact_revision = r->compact_revision;
    copy.canceled = r->canceled;
    copy.created = r->created;
    return print_any(p, &copy);
}

int print_watch(const struct printer *p, const Etcdserverpb__WatchResponse *r)
{
    if (p->format == PRINT_TABLE) {
        return print_unsupported(p);
    }
    if (p->format == PRINT_PROTOBUF) {
        return watch_protobuf(p, r);
    }
    if (p->format == PRINT_JSON) {
        watch_json(p, r);
        return CMD_EXIT_OK;
    }
    if (p->format == PRINT_FIELDS) {
        print_header(p, r->header);
    }
    for (size_t i = 0; i < r->n_events; i++) {
        const Mvccpb__Event *event = r->events[i];
        const char *type = event->type == MVCCPB__EVENT__EVENT_TYPE__PUT ? "PUT" : "DELETE";
        fprintf(p->out, p->format == PRINT_SIMPLE ? "%s\n" : "\"Type\" : %s\n", type);
        if (p->format == PRINT_SIMPLE) {
            if (event->prev_kv) {
                simple_kv(p, event->prev_kv);
            }
            simple_kv(p, event->kv);
        } else {
            if (event->prev_kv) {
                fields_kv(p, "Prev", event->prev_kv);
            }
            fields_kv(p, "", event->kv);
        }
    }
    return CMD_EXIT_OK;
}
