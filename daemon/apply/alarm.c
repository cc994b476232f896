/* SPDX-License-Identifier: Apache-2.0
 *
 * Alarms. Row: "malarm/" be64(member) be64(type) -> nothing.
 */
#include "apply/state.h"

#include "apply/view.h"
#include "base/codec.h"

enum { ROW_KEY_SIZE = 23 };

static struct slice row_key(const struct apply_alarm *alarm, uint8_t out[ROW_KEY_SIZE])
{
    memcpy(out, "malarm/", 7);
    put_be64(out + 7, alarm->member_id);
    put_be64(out + 15, (uint64_t)alarm->type);
    return slice_of(out, ROW_KEY_SIZE);
}

void apply_put_alarm(const struct apply_alarm *alarm, struct backend_batch *batch)
{
    uint8_t key[ROW_KEY_SIZE];
    backend_batch_put(batch, row_key(alarm, key), (struct slice){0});
}

static void derive(struct apply *apply)
{
    apply->is_corrupt = false;
    apply->is_out_of_space = false;
    for (size_t i = 0; i < apply->alarms_count; i++) {
        apply->is_corrupt |= apply->alarms[i].type == ETCDSERVERPB__ALARM_TYPE__CORRUPT;
        apply->is_out_of_space |= apply->alarms[i].type == ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    }
}

/* Whether members stop to write, or to serve, for it. */
static bool is_needed(const struct apply *apply, const struct apply_alarm *alarm)
{
    if (alarm->type != ETCDSERVERPB__ALARM_TYPE__NOSPACE &&
        alarm->type != ETCDSERVERPB__ALARM_TYPE__CORRUPT) {
        return false;
    }
    struct member member;
    struct arena *arena = arena_new(0);
    bool is_member = member_find(apply->options.members, alarm->member_id, arena, &member);
    arena_free(arena);
    return is_member;
}

/* etcd has no bound. What is needed is raised even where others have filled theirs. */
static bool has_room(const struct apply *apply, const struct apply_alarm *alarm)
{
    return apply->alarms_count < APPLY_ALARMS_MAX / 2 ||
           (apply->alarms_count < APPLY_ALARMS_MAX && is_needed(apply, alarm));
}

/* In the order of ids: what stands in the store had room, in whatever order it came. */
struct err apply_alarms_load(struct apply *apply, struct why *why)
{
    struct slice key;
    struct slice value;
    struct backend_iter *iter =
        backend_iter_open(apply->options.backend, NULL, SLICE("malarm/"), SLICE("malarm0"));
    pthread_mutex_lock(&apply->mutex);
    apply->alarms_count = 0;
    while (apply->alarms_count < APPLY_ALARMS_MAX && backend_iter_next(iter, &key, &value)) {
        if (key.len == ROW_KEY_SIZE) {
            apply->alarms[apply->alarms_count++] = (struct apply_alarm){
                get_be64(key.data + 7), (Etcdserverpb__AlarmType)get_be64(key.data + 15)};
        }
    }
    struct err err = backend_iter_err(iter, why);
    backend_iter_close(iter);
    derive(apply);
    pthread_mutex_unlock(&apply->mutex);
    return err;
}

size_t apply_alarms(struct apply *apply, struct apply_alarm *out)
{
    pthread_mutex_lock(&apply->mutex);
    size_t count = apply->alarms_count;
    memcpy(out, apply->alarms, count * sizeof(*out));
    pthread_mutex_unlock(&apply->mutex);
    return count;
}

bool apply_is_out_of_space(struct apply *apply)
{
    pthread_mutex_lock(&apply->mutex);
    bool is_out_of_space = apply->is_out_of_space;
    pthread_mutex_unlock(&apply->mutex);
    return is_out_of_space;
}

static size_t find(const struct apply *apply, const struct apply_alarm *alarm)
{
    size_t i = 0;
    while (i < apply->alarms_count && (apply->alarms[i].member_id != alarm->member_id ||
                                          apply->alarms[i].type != alarm->type)) {
        i++;
    }
    return i;
}

/* Past the bound nothing is raised, in memory or in the store: a restart must not see other alarms
 * than those who ran on. */
static void set(struct apply *apply, const struct apply_alarm *alarm)
{
    pthread_mutex_lock(&apply->mutex);
    bool is_new = find(apply, alarm) == apply->alarms_count;
    bool is_refused = is_new && !has_room(apply, alarm);
    if (is_new && !is_refused) {
        apply->alarms[apply->alarms_count++] = *alarm;
    }
    derive(apply);
    pthread_mutex_unlock(&apply->mutex);
    if (is_refused) {
        return;
    }
    apply_put_alarm(alarm, apply->batch);
}

static bool clear(struct apply *apply, const struct apply_alarm *alarm)
{
    uint8_t key[ROW_KEY_SIZE];
    pthread_mutex_lock(&apply->mutex);
    size_t at = find(apply, alarm);
    bool is_there = at < apply->alarms_count;
    if (is_there) {
        apply->alarms_count--;
        memmove(&apply->alarms[at], &apply->alarms[at + 1],
            (apply->alarms_count - at) * sizeof(*apply->alarms));
    }
    derive(apply);
    pthread_mutex_unlock(&apply->mutex);
    if (is_there) {
        backend_batch_delete(apply->batch, row_key(alarm, key));
    }
    return is_there;
}

static void add_member(
    Etcdserverpb__AlarmResponse *response, struct arena *arena, const struct apply_alarm *alarm)
{
    Etcdserverpb__AlarmMember *member = VIEW_NEW(arena, etcdserverpb__alarm_member);
    member->memberid = alarm->member_id;
    member->alarm = alarm->type;
    response->alarms[response->n_alarms++] = member;
}

static void get(struct apply *apply, Etcdserverpb__AlarmType type,
    Etcdserverpb__AlarmResponse *response, struct arena *arena)
{
    for (size_t i = 0; i < apply->alarms_count; i++) {
        if (type == ETCDSERVERPB__ALARM_TYPE__NONE || apply->alarms[i].type == type) {
            add_member(response, arena, &apply->alarms[i]);
        }
    }
}

void apply_alarm_request(struct applying *applying, const Etcdserverpb__AlarmRequest *request)
{
    struct apply *apply = applying->apply;
    struct apply_alarm alarm = {request->memberid, request->alarm};
    Etcdserverpb__AlarmResponse *response = VIEW_NEW(applying->arena, etcdserverpb__alarm_response);
    response->alarms =
        arena_alloc(applying->arena, (apply->alarms_count + 1) * sizeof(*response->alarms));
    check(response->alarms);
    switch ((int)request->action) {
    case ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__GET:
        get(apply, request->alarm, response, applying->arena);
        break;
    case ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE:
        if (alarm.type != ETCDSERVERPB__ALARM_TYPE__NONE) {
            set(apply, &alarm);
            add_member(response, applying->arena, &alarm);
        }
        break;
    case ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE:
        if (clear(apply, &alarm)) {
            add_member(response, applying->arena, &alarm);
        }
        break;
    default:
        break;
    }
    response->header = view_header(applying->arena, 0);
    applying->result->response = &response->base;
}
