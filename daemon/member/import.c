/* SPDX-License-Identifier: Apache-2.0
 * Rows of an etcd's database about the cluster: the buckets cluster (clusterVersion -> "3.6.0",
 * downgrade -> {"target-version":"3.5.0","enabled":true}) and members_removed (hex id -> whatever).
 */
#include "member/member.h"

#include "base/codec.h"

#include <json-c/json.h>
#include <stdlib.h>

enum { DOWNGRADE_MAX = 4096 };

void member_import_removed(uint64_t id, struct backend_batch *batch)
{
    uint8_t key[17] = {'m', 'r', 'e', 'm', 'o', 'v', 'e', 'd', '/'};
    put_be64(key + 9, id);
    backend_batch_put(batch, slice_of(key, sizeof(key)), (struct slice){0});
}

/* What it does not say is off. */
static void import_downgrade(struct slice value, struct backend_batch *batch)
{
    struct json_object *target;
    struct json_object *enabled;
    if (value.len > DOWNGRADE_MAX) {
        return;
    }
    struct json_tokener *tokener = json_tokener_new_ex(4);
    struct json_object *root =
        json_tokener_parse_ex(tokener, (const char *)value.data, (int)value.len);
    if (root && json_object_object_get_ex(root, "enabled", &enabled) &&
        json_object_get_boolean(enabled) &&
        json_object_object_get_ex(root, "target-version", &target)) {
        backend_batch_put(batch, SLICE("mdowngrade"), slice_str(json_object_get_string(target)));
    }
    json_object_put(root);
    json_tokener_free(tokener);
}

static struct err import_removed(struct slice key, struct backend_batch *batch)
{
    char hex[17] = "";
    char *end;
    if (key.len == 0 || key.len >= sizeof(hex)) {
        return ERR(BAD_FORMAT);
    }
    memcpy(hex, key.data, key.len);
    member_import_removed(strtoull(hex, &end, 16), batch);
    return *end ? ERR(BAD_FORMAT) : OK;
}

struct err member_import_row(
    const char *bucket, struct slice key, struct slice value, struct backend_batch *batch)
{
    if (strcmp(bucket, "members_removed") == 0) {
        return import_removed(key, batch);
    }
    if (strcmp(bucket, "cluster") == 0 && slice_eq(key, SLICE("clusterVersion"))) {
        backend_batch_put(batch, SLICE("mcluster_version"), value);
    } else if (strcmp(bucket, "cluster") == 0 && slice_eq(key, SLICE("downgrade"))) {
        import_downgrade(value, batch);
    }
    return OK;
}
