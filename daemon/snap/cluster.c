/* SPDX-License-Identifier: Apache-2.0
 *
 * The members as etcd's JSON. The v2 store's,
 * {"Root":node,"WatcherHub":…,"CurrentIndex":n,"Stats":…,"CurrentVersion":2} with node
 * {"Path","CreatedIndex","ModifiedIndex","ExpireTime","Value","Children":{name:node}|null}:
 *   /0/members/<hex id>/raftAttributes {"peerURLs":[…],"isLearner":true}    /0/removed_members/<hex
 * id> "" /0/members/<hex id>/attributes {"name":…,"clientURLs":[…]}              /0/version "3.6.0"
 * Its reader takes the event ring as it comes and writes to Events[Back]: all 1000 slots have to be
 * there.
 */
#include "base/json.h"
#include "snap/snap.h"

enum { EVENTS = 1000 };

static void add_urls(struct json *json, const char *key, const char *const *urls, size_t count)
{
    json_add_key(json, key);
    json_open(json, '[');
    for (size_t i = 0; i < count; i++) {
        json_add_str(json, urls[i]);
    }
    json_close(json, ']');
}

static void add_raft_attributes(struct json *json, const struct snap_member *member)
{
    add_urls(json, "peerURLs", member->peer_urls, member->peer_urls_count);
    if (member->is_learner) {
        json_add_key(json, "isLearner");
        json_add_bool(json, true);
    }
}

static void add_attributes(struct json *json, const struct snap_member *member)
{
    if (member->name && *member->name) {
        json_add_key(json, "name");
        json_add_str(json, member->name);
    }
    if (member->client_urls_count) {
        add_urls(json, "clientURLs", member->client_urls, member->client_urls_count);
    }
}

void snap_member_json(const struct snap_member *member, struct buf *out)
{
    struct json json;
    json_init(&json, out, JSON_HTML_SAFE);
    json_open(&json, '{');
    json_add_key(&json, "id");
    json_add_uint(&json, member->id);
    add_raft_attributes(&json, member);
    add_attributes(&json, member);
    json_close(&json, '}');
}

struct tree {
    struct json json;
    uint64_t index; /* as if the nodes had been set one after the other */
};

static void node_head(struct tree *tree, const char *path, uint64_t index, struct slice value)
{
    struct json *json = &tree->json;
    json_open(json, '{');
    json_add_key(json, "Path");
    json_add_str(json, path);
    json_add_key(json, "CreatedIndex");
    json_add_uint(json, index);
    json_add_key(json, "ModifiedIndex");
    json_add_uint(json, index);
    json_add_key(json, "ExpireTime");
    json_add_str(json, "0001-01-01T00:00:00Z");
    json_add_key(json, "Value");
    json_add_string(json, value);
    json_add_key(json, "Children");
}

static void open_folder(struct tree *tree, const char *name, const char *path, uint64_t index)
{
    if (name) {
        json_add_key(&tree->json, name);
    }
    node_head(tree, path, index, (struct slice){0});
    json_open(&tree->json, '{');
}

static void close_folder(struct tree *tree)
{
    json_close(&tree->json, '}');
    json_close(&tree->json, '}');
}

static void add_leaf(struct tree *tree, const char *name, const char *path, struct slice value)
{
    json_add_key(&tree->json, name);
    node_head(tree, path, ++tree->index, value);
    json_add_null(&tree->json);
    json_close(&tree->json, '}');
}

static void add_member_leaf(struct tree *tree, const struct snap_member *member, const char *name,
    void (*add)(struct json *json, const struct snap_member *member))
{
    char path[96];
    struct buf value;
    struct json json;
    buf_init(&value, SIZE_MAX);
    json_init(&json, &value, JSON_HTML_SAFE);
    json_open(&json, '{');
    add(&json, member);
    json_close(&json, '}');
    snprintf(path, sizeof(path), "/0/members/%llx/%s", (unsigned long long)member->id, name);
    add_leaf(tree, name, path, buf_slice(&value));
    buf_fini(&value);
}

static void add_member(struct tree *tree, const struct snap_member *member)
{
    char id[24];
    char path[64];
    snprintf(id, sizeof(id), "%llx", (unsigned long long)member->id);
    snprintf(path, sizeof(path), "/0/members/%s", id);
    open_folder(tree, id, path, tree->index + 1);
    if (member->client_urls_count) {
        add_member_leaf(tree, member, "attributes", add_attributes);
    }
    add_member_leaf(tree, member, "raftAttributes", add_raft_attributes);
    close_folder(tree);
}

static void add_removed(struct tree *tree, const struct snap_cluster *cluster)
{
    if (!cluster->removed_count) {
        return;
    }
    open_folder(tree, "removed_members", "/0/removed_members", tree->index + 1);
    for (size_t i = 0; i < cluster->removed_count; i++) {
        char id[24];
        char path[64];
        snprintf(id, sizeof(id), "%llx", (unsigned long long)cluster->removed[i]);
        snprintf(path, sizeof(path), "/0/removed_members/%s", id);
        add_leaf(tree, id, path, (struct slice){0});
    }
    close_folder(tree);
}

static void add_root(struct tree *tree, const struct snap_cluster *cluster)
{
    json_add_key(&tree->json, "Root");
    open_folder(tree, NULL, "/", 0);
    open_folder(tree, "0", "/0", 0);
    if (cluster->members_count) {
        open_folder(tree, "members", "/0/members", 1);
        for (size_t i = 0; i < cluster->members_count; i++) {
            add_member(tree, &cluster->members[i]);
        }
        close_folder(tree);
    }
    add_removed(tree, cluster);
    if (cluster->version) {
        add_leaf(tree, "version", "/0/version", slice_str(cluster->version));
    }
    close_folder(tree);
    open_folder(tree, "1", "/1", 0);
    close_folder(tree);
    close_folder(tree);
}

static void add_events(struct json *json)
{
    json_add_key(json, "WatcherHub");
    json_add_raw(json, SLICE("{\"EventHistory\":{\"Queue\":{\"Events\":"));
    json->wants_comma = false;
    json_open(json, '[');
    for (int i = 0; i < EVENTS; i++) {
        json_add_null(json);
    }
    json_close(json, ']');
    json_add_raw(
        json, SLICE("\"Size\":0,\"Front\":0,\"Back\":0,\"Capacity\":1000},\"StartIndex\":0,"
                    "\"LastIndex\":0}}"));
}

static void add_stats(struct json *json)
{
    static const char *const names[] = {"getsSuccess", "getsFail", "setsSuccess", "setsFail",
        "deleteSuccess", "deleteFail", "updateSuccess", "updateFail", "createSuccess", "createFail",
        "compareAndSwapSuccess", "compareAndSwapFail", "compareAndDeleteSuccess",
        "compareAndDeleteFail", "expireCount", "watchers"};
    json_add_key(json, "Stats");
    json_open(json, '{');
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        json_add_key(json, names[i]);
        json_add_uint(json, 0);
    }
    json_close(json, '}');
}

void snap_v2_json(const struct snap_cluster *cluster, struct buf *out)
{
    struct tree tree = {.index = 0};
    json_init(&tree.json, out, JSON_HTML_SAFE);
    json_open(&tree.json, '{');
    add_root(&tree, cluster);
    add_events(&tree.json);
    json_add_key(&tree.json, "CurrentIndex");
    json_add_uint(&tree.json, tree.index);
    add_stats(&tree.json);
    json_add_key(&tree.json, "CurrentVersion");
    json_add_uint(&tree.json, 2);
    json_close(&tree.json, '}');
}
