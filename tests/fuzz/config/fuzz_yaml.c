/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a YAML document: a tree within its limits or a refusal with words. */
#include "config/yaml.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Aliases share nodes, so a walk is bounded by depth and by a budget. */
static void walk(const struct yaml_node *node, unsigned depth, unsigned *budget)
{
    check(depth <= YAML_NODES_MAX);
    const char *last = NULL;
    for (const struct yaml_node *at = node->first; at && *budget; at = at->next) {
        (*budget)--;
        check(at->text);
        check((at->key != NULL) == (node->kind == YAML_MAP));
        check(!last || !at->key || strcmp(last, at->key) < 0);
        last = at->key;
        walk(at, depth + 1, budget);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(0);
    const struct yaml_node *root = NULL;
    struct why why = {""};
    unsigned budget = 100000;
    if (err_is(yaml_parse(arena, slice_of(data, size), &root, &why))) {
        check(strncmp(why.text, "yaml: ", 6) == 0 && !root);
    } else {
        walk(root, 0, &budget);
    }
    arena_free(arena);
    return 0;
}
