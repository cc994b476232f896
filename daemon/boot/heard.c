/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/heard.h"

#include "base/mem.h"

#include <json-c/json.h>

/* NULL: no object. */
static struct json_object *parse(struct slice json)
{
    char *text = mem_printf("%.*s", (int)json.len, (const char *)json.data);
    struct json_object *root = json_tokener_parse(text);
    free(text);
    if (!json_object_is_type(root, json_type_object)) {
        json_object_put(root);
        return NULL;
    }
    return root;
}

char *heard_server_version(struct slice json)
{
    struct json_object *value;
    struct json_object *root = parse(json);
    char *version = NULL;
    if (root && json_object_object_get_ex(root, "etcdserver", &value) &&
        json_object_is_type(value, json_type_string)) {
        version = mem_strdup(json_object_get_string(value));
    }
    json_object_put(root);
    return version;
}

bool heard_cluster_version(struct slice json, struct member_version *out)
{
    struct json_object *value;
    struct json_object *root = parse(json);
    bool is_known = root && json_object_object_get_ex(root, "etcdcluster", &value) &&
                    member_version_parse(json_object_get_string(value), out);
    json_object_put(root);
    return is_known;
}

bool heard_hash(struct slice json, struct peer_hash *out)
{
    struct json_object *value;
    struct json_object *root = parse(json);
    if (root && json_object_object_get_ex(root, "hash", &value)) {
        out->hash = (uint32_t)json_object_get_int64(value);
    }
    if (root && json_object_object_get_ex(root, "compact_revision", &value)) {
        out->compact_revision = json_object_get_int64(value);
    }
    bool is_answer = root != NULL;
    json_object_put(root);
    return is_answer;
}
