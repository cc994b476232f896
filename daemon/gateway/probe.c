/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/health.h"

#include "base/clock.h"
#include "base/pb.h"

#include <rpc.pb-c.h>

/* Asking. */

/* Any thread. */
static void on_done(struct api_call *call)
{
    struct run *run = CONTAINER_OF(call, struct run, call);
    http_run(http_request_server(run->request), &run->task);
}

static struct slice read_request(struct arena *arena, bool is_local)
{
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    range.key = pb_bytes(SLICE("health"));
    range.limit = 1;
    range.keys_only = true;
    range.serializable = is_local;
    return pb_pack_arena(&range, arena);
}

void probe_start(struct run *run, enum probe probe)
{
    struct arena *arena = arena_new(0);
    bool is_read = probe == PROBE_READ || probe == PROBE_READ_LOCAL;
    const char *path = is_read ? "/etcdserverpb.KV/Range" : "/etcdserverpb.Maintenance/Status";
    struct slice packed = {0}; /* a Status request has nothing in it */
    if (is_read) {
        packed = read_request(arena, probe == PROBE_READ_LOCAL || run->is_serializable);
    }
    run->call = (struct api_call){.method = api_method_find(slice_str(path)),
        .arena = arena,
        .request = packed,
        .caller = {.is_internal = true, .address = http_peer(run->request)},
        .deadline_ns = clock_mono_ns() + run->gateway->options.health_ms * 1000000,
        .done = on_done};
    api_call_start(run->gateway->options.api, &run->call);
}

/* Judging. */

static const Etcdserverpb__StatusResponse *status_of(const struct run *run, struct slice packed)
{
    Etcdserverpb__StatusResponse *response;
    struct err e =
        pb_unpack(&etcdserverpb__status_response__descriptor, run->call.arena, packed, &response);
    return err_is(e) ? NULL : response;
}

/* The name of the first alarm that counts; NULL: none. only: this one. Status tells of alarms as
 * text: "memberID:1 alarm:NOSPACE ". */
static const char *find_alarm(
    struct run *run, const Etcdserverpb__StatusResponse *member, const char *only)
{
    for (size_t i = 0; member && i < member->n_errors; i++) {
        const char *text = member->errors[i];
        const char *mark = strstr(text, "alarm:");
        const char *name =
            mark ? arena_printf(run->arena, "%.*s", (int)strcspn(mark + 6, " "), mark + 6)
            : strncmp(text, "memberID:", 9) == 0 || !*text ? "NONE"
                                                           : NULL;
        if (name && (only ? strcmp(name, only) == 0 : !health_excludes(run, name))) {
            return name;
        }
    }
    return NULL;
}

const char *probe_judge(
    struct run *run, enum probe probe, struct slice packed, const struct api_status *status)
{
    bool is_good = status->code == GRPC_CODE_OK;
    bool is_read = probe == PROBE_READ || probe == PROBE_READ_LOCAL;
    const Etcdserverpb__StatusResponse *member =
        is_good && !is_read ? status_of(run, packed) : NULL;
    bool is_known;
    const char *alarm;
    switch (probe) {
    case PROBE_ALARMS:
        alarm = find_alarm(run, member, NULL);
        is_known = alarm && (strcmp(alarm, "NOSPACE") == 0 || strcmp(alarm, "CORRUPT") == 0);
        return alarm ? arena_printf(run->arena, "ALARM %s", is_known ? alarm : "UNKNOWN") : NULL;
    case PROBE_CORRUPT:
        return find_alarm(run, member, "CORRUPT") ? "alarm activated: CORRUPT" : NULL;
    case PROBE_LEADER:
        return member && member->leader ? NULL : "RAFT NO LEADER";
    case PROBE_LEARNER:
        return member && member->islearner ? "not supported for learner" : NULL;
    case PROBE_READ_LOCAL:
    case PROBE_READ:
        break;
    }
    if (is_good) {
        return NULL;
    }
    return arena_printf(
        run->arena, "%s%s", run->page->read_prefix, status->text ? status->text : "");
}
