/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as what another member answers in JSON: its versions, its hash, its members. What is
 * not said stays as it was. */
#include "boot/heard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hear_versions(struct slice json)
{
    static const struct member_version none = {77, 88};
    struct member_version version = none;
    char *server = heard_server_version(json);
    const char *servers[] = {server};
    if (!heard_cluster_version(json, &version)) {
        check(version.major == none.major && version.minor == none.minor);
    }
    struct member_version out;
    (void)member_version_decide(&version, servers, 1, &(struct member_downgrade){0}, &out);
    free(server);
}

static void hear_hash(struct slice json)
{
    struct peer_hash hash = {.revision = 5};
    bool is_heard = heard_hash(json, &hash);
    check(hash.revision == 5 && (is_heard || (!hash.hash && !hash.compact_revision)));
}

static void hear_members(struct slice json)
{
    struct arena *arena = arena_new(0);
    struct member *list = NULL;
    size_t count = 0;
    if (!err_is(member_list_from_json(json, arena, &list, &count))) {
        for (size_t i = 0; i < count; i++) {
            check(list[i].name);
        }
    }
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice json = slice_of(data, size);
    hear_versions(json);
    hear_hash(json);
    hear_members(json);
    return 0;
}
