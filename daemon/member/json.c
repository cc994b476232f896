/* SPDX-License-Identifier: Apache-2.0 */
#include "member/member.h"

#include "base/buf.h"
#include "base/json.h"

#include <inttypes.h>
#include <json-c/json.h>

enum { MEMBERS_MAX = 128 };

static const char *take_text(struct json_object *value, struct arena *arena)
{
    return json_object_is_type(value, json_type_string)
               ? arena_strdup(arena, json_object_get_string(value))
               : NULL;
}

/* As many as stand there: what the log holds was taken by the others. */
static struct err take_urls(
    struct json_object *value, struct arena *arena, const char *const **out, size_t *out_count)
{
    if (json_object_is_type(value, json_type_null)) {
        return OK;
    }
    if (!json_object_is_type(value, json_type_array)) {
        return ERR(BAD_FORMAT);
    }
    size_t count = json_object_array_length(value);
    const char **urls = arena_alloc(arena, (count + 1) * sizeof(*urls));
    for (size_t i = 0; urls && i < count; i++) {
        urls[i] = take_text(json_object_array_get_idx(value, i), arena);
        if (!urls[i]) {
            return ERR(BAD_FORMAT);
        }
    }
    *out = urls;
    *out_count = count;
    return urls ? OK : ERR(TOO_BIG);
}

static struct err take_fields(
    struct json_object *root, struct arena *arena, struct member *out, bool *out_is_promote)
{
    struct json_object *value;
    if (json_object_object_get_ex(root, "id", &value)) {
        out->id = json_object_get_uint64(value);
    }
    if (json_object_object_get_ex(root, "isLearner", &value)) {
        out->is_learner = json_object_get_boolean(value);
    }
    if (json_object_object_get_ex(root, "isPromote", &value)) {
        *out_is_promote = json_object_get_boolean(value);
    }
    if (json_object_object_get_ex(root, "name", &value)) {
        out->name = take_text(value, arena);
    }
    if (json_object_object_get_ex(root, "peerURLs", &value)) {
        TRY(take_urls(value, arena, &out->peer_urls, &out->peer_urls_count));
    }
    if (json_object_object_get_ex(root, "clientURLs", &value)) {
        TRY(take_urls(value, arena, &out->client_urls, &out->client_urls_count));
    }
    return out->name ? OK : ERR(BAD_FORMAT);
}

/* NULL: not JSON. The caller's to put. */
static struct json_object *parse(struct slice json)
{
    if (json.len > INT32_MAX) {
        return NULL;
    }
    struct json_tokener *tokener = json_tokener_new_ex(16);
    struct json_object *root =
        json_tokener_parse_ex(tokener, (const char *)json.data, (int)json.len);
    json_tokener_free(tokener);
    return root;
}

struct err member_from_json(
    struct slice json, struct arena *arena, struct member *out, bool *out_is_promote)
{
    struct member member = {.name = ""};
    bool is_promote = false;
    struct json_object *root = parse(json);
    struct err err = ERR(BAD_FORMAT);
    if (json_object_is_type(root, json_type_object)) {
        err = take_fields(root, arena, &member, &is_promote);
    }
    json_object_put(root);
    if (!err_is(err)) {
        *out = member;
        *out_is_promote = is_promote;
    }
    return err;
}

static struct err take_list(
    struct json_object *root, struct arena *arena, struct member **out, size_t *out_count)
{
    bool is_promote;
    if (!json_object_is_type(root, json_type_array) ||
        json_object_array_length(root) > MEMBERS_MAX) {
        return ERR(BAD_FORMAT);
    }
    size_t count = json_object_array_length(root);
    struct member *list = arena_zalloc(arena, (count + 1) * sizeof(*list));
    if (!list) {
        return ERR(TOO_BIG);
    }
    for (size_t i = 0; i < count; i++) {
        struct json_object *item = json_object_array_get_idx(root, i);
        list[i].name = "";
        if (!json_object_is_type(item, json_type_object)) {
            return ERR(BAD_FORMAT);
        }
        TRY(take_fields(item, arena, &list[i], &is_promote));
    }
    *out = list;
    *out_count = count;
    return OK;
}

struct err member_list_from_json(
    struct slice json, struct arena *arena, struct member **out, size_t *out_count)
{
    struct json_object *root = parse(json);
    struct err err = take_list(root, arena, out, out_count);
    json_object_put(root);
    return err;
}

/* As etcd's own members write it, and as they read it: what is no UTF-8 is U+FFFD. */
static void add_text(struct buf *out, const char *text)
{
    struct json json;
    json_init(&json, out, JSON_HTML_SAFE);
    json_add_str(&json, text);
}

static void add_urls(struct buf *out, const char *name, const char *const *urls, size_t count)
{
    buf_printf(out, ",\"%s\":[", name);
    for (size_t i = 0; i < count; i++) {
        buf_add_str(out, i ? "," : "");
        add_text(out, urls[i]);
    }
    buf_add_str(out, "]");
}

/* Both ways of writing a member end with its client URLs. Takes the buffer. */
static struct slice finish(struct buf *out, const struct member *member, struct arena *arena)
{
    if (member->client_urls_count) {
        add_urls(out, "clientURLs", member->client_urls, member->client_urls_count);
    }
    buf_add_str(out, "}");
    struct slice json = arena_dup(arena, buf_slice(out));
    buf_fini(out);
    return json;
}

struct slice member_to_json(const struct member *member, struct arena *arena)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    buf_printf(&out, "{\"id\":%" PRIu64, member->id);
    add_urls(&out, "peerURLs", member->peer_urls, member->peer_urls_count);
    if (member->is_learner) {
        buf_add_str(&out, ",\"isLearner\":true");
    }
    if (member->name && member->name[0]) {
        buf_add_str(&out, ",\"name\":");
        add_text(&out, member->name);
    }
    return finish(&out, member, arena);
}

struct slice member_attributes_to_json(const struct member *member, struct arena *arena)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    buf_add_str(&out, "{\"name\":");
    add_text(&out, member->name);
    return finish(&out, member, arena);
}
