/* SPDX-License-Identifier: Apache-2.0
 *
 * Values with a form of their own: --cors and --log-rotation-config-json. */
#include "config/draft.h"

#include "base/mem.h"

#include <json-c/json.h>
#include <strings.h>

enum { MEGABYTE = 1024 * 1024, MEGABYTES_DEFAULT = 100 };

/* "*", or URLs; as etcd's flag the URLs come sorted and each once. */
struct err cors_set(struct arena *arena, void *target, const char *value, struct why *why)
{
    struct draft *draft = target;
    struct url_list urls;
    struct text_list list = text_split(arena, value, ',');
    if (strcmp(value, "*") != 0) {
        TRY(url_list_parse_unique(arena, value, &urls, why));
        list = (struct text_list){url_list_texts(arena, &urls), urls.count};
    }
    draft->config.cors = list;
    return OK;
}

static const char *go_kind(const struct json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_boolean:
        return "bool";
    case json_type_double:
    case json_type_int:
        return "number";
    case json_type_string:
        return "string";
    case json_type_array:
        return "array";
    case json_type_object:
        return "object";
    case json_type_null:
    default:
        return "null";
    }
}

static struct err wrong_type(
    struct json_object *value, const char *name, const char *wanted, struct why *why)
{
    bool is_number =
        json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_double);
    return why_set(why, ERR(BAD_CONFIG),
        "invalid log rotation config: json: cannot unmarshal %s%s%s into Go struct field "
        "logRotationConfig.Logger.%s of type %s",
        go_kind(value), is_number ? " " : "", is_number ? json_object_get_string(value) : "", name,
        wanted);
}

static struct err take_number(
    struct json_object *value, const char *name, int64_t *out, struct why *why)
{
    if (!json_object_is_type(value, json_type_int)) {
        return wrong_type(value, name, "int", why);
    }
    *out = json_object_get_int64(value);
    return OK;
}

static struct err take_bool(struct json_object *value, const char *name, bool *out, struct why *why)
{
    if (!json_object_is_type(value, json_type_boolean)) {
        return wrong_type(value, name, "bool", why);
    }
    *out = json_object_get_boolean(value);
    return OK;
}

struct rotation_json {
    int64_t megabytes;
    int64_t days;
    int64_t backups;
    bool is_local_time;
    bool compress;
};

/* Names without regard to case, unknown ones passed over, as encoding/json does. */
static struct err take_member(
    struct rotation_json *out, const char *name, struct json_object *value, struct why *why)
{
    if (json_object_is_type(value, json_type_null)) {
        return OK;
    }
    if (strcasecmp(name, "maxsize") == 0) {
        return take_number(value, "maxsize", &out->megabytes, why);
    }
    if (strcasecmp(name, "maxage") == 0) {
        return take_number(value, "maxage", &out->days, why);
    }
    if (strcasecmp(name, "maxbackups") == 0) {
        return take_number(value, "maxbackups", &out->backups, why);
    }
    if (strcasecmp(name, "localtime") == 0) {
        return take_bool(value, "localtime", &out->is_local_time, why);
    }
    return strcasecmp(name, "compress") == 0 ? take_bool(value, "compress", &out->compress, why)
                                             : OK;
}

static struct err take_members(struct rotation_json *out, struct json_object *root, struct why *why)
{
    if (!json_object_is_type(root, json_type_object)) {
        return why_set(why, ERR(BAD_CONFIG),
            "invalid log rotation config: json: cannot unmarshal %s into Go value of type "
            "embed.logRotationConfig",
            go_kind(root));
    }
    json_object_object_foreach(root, name, value)
    {
        TRY(take_member(out, name, value, why));
    }
    return OK;
}

static struct err malformed(const char *text, size_t at, bool has_value, struct why *why)
{
    if (text[at] == 0) {
        return why_set(why, ERR(BAD_CONFIG),
            "improperly formatted log rotation config: unexpected end of JSON input");
    }
    return why_set(why, ERR(BAD_CONFIG),
        "improperly formatted log rotation config: invalid character '%c' %s", text[at],
        has_value ? "after top-level value" : "looking for beginning of value");
}

static struct err parse(const char *text, struct rotation_json *out, struct why *why)
{
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *root = json_tokener_parse_ex(tokener, text, -1);
    size_t at = json_tokener_get_parse_end(tokener);
    bool has_value = json_tokener_get_error(tokener) == json_tokener_success;
    at += has_value ? strspn(text + at, " \t\r\n") : 0;
    struct err err = has_value && text[at] == 0 ? take_members(out, root, why)
                                                : malformed(text, at, has_value, why);
    json_object_put(root);
    json_tokener_free(tokener);
    return err;
}

struct err rotation_parse(const char *text, struct log_rotation *out, struct why *why)
{
    struct rotation_json json = {0};
    TRY(parse(text, &json, why));
    uint64_t megabytes = json.megabytes > 0 ? (uint64_t)json.megabytes : MEGABYTES_DEFAULT;
    *out = (struct log_rotation){
        .bytes_max = megabytes < UINT64_MAX / MEGABYTE ? megabytes * MEGABYTE : UINT64_MAX,
        .days_max = json.days > 0 && json.days < INT32_MAX ? json.days : 0,
        .backups_max = json.backups > 0 ? (size_t)json.backups : 0,
        .is_local_time = json.is_local_time,
        .compress = json.compress,
    };
    return OK;
}
