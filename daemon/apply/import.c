/* SPDX-License-Identifier: Apache-2.0
 * Rows of an etcd's database as rows of this store: each goes to the room that reads them. */
#include "apply/state.h"

#include "base/codec.h"

/* AlarmMember {1: member, 2: alarm} is the key. */
static struct err import_alarm(struct slice key, struct backend_batch *batch)
{
    struct wire wire;
    struct wire_field field;
    struct apply_alarm alarm = {0};
    wire_init(&wire, key);
    while (wire_more(&wire)) {
        TRY(wire_next(&wire, &field));
        if (field.number == 1 && field.type == WIRE_VARINT) {
            alarm.member_id = field.value;
        } else if (field.number == 2 && field.type == WIRE_VARINT) {
            alarm.type = (Etcdserverpb__AlarmType)field.value;
        }
    }
    apply_put_alarm(&alarm, batch);
    return OK;
}

struct err apply_import_row(
    const char *bucket, struct slice key, struct slice value, struct backend_batch *batch)
{
    if (strcmp(bucket, "lease") == 0) {
        return lease_import_row(key, value, batch);
    }
    if (strcmp(bucket, "alarm") == 0) {
        return import_alarm(key, batch);
    }
    if (strncmp(bucket, "auth", 4) == 0) {
        return auth_import_row(bucket, key, value, batch);
    }
    return member_import_row(bucket, key, value, batch);
}
