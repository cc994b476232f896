/* SPDX-License-Identifier: Apache-2.0
 *
 * The v2 store back to members (cluster.c tells its shape). A leader before 3.6 keeps the
 * membership here and nowhere else that it trusts.
 */
#include "base/mem.h"
#include "snap/snap.h"

#include <json-c/json.h>

enum { MEMBERS_MAX = 128, REMOVED_MAX = 65536, DEPTH_MAX = 64 };

struct reading {
    struct arena *arena;
    struct snap_cluster *out;
};

static struct json_object *child(struct json_object *node, const char *name)
{
    struct json_object *children;
    struct json_object *found;
    if (!json_object_is_type(node, json_type_object) ||
        !json_object_object_get_ex(node, "Children", &children) ||
        !json_object_is_type(children, json_type_object) ||
        !json_object_object_get_ex(children, name, &found)) {
        return NULL;
    }
    return found;
}

/* Its children by name; NULL: none. */
static struct json_object *children_of(struct json_object *node)
{
    struct json_object *children;
    bool has = json_object_is_type(node, json_type_object) &&
               json_object_object_get_ex(node, "Children", &children) &&
               json_object_is_type(children, json_type_object);
    return has ? children : NULL;
}

static const char *value_of(struct json_object *node)
{
    struct json_object *value;
    bool has = json_object_is_type(node, json_type_object) &&
               json_object_object_get_ex(node, "Value", &value) &&
               json_object_is_type(value, json_type_string);
    return has ? json_object_get_string(value) : NULL;
}

static struct err take_id(const char *hex, uint64_t *out)
{
    char *end;
    if (!hex[0] || strlen(hex) > 16 || strspn(hex, "0123456789abcdef") != strlen(hex)) {
        return ERR(BAD_FORMAT);
    }
    *out = strtoull(hex, &end, 16);
    return *out ? OK : ERR(BAD_FORMAT);
}

static struct err take_urls(struct reading *r, struct json_object *attributes, const char *name,
    const char *const **out, size_t *out_count)
{
    struct json_object *list;
    if (!json_object_object_get_ex(attributes, name, &list) ||
        json_object_is_type(list, json_type_null)) {
        return OK;
    }
    if (!json_object_is_type(list, json_type_array)) {
        return ERR(BAD_FORMAT);
    }
    size_t count = json_object_array_length(list);
    const char **urls = arena_alloc(r->arena, (count + 1) * sizeof(*urls));
    for (size_t i = 0; urls && i < count; i++) {
        struct json_object *url = json_object_array_get_idx(list, i);
        if (!json_object_is_type(url, json_type_string)) {
            return ERR(BAD_FORMAT);
        }
        urls[i] = arena_strdup(r->arena, json_object_get_string(url));
    }
    *out = urls;
    *out_count = urls ? count : 0;
    return urls ? OK : ERR(TOO_BIG);
}

/* Attributes are JSON in a string. The caller's to put; NULL: not there or not JSON. */
static struct json_object *attributes_of(struct json_object *node, const char *name)
{
    const char *text = value_of(child(node, name));
    struct json_object *root = text ? json_tokener_parse(text) : NULL;
    if (root && !json_object_is_type(root, json_type_object)) {
        json_object_put(root);
        return NULL;
    }
    return root;
}

static struct err take_raft_attributes(
    struct reading *r, struct json_object *attributes, struct snap_member *member)
{
    struct json_object *value;
    if (json_object_object_get_ex(attributes, "isLearner", &value)) {
        member->is_learner = json_object_get_boolean(value);
    }
    return take_urls(r, attributes, "peerURLs", &member->peer_urls, &member->peer_urls_count);
}

/* As Go reads a string: null leaves it empty. */
static struct err take_name(
    struct reading *r, struct json_object *value, struct snap_member *member)
{
    if (json_object_is_type(value, json_type_null)) {
        return OK;
    }
    if (!json_object_is_type(value, json_type_string)) {
        return ERR(BAD_FORMAT);
    }
    member->name = arena_strdup(r->arena, json_object_get_string(value));
    return member->name ? OK : ERR(TOO_BIG);
}

static struct err take_attributes(
    struct reading *r, struct json_object *attributes, struct snap_member *member)
{
    struct json_object *value;
    if (json_object_object_get_ex(attributes, "name", &value)) {
        TRY(take_name(r, value, member));
    }
    return take_urls(r, attributes, "clientURLs", &member->client_urls, &member->client_urls_count);
}

static struct err take_member(
    struct reading *r, const char *id, struct json_object *node, struct snap_member *out)
{
    struct snap_member member = {.name = ""};
    TRY(take_id(id, &member.id));
    struct json_object *raft = attributes_of(node, "raftAttributes");
    struct json_object *attributes = attributes_of(node, "attributes");
    struct err err = raft ? take_raft_attributes(r, raft, &member) : ERR(BAD_FORMAT);
    if (!err_is(err) && attributes) {
        err = take_attributes(r, attributes, &member);
    }
    json_object_put(raft);
    json_object_put(attributes);
    if (!err_is(err)) {
        *out = member;
    }
    return err;
}

static struct err take_members(struct reading *r, struct json_object *members)
{
    size_t count = members ? (size_t)json_object_object_length(members) : 0;
    if (count > MEMBERS_MAX) {
        return ERR(TOO_BIG);
    }
    struct snap_member *list = arena_alloc(r->arena, (count + 1) * sizeof(*list));
    size_t taken = 0;
    if (members) {
        json_object_object_foreach(members, id, node)
        {
            TRY(take_member(r, id, node, &list[taken++]));
        }
    }
    r->out->members = list;
    r->out->members_count = taken;
    return OK;
}

static struct err take_removed(struct reading *r, struct json_object *removed)
{
    size_t count = removed ? (size_t)json_object_object_length(removed) : 0;
    if (count > REMOVED_MAX) {
        return ERR(TOO_BIG);
    }
    uint64_t *list = arena_alloc(r->arena, (count + 1) * sizeof(*list));
    size_t taken = 0;
    if (removed) {
        json_object_object_foreach(removed, id, node)
        {
            (void)node;
            TRY(take_id(id, &list[taken++]));
        }
    }
    r->out->removed = list;
    r->out->removed_count = taken;
    return OK;
}

/* Whatever is outside of the cluster's own tree. Empty folders count for nothing. */
static bool has_v2_keys(struct json_object *top)
{
    struct json_object *children = children_of(top);
    if (!children) {
        return false;
    }
    json_object_object_foreach(children, name, node)
    {
        struct json_object *below = children_of(node);
        if (strcmp(name, "0") != 0 && (!below || json_object_object_length(below) > 0)) {
            return true;
        }
    }
    return false;
}

static struct err take_tree(struct reading *r, struct json_object *root)
{
    struct json_object *top;
    if (!json_object_is_type(root, json_type_object) ||
        !json_object_object_get_ex(root, "Root", &top)) {
        return ERR(BAD_FORMAT);
    }
    struct json_object *cluster = child(top, "0");
    const char *version = value_of(child(cluster, "version"));
    TRY(take_members(r, children_of(child(cluster, "members"))));
    TRY(take_removed(r, children_of(child(cluster, "removed_members"))));
    r->out->has_v2_keys = has_v2_keys(top);
    if (version && version[0]) {
        r->out->version = arena_strdup(r->arena, version);
    }
    return OK;
}

struct err snap_v2_parse(
    struct slice json, struct arena *arena, struct snap_cluster *out, struct why *why)
{
    struct snap_cluster cluster = {0};
    struct reading reading = {arena, &cluster};
    if (json.len > SNAP_FILE_MAX) {
        return why_set(why, ERR(TOO_BIG), "the snapshot's v2 store is too long");
    }
    struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
    struct json_object *root =
        json_tokener_parse_ex(tokener, (const char *)json.data, (int)json.len);
    struct err err = root ? take_tree(&reading, root) : ERR(BAD_FORMAT);
    json_object_put(root);
    json_tokener_free(tokener);
    if (err_is(err)) {
        return why_set(why, err, "the snapshot's v2 store is malformed");
    }
    *out = cluster;
    return OK;
}
