/* SPDX-License-Identifier: Apache-2.0
 * A registry whose keys hold any bytes. Lines: the size, then id, space, value; the members come
 * in falling order of their revisions. */
#include "base/mem.h"
#include "base/text.h"
#include "base/url.h"
#include "discovery/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice line_of(struct slice *rest)
{
    const uint8_t *start = rest->data;
    const uint8_t *end = rest->len ? memchr(start, '\n', rest->len) : NULL;
    size_t len = end ? (size_t)(end - start) : rest->len;
    *rest = slice_of(start + len + (end != NULL), rest->len - len - (end != NULL));
    return slice_of(start, len);
}

static void add_line(struct registry *registry, struct slice line, int64_t revision)
{
    const uint8_t *space = line.len ? memchr(line.data, ' ', line.len) : NULL;
    size_t id_len = space ? (size_t)(space - (const uint8_t *)line.data) : line.len;
    const char *key = arena_printf(
        registry->arena, "%s/%.*s", registry->members_prefix, (int)id_len, (const char *)line.data);
    struct slice value = slice_of((const uint8_t *)line.data + id_len, line.len - id_len);
    (void)registry_add(registry, slice_str(key), value, revision);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(64 << 20);
    struct registry *registry = registry_new(arena, "t", 1);
    struct slice rest = slice_of(data, size < 65536 ? size : 65536);
    const char *text;
    if (!err_is(registry_set_size(registry, line_of(&rest), NULL))) {
        for (int64_t revision = 1 << 20; rest.len > 0 && revision > 0; revision--) {
            add_line(registry, line_of(&rest), revision);
        }
        (void)registry_excludes_self(registry);
        if (!err_is(registry_cluster(registry, &text, NULL))) {
            struct url_cluster cluster;
            check(!err_is(url_cluster_parse(arena, text, &cluster, NULL)));
            check(cluster.count <= registry->size || registry->count > 0);
        }
    }
    arena_free(arena);
    return 0;
}
