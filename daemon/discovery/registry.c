/* SPDX-License-Identifier: Apache-2.0 */
#include "discovery/registry.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/url.h"

#include <inttypes.h>
#include <string.h>

enum { MEMBERS_MAX = 1024, MEMBER_BYTES_MAX = 16384 };

struct registry *registry_new(struct arena *arena, const char *token, uint64_t member_id)
{
    struct registry *registry = arena_zalloc(arena, sizeof(*registry));
    const char *members = arena_printf(arena, "/_etcd/registry/%s/members", token);
    *registry = (struct registry){
        .arena = arena,
        .size_key = arena_printf(arena, "/_etcd/registry/%s/_config/size", token),
        .members_prefix = members,
        .self_key = arena_printf(arena, "%s/%" PRIx64, members, member_id),
        .items = arena_zalloc(arena, MEMBERS_MAX * sizeof(struct registry_member)),
    };
    return registry;
}

/* NULL: no text. */
static const char *text_of(struct arena *arena, struct slice bytes)
{
    if (bytes.len > MEMBER_BYTES_MAX || memchr(bytes.data, '\0', bytes.len)) {
        return NULL;
    }
    return arena_printf(arena, "%.*s", (int)bytes.len, (const char *)bytes.data);
}

struct err registry_set_size(struct registry *registry, struct slice value, struct why *why)
{
    int64_t size = 0;
    const char *text = text_of(registry->arena, value);
    if (!text || text_parse_int10(text, &size) != TEXT_NUMBER_OK || size <= 0) {
        return why_set(why, ERR(BAD_CONFIG), "discovery: size key is bad");
    }
    registry->size = (size_t)size;
    return OK;
}

void registry_clear(struct registry *registry)
{
    registry->count = 0;
}

const char *registry_add(
    struct registry *registry, struct slice key, struct slice value, int64_t created_revision)
{
    struct arena *arena = registry->arena;
    const char *name = text_of(arena, key);
    const char *urls = text_of(arena, value);
    name = name ? text_trim(arena, name) : NULL;
    if (!name || strncmp(name, registry->members_prefix, strlen(registry->members_prefix)) != 0) {
        return "invalid peer registry key";
    }
    if (!urls || !strchr(urls, '=')) {
        return "invalid peer info returned from discovery service";
    }
    for (size_t i = 0; i < registry->count; i++) {
        if (strcmp(registry->items[i].key, name) == 0) {
            return "found duplicate peer from discovery service";
        }
    }
    if (registry->count == MEMBERS_MAX) {
        return "too many peers at the discovery service";
    }
    size_t at = registry->count++;
    for (; at > 0 && registry->items[at - 1].created_revision > created_revision; at--) {
        registry->items[at] = registry->items[at - 1];
    }
    registry->items[at] = (struct registry_member){name, text_trim(arena, urls), created_revision};
    return NULL;
}

bool registry_excludes_self(const struct registry *registry)
{
    for (size_t i = 0; i < registry->count; i++) {
        if (strcmp(registry->items[i].key, registry->self_key) == 0) {
            return false;
        }
        if (i + 1 >= registry->size) {
            return true;
        }
    }
    return false;
}

struct err registry_cluster(
    const struct registry *registry, const char **out_cluster, struct why *why)
{
    struct arena *arena = registry->arena;
    size_t count = registry->count < registry->size ? registry->count : registry->size;
    const char **items = arena_zalloc(arena, (count + 1) * sizeof(*items));
    struct url_cluster cluster;
    for (size_t i = 0; i < count; i++) {
        items[i] = registry->items[i].urls;
    }
    const char *text = text_list_join(arena, &(struct text_list){items, count}, ",");
    if (err_is(url_cluster_parse(arena, text, &cluster, NULL))) {
        return why_set(why, ERR(BAD_CONFIG), "discovery: invalid peer URL");
    }
    *out_cluster = text;
    return OK;
}
