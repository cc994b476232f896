/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/mem.h"
#include "ctl/lib/cmd.h"
#include "ctl/lib/gojson.h"
#include "ctl/lib/gotext.h"
#include "ctl/lib/grid.h"
#include "ctl/lib/print.h"

#include <inttypes.h>

static const char *truth(bool flag)
{
    return flag ? "true" : "false";
}

static const char *join(
    struct arena *arena, char *const *items, size_t count, const char *separator)
{
    const char *text = "";

    for (size_t i = 0; i < count; i++) {
        text = arena_printf(arena, "%s%s%s", text, i ? separator : "", items[i]);
    }
    return text;
}

static void quoted_field(const struct printer *p, const char *name, const char *text)
{
    fprintf(p->out, "\"%s\" : ", name);
    gotext_print_quoted(p->out, slice_str(text));
    fputc('\n', p->out);
}

static void id_field(const struct printer *p, const char *name, uint64_t id)
{
    fprintf(p->out, p->is_hex ? "\"%s\" : %" PRIx64 "\n" : "\"%s\" : %" PRIu64 "\n", name, id);
}

static void number_field(const struct printer *p, const char *name, int64_t number)
{
    fprintf(p->out, "\"%s\" : %" PRId64 "\n", name, number);
}

static void print_grid(const struct printer *p, const struct grid *grid)
{
    if (p->format == PRINT_TABLE) {
        grid_print(grid, p->out);
    } else {
        grid_print_plain(grid, p->out);
    }
}

static void print_json(const struct printer *p, struct buf *buf)
{
    buf_add_byte(buf, '\n');
    fwrite(buf->data, 1, buf->len, p->out);
    buf_fini(buf);
}

static void member_fields(const struct printer *p, const Etcdserverpb__MemberListResponse *r)
{
    print_header(p, r->header);
    for (size_t i = 0; i < r->n_members; i++) {
        const Etcdserverpb__Member *m = r->members[i];
        id_field(p, "ID", m->id);
        quoted_field(p, "Name", m->name);
        for (size_t u = 0; u < m->n_peerurls; u++) {
            quoted_field(p, "PeerURL", m->peerurls[u]);
        }
        for (size_t u = 0; u < m->n_clienturls; u++) {
            quoted_field(p, "ClientURL", m->clienturls[u]);
        }
        fprintf(p->out, "\"IsLearner\" : %s\n\n", truth(m->islearner));
    }
}

static void add_urls(struct buf *buf, const char *name, char *const *urls, size_t count)
{
    buf_printf(buf, ",\"%s\":%s", name, count ? "[" : "null");
    for (size_t i = 0; i < count; i++) {
        buf_add_str(buf, i ? "," : "");
        gojson_string(buf, urls[i]);
    }
    buf_add_str(buf, count ? "]" : "");
}

/* With --hex the member list has a hand-made form: ids as text, no revision, the name not escaped.
 */
static void member_hex_json(const struct printer *p, const Etcdserverpb__MemberListResponse *r)
{
    struct buf buf;

    buf_init(&buf, SIZE_MAX);
    buf_printf(&buf,
        "{\"header\":{\"cluster_id\":\"%" PRIx64 "\",\"member_id\":\"%" PRIx64
        "\",\"raft_term\":%" PRIu64 "}",
        r->header->cluster_id, r->header->member_id, r->header->raft_term);
    for (size_t i = 0; i < r->n_members; i++) {
        const Etcdserverpb__Member *m = r->members[i];
        buf_printf(&buf, "%s{\"ID\":\"%" PRIx64 "\",\"name\":\"%s\"", i ? "," : ",\"members\":[",
            m->id, m->name);
        add_urls(&buf, "peerURLs", m->peerurls, m->n_peerurls);
        add_urls(&buf, "clientURLs", m->clienturls, m->n_clienturls);
        buf_add_str(&buf, i + 1 == r->n_members ? "}]" : "}");
    }
    buf_add_byte(&buf, '}');
    print_json(p, &buf);
}

int print_member_list(const struct printer *p, const Etcdserverpb__MemberListResponse *r)
{
    static const char *const titles[] = {
        "ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"};
    struct grid grid;

    if (p->format == PRINT_FIELDS) {
        member_fields(p, r);
        return CMD_EXIT_OK;
    }
    if (p->format == PRINT_JSON && p->is_hex && r->header) {
        member_hex_json(p, r);
        return CMD_EXIT_OK;
    }
    if (p->format != PRINT_SIMPLE && p->format != PRINT_TABLE) {
        return print_any(p, r);
    }
    grid_init(&grid, p->arena, titles, COUNT_OF(titles));
    for (size_t i = 0; i < r->n_members; i++) {
        const Etcdserverpb__Member *m = r->members[i];
        grid_add(&grid, (const char *const[]){
                            arena_printf(p->arena, "%" PRIx64, m->id),
                            *m->name ? "started" : "unstarted",
                            m->name,
                            join(p->arena, m->peerurls, m->n_peerurls, ","),
                            join(p->arena, m->clienturls, m->n_clienturls, ","),
                            truth(m->islearner),
                        });
    }
    print_grid(p, &grid);
    return CMD_EXIT_OK;
}

static void health_json(const struct printer *p, const struct print_health *list, size_t count)
{
    struct buf buf;

    buf_init(&buf, SIZE_MAX);
    for (size_t i = 0; i < count; i++) {
        buf_add_str(&buf, i ? ",{\"endpoint\":" : "[{\"endpoint\":");
        gojson_string(&buf, list[i].endpoint);
        buf_printf(&buf, ",\"health\":%s,\"took\":", truth(list[i].is_healthy));
        gojson_string(&buf, list[i].took);
        if (*list[i].error) {
            buf_add_str(&buf, ",\"error\":");
            gojson_string(&buf, list[i].error);
        }
        buf_add_byte(&buf, '}');
    }
    buf_add_str(&buf, count ? "]" : "null");
    print_json(p, &buf);
}

static void health_rest(const struct printer *p, const struct print_health *h)
{
    if (p->format == PRINT_FIELDS) {
        quoted_field(p, "Endpoint", h->endpoint);
        fprintf(p->out, "\"Health\" : %s\n\"Took\" : %s\n\"Error\" : %s\n\n", truth(h->is_healthy),
            h->took, h->error);
    } else if (*h->error) {
        fflush(p->out);
        fprintf(stderr, "%s is unhealthy: failed to commit proposal: %s\n", h->endpoint, h->error);
    } else {
        fprintf(p->out, "%s is healthy: successfully committed proposal: took = %s\n", h->endpoint,
            h->took);
    }
}

int print_endpoint_health(const struct printer *p, const struct print_health *list, size_t count)
{
    static const char *const titles[] = {"endpoint", "health", "took", "error"};
    struct grid grid;

    if (p->format == PRINT_PROTOBUF) {
        return print_unsupported(p);
    }
    if (p->format == PRINT_JSON) {
        health_json(p, list, count);
        return CMD_EXIT_OK;
    }
    grid_init(&grid, p->arena, titles, COUNT_OF(titles));
    for (size_t i = 0; i < count; i++) {
        if (p->format == PRINT_TABLE) {
            grid_add(&grid, (const char *const[]){list[i].endpoint, truth(list[i].is_healthy),
                                list[i].took, list[i].error});
        } else {
            health_rest(p, &list[i]);
        }
    }
    if (p->format == PRINT_TABLE) {
        grid_print(&grid, p->out);
    }
    return CMD_EXIT_OK;
}

/* What one endpoint answered, in the list that JSON shows. */
static void add_answer(struct buf *buf, const char *endpoint, const char *name, const void *message)
{
    buf_add_str(buf, buf->len ? ",{\"Endpoint\":" : "[{\"Endpoint\":");
    gojson_string(buf, endpoint);
    buf_printf(buf, ",\"%s\":", name);
    gojson_message(buf, message);
    buf_add_byte(buf, '}');
}

/* The list or the grid, whichever was filled; fields are printed already. */
static int print_answers(const struct printer *p, struct buf *list, const struct grid *grid)
{
    if (p->format == PRINT_JSON) {
        buf_add_str(list, list->len ? "]" : "null");
        print_json(p, list);
        return CMD_EXIT_OK;
    }
    buf_fini(list);
    if (p->format != PRINT_FIELDS) {
        print_grid(p, grid);
    }
    return CMD_EXIT_OK;
}

static const char *target_version(const Etcdserverpb__StatusResponse *s)
{
    return s->downgradeinfo ? s->downgradeinfo->targetversion : "";
}

static const char *downgrade_enabled(const Etcdserverpb__StatusResponse *s)
{
    return truth(s->downgradeinfo && s->downgradeinfo->enabled);
}

static void status_fields(const struct printer *p, const struct print_status *item)
{
    const Etcdserverpb__StatusResponse *s = item->status;

    print_header(p, s->header);
    quoted_field(p, "Version", s->version);
    quoted_field(p, "StorageVersion", s->storageversion);
    number_field(p, "DBSize", s->dbsize);
    number_field(p, "DBSizeInUse", s->dbsizeinuse);
    number_field(p, "DBSizeQuota", s->dbsizequota);
    fprintf(
        p->out, "\"Leader\" : %" PRIu64 "\n\"IsLearner\" : %s\n", s->leader, truth(s->islearner));
    fprintf(p->out, "\"RaftIndex\" : %" PRIu64 "\n\"RaftTerm\" : %" PRIu64 "\n", s->raftindex,
        s->raftterm);
    fprintf(p->out, "\"RaftAppliedIndex\" : %" PRIu64 "\n", s->raftappliedindex);
    fprintf(p->out, "\"Errors\" : [%s]\n", join(p->arena, s->errors, s->n_errors, " "));
    quoted_field(p, "Endpoint", item->endpoint);
    quoted_field(p, "DowngradeTargetVersion", target_version(s));
    fprintf(p->out, "\"DowngradeEnabled\" : %s\n\n", downgrade_enabled(s));
}

static const char *size_text(const struct printer *p, int64_t bytes)
{
    char text[GOTEXT_SIZE];
    return arena_strdup(p->arena, gotext_bytes((uint64_t)bytes, text));
}

static void status_row(const struct printer *p, struct grid *grid, const struct print_status *item)
{
    const Etcdserverpb__StatusResponse *s = item->status;
    uint64_t member = s->header ? s->header->member_id : 0;
    int64_t not_in_use = s->dbsize ? 100 - s->dbsizeinuse * 100 / s->dbsize : 0;

    grid_add(grid, (const char *const[]){
                       item->endpoint,
                       arena_printf(p->arena, "%" PRIx64, member),
                       s->version,
                       s->storageversion,
                       size_text(p, s->dbsize),
                       size_text(p, s->dbsizeinuse),
                       arena_printf(p->arena, "%" PRId64 "%%", not_in_use),
                       size_text(p, s->dbsizequota),
                       truth(s->leader == member),
                       truth(s->islearner),
                       arena_printf(p->arena, "%" PRIu64, s->raftterm),
                       arena_printf(p->arena, "%" PRIu64, s->raftindex),
                       arena_printf(p->arena, "%" PRIu64, s->raftappliedindex),
                       join(p->arena, s->errors, s->n_errors, ", "),
                       target_version(s),
                       downgrade_enabled(s),
                   });
}

int print_endpoint_status(const struct printer *p, const struct print_status *list, size_t count)
{
    static const char *const titles[] = {"endpoint", "ID", "version", "storage version", "db size",
        "in use", "percentage not in use", "quota", "is leader", "is learner", "raft term",
        "raft index", "raft applied index", "errors", "downgrade target version",
        "downgrade enabled"};
    struct grid grid;
    struct buf buf;

    if (p->format == PRINT_PROTOBUF) {
        return print_unsupported(p);
    }
    grid_init(&grid, p->arena, titles, COUNT_OF(titles));
    buf_init(&buf, SIZE_MAX);
    for (size_t i = 0; i < count; i++) {
        if (p->format == PRINT_FIELDS) {
            status_fields(p, &list[i]);
        } else if (p->format == PRINT_JSON) {
            add_answer(&buf, list[i].endpoint, "Status", list[i].status);
        } else {
            status_row(p, &grid, &list[i]);
        }
    }
    return print_answers(p, &buf, &grid);
}

static void hash_fields(const struct printer *p, const struct print_hash *item)
{
    print_header(p, item->hash->header);
    quoted_field(p, "Endpoint", item->endpoint);
    number_field(p, "Hash", item->hash->hash);
    fprintf(p->out, "\"HashRevision\" : %" PRId64 "\n\n", item->hash->hash_revision);
}

int print_endpoint_hash(const struct printer *p, const struct print_hash *list, size_t count)
{
    static const char *const titles[] = {"endpoint", "hash", "hash_revision"};
    struct grid grid;
    struct buf buf;

    if (p->format == PRINT_PROTOBUF) {
        return print_unsupported(p);
    }
    grid_init(&grid, p->arena, titles, COUNT_OF(titles));
    buf_init(&buf, SIZE_MAX);
    for (size_t i = 0; i < count; i++) {
        if (p->format == PRINT_FIELDS) {
            hash_fields(p, &list[i]);
        } else if (p->format == PRINT_JSON) {
            add_answer(&buf, list[i].endpoint, "HashKV", list[i].hash);
        } else {
            grid_add(&grid, (const char *const[]){
                                list[i].endpoint,
                                arena_printf(p->arena, "%" PRIu32, list[i].hash->hash),
                                arena_printf(p->arena, "%" PRId64, list[i].hash->hash_revision),
                            });
        }
    }
    return print_answers(p, &buf, &grid);
}

static const char *alarm_name(struct arena *arena, Etcdserverpb__AlarmType type)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&etcdserverpb__alarm_type__descriptor, (int)type);
    return value ? value->name : arena_printf(arena, "%d", (int)type);
}

int print_alarms(const struct printer *p, const Etcdserverpb__AlarmResponse *r)
{
    if (p->format != PRINT_SIMPLE && p->format != PRINT_FIELDS) {
        return print_any(p, r);
    }
    if (p->format == PRINT_FIELDS) {
        print_header(p, r->header);
    }
    for (size_t i = 0; i < r->n_alarms; i++) {
        const Etcdserverpb__AlarmMember *a = r->alarms[i];
        const char *name = alarm_name(p->arena, a->alarm);
        if (p->format == PRINT_FIELDS) {
            id_field(p, "MemberID", a->memberid);
            fprintf(p->out, "\"AlarmType\" : %s\n\n", name);
            continue;
        }
        if (a->memberid) {
            fprintf(p->out, "memberID:%" PRIu64 " ", a->memberid);
        }
        if (a->alarm) {
            fprintf(p->out, "alarm:%s ", name);
        }
        fputc('\n', p->out);
    }
    return CMD_EXIT_OK;
}
