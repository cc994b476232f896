/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/told.h"

#include "base/codec.h"
#include "base/json.h"
#include "base/mem.h"

#include <json-c/json.h>

/* Questions. */

bool asked_hash(struct slice body, int64_t *out_revision)
{
    struct json_object *object = NULL;
    struct json_object *revision = NULL;
    if (err_is(json_parse(body, TOLD_SMALL_MAX, &object, NULL))) {
        return false;
    }
    bool is_good = json_object_is_type(object, json_type_object);
    *out_revision = 0;
    if (is_good && json_object_object_get_ex(object, "revision", &revision)) {
        is_good = json_object_is_type(revision, json_type_int);
        *out_revision = json_object_get_int64(revision);
    }
    json_object_put(object);
    return is_good;
}

/* Field 1 of LeaseKeepAliveRequest and LeaseTimeToLiveRequest; 2 of the latter. */
struct err asked_lease(struct slice body, int64_t *out_id, bool *out_keys)
{
    struct wire wire;
    struct wire_field field;
    *out_id = 0;
    *out_keys = false;
    wire_init(&wire, body);
    while (wire_more(&wire)) {
        TRY(wire_next(&wire, &field));
        if (field.number == 1 && field.type == WIRE_VARINT) {
            *out_id = (int64_t)field.value;
        } else if (field.number == 2 && field.type == WIRE_VARINT) {
            *out_keys = field.value != 0;
        } else if (field.number <= 2) {
            return ERR(BAD_FORMAT);
        }
    }
    return OK;
}

struct err asked_lease_internal(struct slice body, int64_t *out_id, bool *out_keys)
{
    struct wire wire;
    struct wire_field field;
    struct slice inner = {0};
    wire_init(&wire, body);
    while (wire_more(&wire)) {
        TRY(wire_next(&wire, &field));
        if (field.number == 1 && field.type == WIRE_BYTES) {
            inner = field.bytes;
        }
    }
    return inner.data ? asked_lease(inner, out_id, out_keys) : ERR(BAD_FORMAT);
}

/* Answers. */

struct err told_renewed(struct slice body, int64_t *out_id, int64_t *out_ttl)
{
    struct wire wire;
    struct wire_field field;
    *out_id = 0;
    *out_ttl = 0;
    wire_init(&wire, body);
    while (wire_more(&wire)) {
        TRY(wire_next(&wire, &field));
        if (field.number == 2 && field.type == WIRE_VARINT) {
            *out_id = (int64_t)field.value;
        } else if (field.number == 3 && field.type == WIRE_VARINT) {
            *out_ttl = (int64_t)field.value;
        }
    }
    return OK;
}

static struct err take_key(struct peer_lease *lease, size_t *capacity, struct slice key)
{
    struct slice *keys = (struct slice *)(uintptr_t)lease->keys;
    if (lease->keys_count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 16;
        keys = mem_grow(keys, *capacity * sizeof(*keys));
    }
    keys[lease->keys_count++] = key;
    lease->keys = keys;
    return OK;
}

static struct err parse_lease(struct slice body, struct peer_lease *lease)
{
    struct wire wire;
    struct wire_field field;
    size_t capacity = 0;
    wire_init(&wire, body);
    while (wire_more(&wire)) {
        TRY(wire_next(&wire, &field));
        if (field.number == 5 && field.type == WIRE_BYTES) {
            TRY(take_key(lease, &capacity, field.bytes));
        } else if (field.type != WIRE_VARINT) {
            continue;
        } else if (field.number == 2) {
            lease->id = (int64_t)field.value;
        } else if (field.number == 3) {
            lease->ttl = (int64_t)field.value;
        } else if (field.number == 4) {
            lease->granted_ttl = (int64_t)field.value;
        }
    }
    return OK;
}

struct err told_lease(struct slice body, struct peer_lease *lease)
{
    struct wire wire;
    struct wire_field field;
    wire_init(&wire, body);
    while (wire_more(&wire)) {
        TRY(wire_next(&wire, &field));
        if (field.number == 1 && field.type == WIRE_BYTES) {
            return parse_lease(field.bytes, lease);
        }
    }
    return ERR(BAD_FORMAT);
}

static int64_t number_in(struct json_object *object, const char *name)
{
    struct json_object *value = NULL;
    return json_object_object_get_ex(object, name, &value) ? json_object_get_int64(value) : 0;
}

struct err told_hash(struct slice body, struct peer_hash *out)
{
    struct json_object *object = NULL;
    struct json_object *header = NULL;
    TRY(json_parse(body, TOLD_SMALL_MAX, &object, NULL));
    struct err err = json_object_is_type(object, json_type_object) ? OK : ERR(BAD_FORMAT);
    if (!err_is(err) && json_object_object_get_ex(object, "header", &header) &&
        json_object_is_type(header, json_type_object)) {
        out->revision = number_in(header, "revision");
    }
    if (!err_is(err)) {
        out->hash = (uint32_t)number_in(object, "hash");
        out->compact_revision = number_in(object, "compact_revision");
        out->hash_revision = number_in(object, "hash_revision");
    }
    json_object_put(object);
    return err;
}

size_t told_urls(struct slice header, struct arena *arena, const char *out[TOLD_URLS_MAX])
{
    size_t count = 0;
    char *rest = arena_printf(arena, "%.*s", (int)header.len, (const char *)header.data);
    while (rest && count < TOLD_URLS_MAX) {
        out[count++] = strsep(&rest, ",");
    }
    return count;
}
